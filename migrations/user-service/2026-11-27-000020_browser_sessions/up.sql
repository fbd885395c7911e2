-- Behind a long transaction this would wait, and all refreshes behind it: it gives up instead.
SET LOCAL lock_timeout = '3s';
ALTER TABLE auth_sessions
    ADD COLUMN reused_jti_of bigint,
    ADD COLUMN device_hash bytea,
    ADD COLUMN last_ip_cidr cidr,
    DROP CONSTRAINT auth_sessions_api_check,
    ADD CONSTRAINT auth_sessions_api_check CHECK (api IN ('bearer', 'cookie')) NOT VALID,
    ADD CONSTRAINT reuse_ends_by_replay
        CHECK (reused_jti_of IS NULL OR end_reason = 'replay' AND end_reason IS NOT NULL) NOT VALID,
    ADD CONSTRAINT device_hash_is_sha_256
        CHECK (device_hash IS NULL OR octet_length(device_hash) = 32) NOT VALID;
COMMENT ON COLUMN auth_sessions.reused_jti_of IS 'Number of the superseded refresh token that was presented again and so ended the family; null otherwise.';
COMMENT ON COLUMN auth_sessions.device_hash IS 'SHA-256 of what stood for the device at the last login or rotation: the user agent, and in the cookie API, behind a zero byte, the id in the browser''s own long-lived cookie.';
COMMENT ON COLUMN auth_sessions.last_ip_cidr IS 'address_range in the database''s own type, which can be compared and searched; takes its place once no release writes that alone.';
COMMENT ON COLUMN auth_sessions.device_id IS 'On which device; a device has one live session, and a browser is a device made at login.';
COMMENT ON COLUMN auth_sessions.api IS 'Through which API it was opened, bearer or cookie; it refreshes through no other.';
ALTER TABLE devices ADD COLUMN browser boolean NOT NULL DEFAULT false;
CREATE INDEX devices_of_browsers ON devices (last_used_at) WHERE browser;
COMMENT ON INDEX devices_of_browsers IS 'Finds browsers whose only session is over: they go with it.';
COMMENT ON COLUMN devices.browser IS 'Whether a login in a browser made it, for that one session; it can prove nothing with its key.';
