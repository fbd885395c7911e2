use std::time::Duration;

use chrono::{DateTime, Utc};
use common::clock::Clock;
use common::metrics::Metrics;
use common::settings::{List, Period, Secret};

use crate::settings::VerifierSettings;
use crate::verifier::Verifier;

/// Makes a [`Verifier`] of few words; what is not said has the defaults of
/// [`SETTINGS`](crate::SETTINGS). See [`Verifier::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct VerifierBuilder {
    settings: VerifierSettings,
    clock: Clock,
}

impl Verifier {
    /// A verifier of what the user-service at `url` issues, that knows itself to its change feed
    /// as `client_id`.
    pub fn builder(url: &str, client_id: &str, client_secret: Secret) -> VerifierBuilder {
        let settings = VerifierSettings::new(url, client_id, client_secret);
        VerifierBuilder { settings, clock: Clock::default() }
    }

    /// A verifier of what these PEM public keys signed for `issuer`: no network, no revocation.
    pub fn of_public_keys(files: &[&str], issuer: &str) -> VerifierBuilder {
        let mut settings = VerifierSettings::new(issuer, "", Secret::from(String::new()));
        settings.public_key_files = List(files.iter().map(|file| (*file).to_owned()).collect());
        settings.client_secret = None;
        VerifierBuilder { settings, clock: Clock::default() }
    }
}

impl VerifierBuilder {
    /// `iss`, where it is not the URL.
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.settings.issuer = Some(issuer.to_owned());
        self
    }

    /// PEM of the authorities that its certificate may be from, instead of the machine's own.
    pub fn ca_path(mut self, path: &str) -> Self {
        self.settings.ca_path = Some(path.to_owned());
        self
    }

    /// `aud`; `latchkey` by default.
    pub fn audience(mut self, audience: &str) -> Self {
        audience.clone_into(&mut self.settings.audience);
        self
    }

    /// Clock leeway, 5 minutes at most; one minute by default.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.settings.leeway = Period(leeway);
        self
    }

    /// Accepts tokens of an older layout `until` then, those of `issuer` beside the present one's.
    pub fn legacy(mut self, until: DateTime<Utc>, issuer: Option<&str>) -> Self {
        self.settings.legacy_until = Some(until);
        self.settings.legacy_issuer = issuer.map(str::to_owned);
        self
    }

    /// How long to go on without the change feed, 10 seconds at least; 30 by default.
    pub fn stale_limit(mut self, limit: Duration) -> Self {
        self.settings.stale_limit = Period(limit);
        self
    }

    /// Where the time comes from; the system's clock by default.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Starts it, as [`Verifier::start`] does, with its metrics in `metrics`.
    pub fn start(self, metrics: &Metrics) -> Result<Verifier, String> {
        Verifier::start(&self.settings, self.clock, metrics)
    }
}
