CREATE TABLE auth_sessions (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    device_id uuid NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    api text NOT NULL CHECK (api IN ('bearer')),
    kid text,
    counter bigint NOT NULL DEFAULT 0,
    mac_version smallint NOT NULL,
    sealed_secret bytea NOT NULL,
    sealing_key_id text NOT NULL,
    auth_time timestamptz NOT NULL,
    amr text[] NOT NULL,
    client_id text NOT NULL,
    scope text NOT NULL,
    user_agent text,
    address_range text NOT NULL,
    created_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    rotated_at timestamptz NOT NULL,
    recent_rotations timestamptz[] NOT NULL DEFAULT '{}',
    last_access_expires_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    end_reason text,
    CONSTRAINT ended_with_a_reason CHECK ((ended_at IS NULL) = (end_reason IS NULL))
);
CREATE UNIQUE INDEX auth_sessions_one_live_per_device ON auth_sessions (device_id) WHERE ended_at IS NULL;
CREATE INDEX auth_sessions_live_by_user ON auth_sessions (user_id, created_at) WHERE ended_at IS NULL;
CREATE INDEX auth_sessions_live_by_expiry ON auth_sessions (expires_at) WHERE ended_at IS NULL;
CREATE INDEX auth_sessions_ended ON auth_sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX auth_sessions_by_device ON auth_sessions (device_id, created_at);
CREATE INDEX auth_sessions_by_user ON auth_sessions (user_id);
CREATE INDEX auth_sessions_by_sealing_key ON auth_sessions (sealing_key_id);
-- A refresh moves no indexed column, so that it stays a heap-only update.
ALTER TABLE auth_sessions SET (fillfactor = 70);
COMMENT ON TABLE auth_sessions IS 'Sessions: one row per refresh token family, not one per token.';
COMMENT ON COLUMN auth_sessions.id IS 'The family, and the access tokens'' sid.';
COMMENT ON COLUMN auth_sessions.user_id IS 'Who signed in.';
COMMENT ON COLUMN auth_sessions.device_id IS 'On which device; a device has one live session.';
COMMENT ON COLUMN auth_sessions.api IS 'Through which API it was opened; it refreshes through no other.';
COMMENT ON COLUMN auth_sessions.kid IS 'The device key that signs its access tokens; null where the service key does.';
COMMENT ON COLUMN auth_sessions.counter IS 'Number of the newest refresh token; each refresh moves it by one compare-and-set.';
COMMENT ON COLUMN auth_sessions.mac_version IS 'Version of the server key under which its refresh tokens carry their MAC.';
COMMENT ON COLUMN auth_sessions.sealed_secret IS 'ENCRYPTED (vault-crypto, identity: auth_sessions.secret, id): the family''s 32-byte secret.';
COMMENT ON COLUMN auth_sessions.sealing_key_id IS 'Which key of the ring sealed it.';
COMMENT ON COLUMN auth_sessions.auth_time IS 'When the person last proved who they are.';
COMMENT ON COLUMN auth_sessions.amr IS 'How they did (RFC 8176).';
COMMENT ON COLUMN auth_sessions.client_id IS 'The client that the tokens are issued to.';
COMMENT ON COLUMN auth_sessions.scope IS 'Granted scope, space separated.';
COMMENT ON COLUMN auth_sessions.user_agent IS 'User agent of the last login or rotation; what "the same device" means where there is no proof.';
COMMENT ON COLUMN auth_sessions.address_range IS 'Address range (/24 or /48) of the last login or rotation.';
COMMENT ON COLUMN auth_sessions.created_at IS 'Login.';
COMMENT ON COLUMN auth_sessions.last_seen_at IS 'Last login or refresh.';
COMMENT ON COLUMN auth_sessions.rotated_at IS 'When the newest refresh token was made; the grace window starts here.';
COMMENT ON COLUMN auth_sessions.recent_rotations IS 'Rotations within the limit''s hour, carried over to the device''s next session.';
COMMENT ON COLUMN auth_sessions.last_access_expires_at IS 'Latest expiry of any access token signed, recorded before it is signed: until then a revocation matters.';
COMMENT ON COLUMN auth_sessions.expires_at IS 'End of its absolute life.';
COMMENT ON COLUMN auth_sessions.ended_at IS 'When it ended, if it did.';
COMMENT ON COLUMN auth_sessions.end_reason IS 'Why: logout, logout_all, login, password_changed, session_removed, device_removed, replay, expired, too_many_sessions.';
