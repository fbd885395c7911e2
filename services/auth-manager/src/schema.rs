// Generated from the migrations by `diesel print-schema`.

diesel::table! {
    accounts (id) {
        id -> Uuid,
        user_id -> Uuid,
        provider -> Text,
        issuer -> Text,
        subject -> Text,
        token_type -> Nullable<Text>,
        scope -> Nullable<Text>,
        sealed_id_token -> Nullable<Bytea>,
        sealing_key_id -> Nullable<Text>,
        access_expires_at -> Nullable<Timestamptz>,
        last_refresh_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    auth_vault (id) {
        id -> Uuid,
        user_id -> Uuid,
        account_id -> Nullable<Uuid>,
        provider -> Text,
        subject -> Text,
        client_id -> Text,
        session_state_id -> Text,
        consent_session_id -> Nullable<Text>,
        token_type -> Text,
        encrypted_token -> Bytea,
        sealing_key_id -> Text,
        token_hash -> Bytea,
        scope -> Text,
        metadata -> Jsonb,
        grant_expires_at -> Nullable<Timestamptz>,
        state -> Text,
        dead_reason -> Nullable<Text>,
        version -> BigInt,
        presentations -> Integer,
        lease_holder -> Nullable<Uuid>,
        lease_until -> Nullable<Timestamptz>,
        call_deadline -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        last_access_at -> Timestamptz,
    }
}

diesel::table! {
    authorization_states (id) {
        id -> Bytea,
        kind -> Text,
        provider -> Text,
        browser_hash -> Nullable<Bytea>,
        user_id -> Nullable<Uuid>,
        subject -> Nullable<Text>,
        session_state_id -> Nullable<Text>,
        sealed_verifier -> Bytea,
        sealing_key_id -> Text,
        nonce -> Text,
        return_to -> Nullable<Text>,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    drawn_tokens (grant_id, scope) {
        grant_id -> Uuid,
        scope -> Text,
        sealed_access_token -> Bytea,
        sealing_key_id -> Text,
        obtained_at -> Timestamptz,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    logout_tokens (issuer, jti) {
        issuer -> Text,
        jti -> Text,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    persistent_tokens (id) {
        id -> Uuid,
        grant_id -> Uuid,
        user_id -> Uuid,
        session_state_id -> Text,
        created_at -> Timestamptz,
        last_used_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    provider_calls (id) {
        id -> Uuid,
        kind -> Text,
        state -> Text,
        provider -> Text,
        subject -> Text,
        client_id -> Text,
        session_state_id -> Text,
        grant_id -> Nullable<Uuid>,
        attempts -> Integer,
        last_error -> Nullable<Text>,
        calling_until -> Nullable<Timestamptz>,
        next_at -> Timestamptz,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    session_events (id) {
        id -> BigInt,
        session_id -> Uuid,
        kind -> Text,
        reason -> Nullable<Text>,
        at -> Timestamptz,
    }
}

diesel::table! {
    token_uses (id) {
        id -> BigInt,
        persistent_token_id -> Uuid,
        user_id -> Uuid,
        client_id -> Text,
        scope -> Text,
        outcome -> Text,
        used_at -> Timestamptz,
    }
}

diesel::table! {
    user_sessions (id) {
        id -> Uuid,
        user_id -> Uuid,
        account_id -> Nullable<Uuid>,
        provider -> Nullable<Text>,
        provider_session_id -> Nullable<Text>,
        fingerprint -> Nullable<Text>,
        user_agent -> Nullable<Text>,
        address_range -> Nullable<Text>,
        metadata -> Jsonb,
        active -> Bool,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        last_accessed_at -> Timestamptz,
        expires_at -> Nullable<Timestamptz>,
        ended_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    users (id) {
        id -> Uuid,
        keycloak_id -> Nullable<Text>,
        created_at -> Timestamptz,
    }
}

diesel::joinable!(accounts -> users (user_id));
diesel::joinable!(auth_vault -> accounts (account_id));
diesel::joinable!(auth_vault -> users (user_id));
diesel::joinable!(authorization_states -> users (user_id));
diesel::joinable!(drawn_tokens -> auth_vault (grant_id));
diesel::joinable!(persistent_tokens -> auth_vault (grant_id));
diesel::joinable!(persistent_tokens -> users (user_id));
diesel::joinable!(provider_calls -> auth_vault (grant_id));
diesel::joinable!(session_events -> user_sessions (session_id));
diesel::joinable!(token_uses -> users (user_id));
diesel::joinable!(user_sessions -> accounts (account_id));
diesel::joinable!(user_sessions -> users (user_id));

diesel::allow_tables_to_appear_in_same_query!(
    accounts,
    auth_vault,
    authorization_states,
    drawn_tokens,
    logout_tokens,
    persistent_tokens,
    provider_calls,
    session_events,
    token_uses,
    user_sessions,
    users,
);
