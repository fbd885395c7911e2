ALTER TABLE auth_sessions ADD COLUMN device_proof boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN auth_sessions.device_proof IS 'Whether a refresh has shown a device proof; from then on each must.';
