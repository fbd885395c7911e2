-- Not logged: after a crash everybody begins anew, and no login waits for a disk for it.
CREATE UNLOGGED TABLE rate_limits (
    key bytea PRIMARY KEY,
    events timestamptz[] NOT NULL DEFAULT '{}',
    strikes integer NOT NULL DEFAULT 0,
    blocked_until timestamptz,
    expires_at timestamptz NOT NULL
);
CREATE INDEX rate_limits_by_expiry ON rate_limits (expires_at);
COMMENT ON TABLE rate_limits IS 'What the limits remember, for all replicas; a row is one limit and whom it counts.';
COMMENT ON COLUMN rate_limits.key IS 'SHA-256 of the limit and the address, username, account or device: no address is kept in the clear.';
COMMENT ON COLUMN rate_limits.events IS 'What was allowed within the sliding window.';
COMMENT ON COLUMN rate_limits.strikes IS 'How often the limit was reached; each time the wait doubles.';
COMMENT ON COLUMN rate_limits.blocked_until IS 'Until when everything is refused; null where nothing is.';
COMMENT ON COLUMN rate_limits.expires_at IS 'When the row no longer matters and may go.';
