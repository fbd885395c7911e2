CREATE TABLE service_keys (
    kid text PRIMARY KEY,
    public_jwk jsonb NOT NULL,
    key_type text NOT NULL,
    store text NOT NULL CHECK (store IN ('database', 'pkcs11', 'transit')),
    state text NOT NULL CHECK (state IN ('next', 'current', 'retired', 'revoked')),
    sealed_key bytea,
    sealing_key_id text,
    token_life bigint NOT NULL,
    published_at timestamptz NOT NULL,
    activated_at timestamptz,
    retired_at timestamptz,
    until timestamptz,
    CONSTRAINT keys_that_may_sign_are_sealed_here CHECK (
        (sealed_key IS NOT NULL) = (store = 'database' AND state IN ('next', 'current'))
    ),
    CONSTRAINT sealed_keys_name_their_key CHECK ((sealed_key IS NULL) = (sealing_key_id IS NULL)),
    CONSTRAINT keys_that_signed_have_an_end CHECK (
        (state IN ('retired', 'revoked')) = (until IS NOT NULL)
    )
);
CREATE UNIQUE INDEX service_keys_one_a_part ON service_keys (state)
    WHERE state IN ('next', 'current');
COMMENT ON TABLE service_keys IS 'The ring of service keys: next, current and retired ones, one set for all replicas. A handful of rows.';
COMMENT ON COLUMN service_keys.kid IS 'Random key id; in a store outside, also what the private key is found by.';
COMMENT ON COLUMN service_keys.public_jwk IS 'What the JWKS shows of it.';
COMMENT ON COLUMN service_keys.key_type IS 'Algorithm and size, such as RS256-2048 or ES256.';
COMMENT ON COLUMN service_keys.store IS 'Where the private key is: here, in a PKCS#11 token, or behind a transit service.';
COMMENT ON COLUMN service_keys.state IS 'next: published, signs after the next rotation. current: signs. retired: verifies until its last token is past. revoked: refused.';
COMMENT ON COLUMN service_keys.sealed_key IS 'ENCRYPTED (vault-crypto, identity: service_key, kid): the private key, PKCS#8, where it is kept here; gone once the key signs no more.';
COMMENT ON COLUMN service_keys.sealing_key_id IS 'Which key of the ring in vault.keys sealed it.';
COMMENT ON COLUMN service_keys.token_life IS 'Seconds: the longest life of a token that any replica was configured to sign with it.';
COMMENT ON COLUMN service_keys.published_at IS 'Since when the JWKS shows it.';
COMMENT ON COLUMN service_keys.activated_at IS 'Since when it signs.';
COMMENT ON COLUMN service_keys.retired_at IS 'When it stopped to sign.';
COMMENT ON COLUMN service_keys.until IS 'For a retired key: until when it verifies. For a revoked one: until when verifiers are told. Then the row goes.';

CREATE TRIGGER service_keys_wake_readers AFTER INSERT OR UPDATE ON service_keys
    FOR EACH STATEMENT EXECUTE FUNCTION wake_key_change_readers();
