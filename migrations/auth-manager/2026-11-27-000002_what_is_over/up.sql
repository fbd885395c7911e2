CREATE INDEX auth_vault_dead ON auth_vault (updated_at) WHERE state = 'dead';
COMMENT ON INDEX auth_vault_dead IS 'Finds grants that have been dead for so long that they go.';
COMMENT ON COLUMN session_events.reason IS 'Why, where that says more: user, backchannel_logout, unlinked, expired.';
COMMENT ON COLUMN user_sessions.ended_at IS 'When it ended, if it did; the same as expires_at where nobody ended it.';
