//! What user-service counts.

use common::metrics::Metrics;
use common::tasks::Tasks;
use prometheus::{Histogram, IntCounterVec, IntGauge, IntGaugeVec};

/// The service's metrics; every label has a bounded set of values.
#[derive(Clone)]
pub struct ServiceMetrics {
    /// Logins by `outcome` (`success`, `failure`: something in it was wrong, `refused`: not
    /// judged) and `reason`.
    pub logins: IntCounterVec,
    /// Duration of logins that succeeded.
    pub login_duration: Histogram,
    /// Refreshes by `outcome`.
    pub refreshes: IntCounterVec,
    /// Duration of refreshes, whatever came of them.
    pub refresh_duration: Histogram,
    /// Introspections by `outcome`.
    pub introspections: IntCounterVec,
    /// Revocations by `kind` of token.
    pub revocations: IntCounterVec,
    /// What limits refused, by `limit`.
    pub limited: IntCounterVec,
    /// What Redis was asked and the database did, by `what`: `limits`, `refresh`.
    pub redis_fallbacks: IntCounterVec,
    /// Refreshes by what their family's mutex came to, `outcome`.
    pub refresh_mutex: IntCounterVec,
    /// CAPTCHAs by `action` and `outcome`.
    pub captcha_checks: IntCounterVec,
    /// Step-ups by `outcome`.
    pub step_ups: IntCounterVec,
    /// Sessions ended by `reason`.
    pub sessions_ended: IntCounterVec,
    /// Look-ups of keys by `cache` (parsed: `signing`, `verifying`; `kid_to_user`,
    /// `keyset_by_user`) and `outcome` (`hit`, `miss`).
    pub key_lookups: IntCounterVec,
    /// Published keys by `state`: `waiting`, `active`, `revoked`; 100,000 stands for any number
    /// above it.
    pub keys: IntGaugeVec,
    /// Waiting keys.
    pub pool_waiting: IntGauge,
    /// Waiting keys older than the pool's age.
    pub pool_ready: IntGauge,
    /// Keys handed out by `source`: `aged`, `fresh` (younger than the pool's age), `dry` (made on
    /// the spot).
    pub keys_taken: IntCounterVec,
    /// Keys that the whole JWKS should hold; one more than `signing.jwks_max_keys` stands for any
    /// number above it.
    pub jwks_keys: IntGauge,
    /// Uses of damaged keys.
    pub damaged_keys: IntCounterVec,
    /// Keys that the JWKS leaves out.
    pub jwks_damaged: IntGauge,
    /// Whether the whole JWKS holds every live key (1) or had to be cut (0).
    pub jwks_complete: IntGauge,
    /// Streams of the change feed now open.
    pub feed_streams: IntGauge,
    /// Seconds between a revocation's writing and its sending.
    pub feed_lag: Histogram,
    /// Rows removed by cleaning, by `what` they were.
    pub cleaned: IntCounterVec,
    /// Security events by `outcome`: `linked` into the chain, `lost`: there was no room or no
    /// database for them.
    pub security_events: IntCounterVec,
    /// Security events that are past and stay, because somebody changed them.
    pub security_events_damaged: IntGauge,
    /// Checkpoints of purges that are not as the purge left them.
    pub checkpoints_damaged: IntGauge,
    /// Connections of the database pool by `state`.
    pub database_connections: IntGaugeVec,
    /// Password hashes waiting or being made.
    pub password_queue: IntGauge,
    /// CSRF checks by `outcome`: `valid`, `invalid`.
    pub csrf: IntCounterVec,
    /// Duration of such a check.
    pub csrf_duration: Histogram,
    /// Duration of `verify-token`, whatever it answers.
    pub verify_duration: Histogram,
    /// Percent of sessions that get the newer cookies.
    pub rollout_share: IntGauge,
    /// How often that was decided.
    pub rollout_revision: IntGauge,
    /// How often this replica took it back to the older cookies, by `reason`.
    pub rollout_steps_back: IntCounterVec,
    /// What runs as long as the service does.
    pub tasks: Tasks,
}

