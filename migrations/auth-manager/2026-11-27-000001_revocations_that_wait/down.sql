DROP INDEX auth_vault_revoking;
