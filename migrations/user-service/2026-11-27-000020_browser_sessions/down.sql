SET LOCAL lock_timeout = '3s';
-- The release before knows no browsers: their sessions end, and verifiers hear of it.
CREATE TEMPORARY TABLE ended_here ON COMMIT DROP AS
    SELECT id, kid, user_id, last_access_expires_at + interval '5 minutes' AS until
    FROM auth_sessions WHERE api = 'cookie' AND ended_at IS NULL;
UPDATE user_keysets AS k SET keyset = jsonb_set(k.keyset, '{keys}', coalesce((
        SELECT jsonb_agg(member) FROM jsonb_array_elements(k.keyset -> 'keys') AS member
        WHERE member ->> 'kid' NOT IN (SELECT kid FROM ended_here WHERE kid IS NOT NULL)), '[]'))
    WHERE k.user_id IN (SELECT user_id FROM ended_here WHERE kid IS NOT NULL);
UPDATE published_keys AS p SET state = 'revoked', until = e.until
    FROM ended_here AS e WHERE p.kid = e.kid;
INSERT INTO key_changes (kind, value, until)
    SELECT 'sid', id::text, until FROM ended_here
    UNION ALL SELECT 'kid', kid, until FROM ended_here WHERE kid IS NOT NULL;
DELETE FROM devices WHERE browser;
DELETE FROM auth_sessions WHERE api = 'cookie';
DROP INDEX devices_of_browsers;
ALTER TABLE devices DROP COLUMN browser;
ALTER TABLE auth_sessions
    DROP CONSTRAINT device_hash_is_sha_256,
    DROP CONSTRAINT reuse_ends_by_replay,
    DROP CONSTRAINT auth_sessions_api_check,
    ADD CONSTRAINT auth_sessions_api_check CHECK (api IN ('bearer')),
    DROP COLUMN last_ip_cidr,
    DROP COLUMN device_hash,
    DROP COLUMN reused_jti_of;
COMMENT ON COLUMN auth_sessions.device_id IS 'On which device; a device has one live session.';
COMMENT ON COLUMN auth_sessions.api IS 'Through which API it was opened; it refreshes through no other.';
