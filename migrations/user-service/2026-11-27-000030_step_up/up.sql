-- Behind a long transaction this would wait, and all logins behind it: it gives up instead.
SET LOCAL lock_timeout = '3s';
ALTER TABLE users ADD COLUMN role text NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin'));
COMMENT ON COLUMN users.role IS 'user or admin; admins change roles.';

CREATE TABLE passkeys (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    credential_id bytea NOT NULL UNIQUE,
    name text NOT NULL,
    credential jsonb NOT NULL,
    counter bigint NOT NULL CHECK (counter >= 0),
    created_at timestamptz NOT NULL,
    last_used_at timestamptz
);
CREATE INDEX passkeys_by_user ON passkeys (user_id, created_at);
COMMENT ON TABLE passkeys IS 'Passkeys: WebAuthn credentials that prove a user again.';
COMMENT ON COLUMN passkeys.id IS 'What the API names it by.';
COMMENT ON COLUMN passkeys.user_id IS 'Whose.';
COMMENT ON COLUMN passkeys.credential_id IS 'The authenticator''s name for it; of one user only.';
COMMENT ON COLUMN passkeys.name IS 'What its owner calls it.';
COMMENT ON COLUMN passkeys.credential IS 'Public key, flags and policy, as webauthn-rs keeps them; nothing secret.';
COMMENT ON COLUMN passkeys.counter IS 'Signatures so far, as the authenticator says; 0 where it does not count. One that does not grow is refused.';
COMMENT ON COLUMN passkeys.created_at IS 'When it was added.';
COMMENT ON COLUMN passkeys.last_used_at IS 'When it last proved its owner; null before.';

CREATE TABLE passkey_challenges (
    session_id uuid NOT NULL REFERENCES auth_sessions (id) ON DELETE CASCADE,
    ceremony text NOT NULL CHECK (ceremony IN ('registration', 'authentication')),
    state jsonb NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (session_id, ceremony)
);
CREATE INDEX passkey_challenges_by_expiry ON passkey_challenges (expires_at);
COMMENT ON TABLE passkey_challenges IS 'Challenges of WebAuthn ceremonies under way: one of a kind and session, taken out by the answer, whatever it is worth.';
COMMENT ON COLUMN passkey_challenges.session_id IS 'The session that may answer.';
COMMENT ON COLUMN passkey_challenges.ceremony IS 'registration or authentication.';
COMMENT ON COLUMN passkey_challenges.state IS 'Challenge, policy and public keys allowed, as webauthn-rs keeps them.';
COMMENT ON COLUMN passkey_challenges.expires_at IS 'When an answer is too late and the row may go.';

CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key_hash bytea NOT NULL UNIQUE CHECK (octet_length(key_hash) = 32),
    name text NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    last_used_at timestamptz
);
CREATE INDEX api_keys_by_user ON api_keys (user_id, created_at);
CREATE INDEX api_keys_by_expiry ON api_keys (expires_at);
COMMENT ON TABLE api_keys IS 'Keys of users'' scripts. A revoked one is deleted.';
COMMENT ON COLUMN api_keys.id IS 'What the API names it by.';
COMMENT ON COLUMN api_keys.user_id IS 'For whom it speaks.';
COMMENT ON COLUMN api_keys.key_hash IS 'SHA-256 of the key, which has 256 random bits and is shown once.';
COMMENT ON COLUMN api_keys.name IS 'What its owner calls it.';
COMMENT ON COLUMN api_keys.scopes IS 'What it may be used for.';
COMMENT ON COLUMN api_keys.created_at IS 'When it was issued.';
COMMENT ON COLUMN api_keys.expires_at IS 'When it stops working and the row may go.';
COMMENT ON COLUMN api_keys.last_used_at IS 'When it was last introspected, to the minute; null before.';
