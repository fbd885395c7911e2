SET LOCAL lock_timeout = '3s';
DROP TABLE api_keys;
DROP TABLE passkey_challenges;
DROP TABLE passkeys;
ALTER TABLE users DROP COLUMN role;
