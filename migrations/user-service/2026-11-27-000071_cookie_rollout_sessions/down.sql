DROP TABLE cookie_rollout_sessions;
