use std::collections::HashMap;
use std::fs;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use common::clock::Clock;
use common::metrics::Metrics;
use common::readiness::State;
use common::tasks::Tasks;
use moka::sync::Cache;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::feed::Feed;
use crate::judge::Judge;
use crate::key::Key;
use crate::key_cache::{KeyCache, Source};
use crate::key_source::KeySource;
use crate::metrics::VerifierMetrics;
use crate::policy::Policy;
use crate::reason::Refusal;
use crate::settings::VerifierSettings;
use crate::standing::Standing;
use crate::tombstones::Tombstones;
use crate::verified::Verified;

/// Tokens that nobody shows for this long are forgotten and checked anew.
const TOKEN_IDLE: Duration = Duration::from_mins(10);
/// No single wait of a live connection is longer, so that a turned clock is noticed.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Why a live connection's token is no longer good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Its key, session or id was revoked.
    Revoked,
    /// It expired, and the leeway with it.
    Expired,
    /// The feed has been lost for longer than the stale limit: it may be revoked by now.
    CannotJudge,
}

type Background = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Checks access tokens. Clones share everything; what runs in the background ends with the last
/// of them.
#[derive(Clone)]
pub struct Verifier {
    judge: Arc<Judge>,
    _background: Arc<DropGuard>,
}

impl Verifier {
    /// Starts to follow the issuer, or reads the PEM files that stand in for it. Returns at once:
    /// the issuer may come up later. Called within a tokio runtime that outlives the verifier;
    /// errors are bad settings, in one line that names the key.
    pub fn start(
        settings: &VerifierSettings,
        clock: Clock,
        metrics: &Metrics,
    ) -> Result<Self, String> {
        settings.check()?;
        let stop = CancellationToken::new();
        let files = &settings.public_key_files.0;
        let judge = if files.is_empty() {
            let judge = build(settings, clock, metrics, Source::Issuer(KeySource::new(settings)?));
            run_in_background(&judge, &Feed::new(settings)?, &stop, &metrics.tasks());
            judge
        } else {
            build(settings, clock, metrics, Source::Files(read_files(files)?))
        };
        Ok(Self { judge, _background: Arc::new(stop.drop_guard()) })
    }

    /// The time by the verifier's clock.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.judge.clock.now()
    }

    /// Accepts a token or says why not.
    pub async fn verify(&self, token: &str) -> Result<Arc<Verified>, Refusal> {
        let result = self.judge.decide(token).await;
        let (outcome, reason) = match &result {
            Ok(_) => {
                self.judge.metrics.accepted.inc();
                return result;
            }
            Err(Refusal::Invalid(reason)) => ("refused", reason.as_str()),
            Err(Refusal::CannotJudge) => ("cannot_judge", ""),
        };
        self.judge.metrics.verifications.with_label_values(&[outcome, reason]).inc();
        tracing::info!(outcome, reason, "token_not_accepted");
        result
    }

    /// Whether tokens can be judged and the keys are there; degraded while the feed is lost and
    /// the stale limit not reached. Reasons are for operators.
    #[must_use]
    pub fn readiness(&self) -> State {
        let lost = self.judge.standing.lost();
        if let Err(reason) = self.judge.standing.check() {
            let why = lost.map(|lost| format!(": {lost}")).unwrap_or_default();
            return State::NotReady(format!("{reason}{why}"));
        }
        if !self.judge.keys.is_loaded() {
            return State::NotReady("no keys have been fetched yet".to_owned());
        }
        match lost {
            Some(reason) => State::Degraded(format!("the change feed is lost: {reason}")),
            None => State::Ready,
        }
    }

    /// Waits until the token of a live connection is revoked or expires, or nobody can tell.
    pub async fn until_refused(&self, verified: &Verified) -> Ended {
        let judge = &self.judge;
        let mut added = judge.tombstones.watch();
        loop {
            if judge.tombstones.contain(verified) {
                return Ended::Revoked;
            }
            let left = judge.until_expiry(&verified.claims);
            if left <= TimeDelta::zero() {
                return Ended::Expired;
            }
            if judge.standing.check_live().is_err() {
                return Ended::CannotJudge;
            }
            let wait = left.to_std().unwrap_or_default().min(LONGEST_WAIT);
            tokio::select! {
                // The sender lives in `judge`, so this can't fail while we look.
                _ = added.changed() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

fn build(
    settings: &VerifierSettings,
    clock: Clock,
    metrics: &Metrics,
    source: Source,
) -> Arc<Judge> {
    let metrics = VerifierMetrics::register(metrics);
    let tokens = Cache::builder().max_capacity(settings.max_tokens).time_to_idle(TOKEN_IDLE);
    Arc::new(Judge {
        policy: Policy {
            issuer: settings.issuer().to_owned(),
            audience: settings.audience.clone(),
            leeway: settings.leeway.as_delta(),
            legacy: settings.legacy(),
        },
        standing: Standing::new(
            clock.clone(),
            settings.stale_limit.0,
            matches!(source, Source::Issuer(_)),
        ),
        clock,
        keys: KeyCache::new(settings.max_keys, source, metrics.clone()),
        tokens: tokens.build(),
        tombstones: Tombstones::default(),
        metrics,
    })
}

fn run_in_background(judge: &Arc<Judge>, feed: &Feed, stop: &CancellationToken, tasks: &Tasks) {
    let run = |name, begin: fn(Arc<Judge>, Feed) -> Background| {
        let (judge, feed, stop) = (Arc::clone(judge), feed.clone(), stop.clone());
        tasks.run(name, move || {
            let (task, stop) = (begin(Arc::clone(&judge), feed.clone()), stop.clone());
            async move {
                stop.run_until_cancelled_owned(task).await;
            }
        });
    };
    run("verifier_feed", |judge, feed| Box::pin(feed.follow(judge)));
    run("verifier_keys", |judge, _| Box::pin(judge.keep_keys_fresh()));
    run("verifier_revocations", |judge, _| Box::pin(judge.sweep()));
}

fn read_files(files: &[String]) -> Result<HashMap<String, Key>, String> {
    let read = |path: &String| {
        let pem = fs::read(path).map_err(|error| {
            format!("`verifier.public_key_files`: {path} can't be read: {error}")
        })?;
        let key = Key::from_pem(&pem)
            .map_err(|error| format!("`verifier.public_key_files`: {path}: {error}"))?;
        Ok((key.kid().to_owned(), key))
    };
    files.iter().map(read).collect()
}
