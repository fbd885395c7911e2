CREATE TABLE cookie_rollout_sessions (
    revision bigint NOT NULL,
    session_id uuid NOT NULL,
    user_id uuid NOT NULL,
    seen_at timestamptz NOT NULL,
    replayed boolean NOT NULL DEFAULT false,
    csrf_refused boolean NOT NULL DEFAULT false,
    failed boolean NOT NULL DEFAULT false,
    PRIMARY KEY (revision, session_id)
);
CREATE INDEX cookie_rollout_sessions_by_time ON cookie_rollout_sessions (seen_at);
COMMENT ON TABLE cookie_rollout_sessions IS 'How live sessions with the newer cookies fare: what a step back to the older ones is decided by.';
COMMENT ON COLUMN cookie_rollout_sessions.revision IS 'Under which decision of cookie_rollout: each begins to count anew.';
COMMENT ON COLUMN cookie_rollout_sessions.session_id IS 'A session that was live when it was seen, or that a replay ended.';
COMMENT ON COLUMN cookie_rollout_sessions.user_id IS 'Whose: everybody counts once, however many sessions they have.';
COMMENT ON COLUMN cookie_rollout_sessions.seen_at IS 'When it was last seen.';
COMMENT ON COLUMN cookie_rollout_sessions.replayed IS 'Whether an old refresh token ended it.';
COMMENT ON COLUMN cookie_rollout_sessions.csrf_refused IS 'Whether a page of ours sent it a wrong CSRF token, or none.';
COMMENT ON COLUMN cookie_rollout_sessions.failed IS 'Whether a refresh was refused or failed although it lives.';
