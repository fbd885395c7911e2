-- No release writes the booleans: the table came with this one.
ALTER TABLE cookie_rollout_sessions
    ADD COLUMN replayed_at timestamptz,
    ADD COLUMN csrf_refused_at timestamptz,
    ADD COLUMN failed_at timestamptz;
UPDATE cookie_rollout_sessions SET
    replayed_at = CASE WHEN replayed THEN seen_at END,
    csrf_refused_at = CASE WHEN csrf_refused THEN seen_at END,
    failed_at = CASE WHEN failed THEN seen_at END;
ALTER TABLE cookie_rollout_sessions
    DROP COLUMN replayed,
    DROP COLUMN csrf_refused,
    DROP COLUMN failed;
COMMENT ON COLUMN cookie_rollout_sessions.seen_at IS 'When it was last seen alive, or when a replay ended it.';
COMMENT ON COLUMN cookie_rollout_sessions.replayed_at IS 'When an old refresh token ended it; null: none did.';
COMMENT ON COLUMN cookie_rollout_sessions.csrf_refused_at IS 'When a page of ours last sent it a wrong CSRF token, or none; null: never.';
COMMENT ON COLUMN cookie_rollout_sessions.failed_at IS 'When a refresh was last refused or failed although it lives; null: never.';
