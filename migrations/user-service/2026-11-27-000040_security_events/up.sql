CREATE TABLE security_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    user_id uuid,
    session_id uuid,
    device_id uuid,
    address text,
    user_agent text,
    details jsonb NOT NULL DEFAULT '{}',
    personal jsonb NOT NULL DEFAULT '{}',
    salt uuid DEFAULT gen_random_uuid(),
    once bytea,
    position bigint UNIQUE,
    personal_digest bytea,
    link bytea,
    key_version smallint,
    forgotten_seal bytea,
    CONSTRAINT linked_rows_are_linked_in_full CHECK (
        num_nulls(position, personal_digest, link, key_version) IN (0, 4)
    )
);
CREATE INDEX security_events_pending ON security_events (id) WHERE position IS NULL;
CREATE INDEX security_events_by_user ON security_events (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX security_events_by_kind ON security_events (kind, occurred_at);
CREATE UNIQUE INDEX security_events_once ON security_events (once) WHERE once IS NOT NULL;
COMMENT ON TABLE security_events IS 'What happened to accounts, sessions and keys, each row written in the transaction that it describes. No foreign keys: it outlives what it speaks of.';
COMMENT ON COLUMN security_events.id IS 'Order of writing, not of commits.';
COMMENT ON COLUMN security_events.kind IS 'What happened, such as login_succeeded.';
COMMENT ON COLUMN security_events.occurred_at IS 'By the database''s clock.';
COMMENT ON COLUMN security_events.user_id IS 'PERSONAL: whose account; null where there is none, or once forgotten.';
COMMENT ON COLUMN security_events.session_id IS 'PERSONAL: in which session.';
COMMENT ON COLUMN security_events.device_id IS 'PERSONAL: on which device.';
COMMENT ON COLUMN security_events.address IS 'PERSONAL: from where, in full.';
COMMENT ON COLUMN security_events.user_agent IS 'PERSONAL: with what.';
COMMENT ON COLUMN security_events.details IS 'What else is known, as far as it names nobody.';
COMMENT ON COLUMN security_events.personal IS 'PERSONAL: what else is known.';
COMMENT ON COLUMN security_events.salt IS 'Random; without it the digest of the personal columns can''t be tested against guesses. Null once forgotten.';
COMMENT ON COLUMN security_events.once IS 'HMAC of what may be written once a minute; null for everything else.';
COMMENT ON COLUMN security_events.position IS 'Place in the chain, without gaps; null until the row is linked.';
COMMENT ON COLUMN security_events.personal_digest IS 'HMAC-SHA-256 of the personal columns under the salt; stays when they are forgotten.';
COMMENT ON COLUMN security_events.link IS 'HMAC-SHA-256 over the former row''s link and this row, under a key that is not in the database.';
COMMENT ON COLUMN security_events.key_version IS 'Which key of audit.chain_keys made the link.';
COMMENT ON COLUMN security_events.forgotten_seal IS 'HMAC-SHA-256 that says who forgot the row was one of us; null while nothing is forgotten.';

CREATE TABLE security_event_head (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    position bigint NOT NULL,
    link bytea NOT NULL,
    key_version smallint NOT NULL,
    seal bytea NOT NULL
);
COMMENT ON TABLE security_event_head IS 'The end of the chain of security events; a chain cut short does not reach it.';
COMMENT ON COLUMN security_event_head.only_one IS 'There is one row.';
COMMENT ON COLUMN security_event_head.position IS 'Place of the last linked event.';
COMMENT ON COLUMN security_event_head.link IS 'Its link.';
COMMENT ON COLUMN security_event_head.key_version IS 'Which key of audit.chain_keys made the seal.';
COMMENT ON COLUMN security_event_head.seal IS 'HMAC-SHA-256 over position and link.';

CREATE TABLE security_event_checkpoints (
    first_position bigint PRIMARY KEY,
    last_position bigint NOT NULL UNIQUE,
    former_link bytea NOT NULL,
    link bytea NOT NULL,
    purged_at timestamptz NOT NULL,
    key_version smallint NOT NULL,
    seal bytea NOT NULL,
    CONSTRAINT in_order CHECK (first_position <= last_position)
);
COMMENT ON TABLE security_event_checkpoints IS 'What a purge leaves of rows that were next to each other in the chain; neighbours are merged.';
COMMENT ON COLUMN security_event_checkpoints.first_position IS 'Place of the first row that is gone.';
COMMENT ON COLUMN security_event_checkpoints.last_position IS 'Place of the last one: with the first, how many.';
COMMENT ON COLUMN security_event_checkpoints.former_link IS 'The link before the first one.';
COMMENT ON COLUMN security_event_checkpoints.link IS 'The last one''s link, where the chain goes on.';
COMMENT ON COLUMN security_event_checkpoints.purged_at IS 'The latest of the purges.';
COMMENT ON COLUMN security_event_checkpoints.key_version IS 'Which key of audit.chain_keys made the seal.';
COMMENT ON COLUMN security_event_checkpoints.seal IS 'HMAC-SHA-256 over all of it.';
