CREATE TABLE user_keysets (
    user_id uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    keyset jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
COMMENT ON TABLE user_keysets IS 'The signing keys of a user''s devices, one row locked and written per change.';
COMMENT ON COLUMN user_keysets.user_id IS 'Whose keys.';
COMMENT ON COLUMN user_keysets.keyset IS 'ENCRYPTED in part: a JWK set whose members name their device; "sealed" holds the private key (vault-crypto, identity: signing_key, kid).';
COMMENT ON COLUMN user_keysets.created_at IS 'First key.';
COMMENT ON COLUMN user_keysets.updated_at IS 'Last key added or removed.';

CREATE TABLE published_keys (
    kid text PRIMARY KEY,
    public_jwk jsonb NOT NULL,
    key_type text NOT NULL,
    state text NOT NULL CHECK (state IN ('waiting', 'active', 'revoked')),
    user_id uuid REFERENCES users (id) ON DELETE CASCADE,
    sealed_key bytea,
    sealing_key_id text NOT NULL,
    published_at timestamptz NOT NULL,
    activated_at timestamptz,
    until timestamptz,
    CONSTRAINT waiting_keys_are_sealed_here CHECK ((state = 'waiting') = (sealed_key IS NOT NULL)),
    CONSTRAINT only_waiting_keys_have_no_user CHECK ((state = 'waiting') = (user_id IS NULL))
);
CREATE INDEX published_keys_waiting ON published_keys (published_at) WHERE state = 'waiting';
CREATE INDEX published_keys_by_activation ON published_keys (activated_at) WHERE activated_at IS NOT NULL;
CREATE INDEX published_keys_live ON published_keys (published_at DESC) WHERE state <> 'revoked';
CREATE INDEX published_keys_revoked ON published_keys (until) WHERE state = 'revoked';
CREATE INDEX published_keys_by_user ON published_keys (user_id);
CREATE INDEX published_keys_by_sealing_key ON published_keys (sealing_key_id);
COMMENT ON TABLE published_keys IS 'Every key that the JWKS serves, changed in the transaction of its keyset; no query scans keysets.';
COMMENT ON COLUMN published_keys.kid IS 'Random key id.';
COMMENT ON COLUMN published_keys.public_jwk IS 'What the JWKS shows of it.';
COMMENT ON COLUMN published_keys.key_type IS 'Algorithm and size, such as RS256-2048 or ES256: what the pool holds under other settings is not handed out.';
COMMENT ON COLUMN published_keys.state IS 'waiting: in the pool, born published. active: in a keyset. revoked: no longer served.';
COMMENT ON COLUMN published_keys.user_id IS 'Whose keyset holds it; null while it waits.';
COMMENT ON COLUMN published_keys.sealed_key IS 'ENCRYPTED (vault-crypto, identity: signing_key, kid): the private key, PKCS#8, while it waits; then it moves into the keyset.';
COMMENT ON COLUMN published_keys.sealing_key_id IS 'Which key of the ring sealed the private key, here or in the keyset.';
COMMENT ON COLUMN published_keys.published_at IS 'Since when the JWKS shows it; the pool hands out the oldest first.';
COMMENT ON COLUMN published_keys.activated_at IS 'When it was handed out: the pool grows with how many were lately, whichever replica did it.';
COMMENT ON COLUMN published_keys.until IS 'For a revoked key: when its last token has expired and the row may go.';

CREATE TABLE key_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction_id bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    kind text NOT NULL CHECK (kind IN ('kid', 'sid', 'jti')),
    value text NOT NULL,
    until timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX key_changes_in_order ON key_changes (transaction_id, id);
CREATE INDEX key_changes_by_expiry ON key_changes (until);
COMMENT ON TABLE key_changes IS 'The change feed: revocations, each written in the transaction that revokes.';
COMMENT ON COLUMN key_changes.id IS 'Order within a transaction.';
COMMENT ON COLUMN key_changes.transaction_id IS 'The writing transaction: below the oldest one still running, nothing can appear any more.';
COMMENT ON COLUMN key_changes.kind IS 'What value names: a key id, a session id or a token id.';
COMMENT ON COLUMN key_changes.value IS 'What is revoked.';
COMMENT ON COLUMN key_changes.until IS 'When the last token that this could concern is past, leeway included.';
COMMENT ON COLUMN key_changes.created_at IS 'By the database''s clock; what the feed''s lag is measured from.';

CREATE FUNCTION wake_key_change_readers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY key_changes;
    RETURN NULL;
END $$;
CREATE TRIGGER key_changes_wake_readers AFTER INSERT ON key_changes
    FOR EACH STATEMENT EXECUTE FUNCTION wake_key_change_readers();
COMMENT ON FUNCTION wake_key_change_readers IS 'One wake-up a transaction, after its commit; readers poll behind it.';
