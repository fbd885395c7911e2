ALTER TABLE user_sessions
    ADD COLUMN access_token text,
    ADD COLUMN refresh_token text,
    ADD COLUMN id_token text,
    ADD COLUMN access_token_expires_at timestamptz,
    ADD COLUMN refresh_token_expires_at timestamptz;
CREATE INDEX user_sessions_with_plain_tokens ON user_sessions (id)
    WHERE access_token IS NOT NULL OR refresh_token IS NOT NULL OR id_token IS NOT NULL;
COMMENT ON COLUMN user_sessions.access_token IS 'PLAIN, of an older layout; the import moves it into the vault and empties it.';
COMMENT ON COLUMN user_sessions.refresh_token IS 'PLAIN, of an older layout; the import moves it into the vault and empties it.';
COMMENT ON COLUMN user_sessions.id_token IS 'PLAIN, of an older layout; the import moves it into the vault and empties it.';
COMMENT ON COLUMN user_sessions.access_token_expires_at IS 'Of an older layout: expiry of the plain access token.';
COMMENT ON COLUMN user_sessions.refresh_token_expires_at IS 'Of an older layout: expiry of the plain refresh token; null: no maximum.';
