-- These look at all rows while others read and write them.
ALTER TABLE auth_sessions VALIDATE CONSTRAINT auth_sessions_api_check;
ALTER TABLE auth_sessions VALIDATE CONSTRAINT reuse_ends_by_replay;
ALTER TABLE auth_sessions VALIDATE CONSTRAINT device_hash_is_sha_256;
