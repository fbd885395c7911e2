ALTER TABLE auth_sessions DROP COLUMN device_proof;
