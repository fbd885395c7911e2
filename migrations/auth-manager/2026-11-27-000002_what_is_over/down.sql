DROP INDEX auth_vault_dead;
COMMENT ON COLUMN session_events.reason IS 'Why, where that says more: user, backchannel_logout, unlinked, revoked, expired.';
COMMENT ON COLUMN user_sessions.ended_at IS 'When it ended, if it did.';
