// Generated from the migrations by `diesel print-schema`.

diesel::table! {
    /// Keys of users' scripts.
    api_keys (id) {
        id -> Uuid,
        user_id -> Uuid,
        key_hash -> Bytea,
        name -> Text,
        scopes -> Array<Text>,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        last_used_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Sessions: one row per refresh token family.
    auth_sessions (id) {
        id -> Uuid,
        user_id -> Uuid,
        device_id -> Uuid,
        api -> Text,
        kid -> Nullable<Text>,
        counter -> BigInt,
        mac_version -> SmallInt,
        sealed_secret -> Bytea,
        sealing_key_id -> Text,
        auth_time -> Timestamptz,
        amr -> Array<Text>,
        client_id -> Text,
        scope -> Text,
        user_agent -> Nullable<Text>,
        address_range -> Text,
        created_at -> Timestamptz,
        last_seen_at -> Timestamptz,
        rotated_at -> Timestamptz,
        recent_rotations -> Array<Timestamptz>,
        last_access_expires_at -> Timestamptz,
        expires_at -> Timestamptz,
        ended_at -> Nullable<Timestamptz>,
        end_reason -> Nullable<Text>,
        device_proof -> Bool,
        reused_jti_of -> Nullable<BigInt>,
        device_hash -> Nullable<Bytea>,
        last_ip_cidr -> Nullable<Cidr>,
    }
}

diesel::table! {
    /// Which share of sessions gets the newer cookies.
    cookie_rollout (single) {
        single -> Bool,
        share -> SmallInt,
        revision -> BigInt,
        decided_by -> Text,
        reason -> Nullable<Text>,
        decided_at -> Timestamptz,
    }
}

diesel::table! {
    /// How live sessions with the newer cookies fare.
    cookie_rollout_sessions (revision, session_id) {
        revision -> BigInt,
        session_id -> Uuid,
        user_id -> Uuid,
        seen_at -> Timestamptz,
        replayed_at -> Nullable<Timestamptz>,
        csrf_refused_at -> Nullable<Timestamptz>,
        failed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Nonces burned by logins.
    device_nonces (device_id, nonce) {
        device_id -> Uuid,
        nonce -> Text,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    /// Registered devices and the keys agreed with them.
    devices (id) {
        id -> Uuid,
        user_id -> Nullable<Uuid>,
        device_name -> Nullable<Text>,
        device_info -> Nullable<Text>,
        sealed_key -> Bytea,
        sealing_key_id -> Text,
        created_at -> Timestamptz,
        bound_at -> Nullable<Timestamptz>,
        last_used_at -> Nullable<Timestamptz>,
        trusted -> Bool,
        browser -> Bool,
    }
}

diesel::table! {
    /// The change feed.
    key_changes (id) {
        id -> BigInt,
        transaction_id -> BigInt,
        kind -> Text,
        value -> Text,
        until -> Timestamptz,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// Challenges of `WebAuthn` ceremonies under way.
    passkey_challenges (session_id, ceremony) {
        session_id -> Uuid,
        ceremony -> Text,
        state -> Jsonb,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    /// Passkeys.
    passkeys (id) {
        id -> Uuid,
        user_id -> Uuid,
        credential_id -> Bytea,
        name -> Text,
        credential -> Jsonb,
        counter -> BigInt,
        created_at -> Timestamptz,
        last_used_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Every set of hash parameters that a stored password may use.
    password_parameters (parameters) {
        parameters -> Text,
        first_used_at -> Timestamptz,
    }
}

diesel::table! {
    /// Every key that the JWKS serves.
    published_keys (kid) {
        kid -> Text,
        public_jwk -> Jsonb,
        key_type -> Text,
        state -> Text,
        user_id -> Nullable<Uuid>,
        sealed_key -> Nullable<Bytea>,
        sealing_key_id -> Text,
        published_at -> Timestamptz,
        activated_at -> Nullable<Timestamptz>,
        until -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// What the limits remember.
    rate_limits (key) {
        key -> Bytea,
        events -> Array<Timestamptz>,
        strikes -> Integer,
        blocked_until -> Nullable<Timestamptz>,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    /// What a purge of security events leaves.
    security_event_checkpoints (first_position) {
        first_position -> BigInt,
        last_position -> BigInt,
        former_link -> Bytea,
        link -> Bytea,
        purged_at -> Timestamptz,
        key_version -> SmallInt,
        seal -> Bytea,
    }
}

diesel::table! {
    /// The end of the chain of security events.
    security_event_head (only_one) {
        only_one -> Bool,
        position -> BigInt,
        link -> Bytea,
        key_version -> SmallInt,
        seal -> Bytea,
    }
}

diesel::table! {
    /// What happened to accounts, sessions and keys.
    security_events (id) {
        id -> BigInt,
        kind -> Text,
        occurred_at -> Timestamptz,
        user_id -> Nullable<Uuid>,
        session_id -> Nullable<Uuid>,
        device_id -> Nullable<Uuid>,
        address -> Nullable<Text>,
        user_agent -> Nullable<Text>,
        details -> Jsonb,
        personal -> Jsonb,
        salt -> Nullable<Uuid>,
        once -> Nullable<Bytea>,
        position -> Nullable<BigInt>,
        personal_digest -> Nullable<Bytea>,
        link -> Nullable<Bytea>,
        key_version -> Nullable<SmallInt>,
        forgotten_seal -> Nullable<Bytea>,
    }
}

diesel::table! {
    /// The ring of service keys.
    service_keys (kid) {
        kid -> Text,
        public_jwk -> Jsonb,
        key_type -> Text,
        store -> Text,
        state -> Text,
        sealed_key -> Nullable<Bytea>,
        sealing_key_id -> Nullable<Text>,
        token_life -> BigInt,
        published_at -> Timestamptz,
        activated_at -> Nullable<Timestamptz>,
        retired_at -> Nullable<Timestamptz>,
        until -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// The signing keys of a user's devices.
    user_keysets (user_id) {
        user_id -> Uuid,
        keyset -> Jsonb,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    /// Local accounts.
    users (id) {
        id -> Uuid,
        username -> Text,
        username_key -> Text,
        password_hash -> Text,
        password_version -> Integer,
        display_name -> Nullable<Text>,
        phone_number -> Nullable<Text>,
        email -> Nullable<Text>,
        avatar_url -> Nullable<Text>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        last_login_at -> Nullable<Timestamptz>,
        role -> Text,
    }
}

diesel::joinable!(auth_sessions -> devices (device_id));
diesel::joinable!(auth_sessions -> users (user_id));
diesel::allow_tables_to_appear_in_same_query!(
    auth_sessions,
    devices,
    published_keys,
    user_keysets,
    users,
);
