DO $$
BEGIN
    IF EXISTS (
        SELECT FROM user_sessions
        WHERE access_token IS NOT NULL OR refresh_token IS NOT NULL OR id_token IS NOT NULL
    ) THEN
        RAISE EXCEPTION 'user_sessions still has plain tokens; run `latchkey migrate account-vault` first';
    END IF;
END $$;
DROP INDEX user_sessions_with_plain_tokens;
ALTER TABLE user_sessions
    DROP COLUMN access_token,
    DROP COLUMN refresh_token,
    DROP COLUMN id_token,
    DROP COLUMN access_token_expires_at,
    DROP COLUMN refresh_token_expires_at;
