//! Drives the real server on a real PostgreSQL, through every endpoint.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on fails")]

mod browser_csrf;
mod browser_login;
mod browser_refresh;
mod browser_sessions;
mod browser_support;
mod browser_verify;
mod captcha;
mod captcha_stand_in;
mod change_feed;
mod contract;
mod cookie_rollout;
mod cookie_step_back;
mod crashes;
mod damaged_keys;
mod device_proof;
mod devices;
mod feed_reader;
mod foreign_clients;
mod hostile;
mod hostile_input;
mod keys;
mod keysets;
mod limits;
mod login;
mod login_limits;
mod migrations;
mod oauth;
mod older_keys;
mod outside_keys;
mod planted_cookies;
mod pool;
mod races;
mod redis;
mod redis_tls;
mod refresh_races;
mod registration;
mod security_events;
mod service_keys;
mod session_columns;
mod sessions;
mod step_up;
mod support;
mod transit_stand_in;
mod wrapped_keys;
