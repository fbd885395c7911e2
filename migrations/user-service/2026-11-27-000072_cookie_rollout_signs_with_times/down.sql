ALTER TABLE cookie_rollout_sessions
    ADD COLUMN replayed boolean NOT NULL DEFAULT false,
    ADD COLUMN csrf_refused boolean NOT NULL DEFAULT false,
    ADD COLUMN failed boolean NOT NULL DEFAULT false;
UPDATE cookie_rollout_sessions SET
    replayed = replayed_at IS NOT NULL,
    csrf_refused = csrf_refused_at IS NOT NULL,
    failed = failed_at IS NOT NULL;
ALTER TABLE cookie_rollout_sessions
    DROP COLUMN replayed_at,
    DROP COLUMN csrf_refused_at,
    DROP COLUMN failed_at;
COMMENT ON COLUMN cookie_rollout_sessions.seen_at IS 'When it was last seen.';
COMMENT ON COLUMN cookie_rollout_sessions.replayed IS 'Whether an old refresh token ended it.';
COMMENT ON COLUMN cookie_rollout_sessions.csrf_refused IS 'Whether a page of ours sent it a wrong CSRF token, or none.';
COMMENT ON COLUMN cookie_rollout_sessions.failed IS 'Whether a refresh was refused or failed although it lives.';