impl ServiceMetrics {
    /// Registers them all.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "one entry a metric, and nothing else")]
    pub fn register(metrics: &Metrics) -> Self {
        Self {
            tasks: metrics.tasks(),
            logins: metrics.counter(
                "login_attempts_total",
                "Logins by outcome and reason",
                &["outcome", "reason"],
            ),
            login_duration: metrics
                .histogram("login_duration_seconds", "Duration of logins that succeeded"),
            refreshes: metrics.counter(
                "refreshes_total",
                "Refreshes by outcome: rotated and grace (which succeed), replay, expired, revoked, forged, \
                 unproven, limited",
                &["outcome"],
            ),
            refresh_duration: metrics
                .histogram("refresh_duration_seconds", "Duration of refreshes, whatever came of them"),
            introspections: metrics.counter(
                "introspections_total",
                "Introspections by outcome: active, inactive",
                &["outcome"],
            ),
            revocations: metrics.counter(
                "revocations_total",
                "Revocations by kind of token: access, refresh, api_key, none",
                &["kind"],
            ),
            limited: metrics.counter(
                "rate_limited_total",
                "Requests refused by limit: register, register_device, login, username, \
                 device_login, password_check, login_failure (a browser then needs a CAPTCHA), solved_login (behind CAPTCHAs, by username)",
                &["limit"],
            ),
            redis_fallbacks: metrics.counter(
                "redis_fallbacks_total",
                "What the database did because Redis was away or, of limits, answered nonsense: limits, refresh (without its mutex)",
                &["what"],
            ),
            refresh_mutex: metrics.counter(
                "refresh_mutex_total",
                "Refreshes by what came of their session's mutex in Redis: held, waited (for \
                 another's), gave_up (waiting for one that has died, in whose place it went on), away",
                &["outcome"],
            ),
            captcha_checks: metrics.counter(
                "captcha_checks_total",
                "CAPTCHAs by action (register, login) and outcome: passed, missing, refused, \
                 wrong_action, wrong_host, too_old, low_score; of a provider that is away: \
                 away_closed, away_open; of one that gives no verdict: broken",
                &["action", "outcome"],
            ),
            step_ups: metrics.counter(
                "step_ups_total",
                "Step-ups by outcome: required, password, password_refused, passkey, \
                 passkey_refused",
                &["outcome"],
            ),
            sessions_ended: metrics.counter(
                "sessions_ended_total",
                "Sessions ended by reason",
                &["reason"],
            ),
            key_lookups: metrics.counter(
                "key_lookups_total",
                "Look-ups of keys in memory (parsed: signing, verifying; kid_to_user, keyset_by_user): \
                 hit or miss",
                &["cache", "outcome"],
            ),
            keys: metrics.gauges(
                "keys",
                "Published keys by state; 100000 stands for any number above it",
                &["state"],
            ),
            pool_waiting: metrics.gauge("key_pool_waiting", "Keys that wait in the pool"),
            pool_ready: metrics
                .gauge("key_pool_ready", "Waiting keys published for longer than the pool's age"),
            keys_taken: metrics.counter(
                "keys_taken_total",
                "Keys handed out: aged, fresh (younger than wanted), dry (made on the spot)",
                &["source"],
            ),
            jwks_keys: metrics.gauge("jwks_keys", "Keys in the whole JWKS, before any cut"),
            damaged_keys: metrics.counter(
                "damaged_keys_total",
                "Uses of keys that somebody damaged in the database, by part: private, public",
                &["part"],
            ),
            jwks_damaged: metrics
                .gauge("jwks_damaged_keys", "Keys left out of the JWKS because they are damaged"),
            jwks_complete: metrics
                .gauge("jwks_complete", "1 while the whole JWKS holds every live key"),
            feed_streams: metrics.gauge("feed_streams", "Open streams of the change feed"),
            feed_lag: metrics
                .histogram("feed_lag_seconds", "Time from a revocation's writing to its sending"),
            cleaned: metrics.counter(
                "cleaned_rows_total",
                "Rows removed by cleaning, by what they were",
                &["what"],
            ),
            security_events: metrics.counter(
                "security_events_total",
                "Security events by outcome: linked into the chain, lost",
                &["outcome"],
            ),
            security_events_damaged: metrics.gauge(
                "security_events_damaged_rows",
                "Security events that are past and stay, because somebody changed them",
            ),
            checkpoints_damaged: metrics.gauge(
                "security_events_damaged_checkpoints",
                "Checkpoints that purges of security events left, and that somebody changed",
            ),
            database_connections: metrics.gauges(
                "database_connections",
                "Connections of the pool by state",
                &["state"],
            ),
            password_queue: metrics
                .gauge("password_hashes_pending", "Password hashes waiting or being made"),
            csrf: metrics.counter(
                "csrf_checks_total",
                "CSRF checks of the cookie API by outcome: valid, invalid",
                &["outcome"],
            ),
            csrf_duration: metrics
                .short_histogram("csrf_check_duration_seconds", "Duration of CSRF checks"),
            verify_duration: metrics
                .short_histogram("verify_token_duration_seconds", "Duration of verify-token"),
            rollout_share: metrics.gauge(
                "cookie_rollout_share",
                "Percent of browsers' sessions that get the newer cookies",
            ),
            rollout_revision: metrics
                .gauge("cookie_rollout_revision", "How often the share was decided"),
            rollout_steps_back: metrics.counter(
                "cookie_rollout_steps_back_total",
                "Steps back to the older cookies by reason: replays, csrf, failures",
                &["reason"],
            ),
        }
    }
}
