ALTER TABLE auth_sessions
    DROP CONSTRAINT auth_sessions_api_check,
    ADD CONSTRAINT auth_sessions_api_check CHECK (api IN ('bearer', 'cookie')) NOT VALID,
    DROP CONSTRAINT reuse_ends_by_replay,
    ADD CONSTRAINT reuse_ends_by_replay
        CHECK (reused_jti_of IS NULL OR end_reason = 'replay' AND end_reason IS NOT NULL) NOT VALID,
    DROP CONSTRAINT device_hash_is_sha_256,
    ADD CONSTRAINT device_hash_is_sha_256
        CHECK (device_hash IS NULL OR octet_length(device_hash) = 32) NOT VALID;
