DROP TABLE cookie_rollout;
