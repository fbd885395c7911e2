CREATE INDEX auth_vault_revoking ON auth_vault (id) WHERE state = 'revoking';
COMMENT ON INDEX auth_vault_revoking IS 'Finds grants whose revocation waits for the other grant of their client and session.';
