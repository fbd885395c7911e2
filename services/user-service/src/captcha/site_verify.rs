use std::time::Duration;

use chrono::TimeDelta;
use common::clock::Clock;
use common::http::{ClientAddress, Correlation};
use common::settings::Secret;
use futures_util::future::BoxFuture;
use prometheus::IntCounterVec;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, redirect};

use super::judge::{Answer, Expected, Fault, judge};
use super::{Action, Captcha, Challenge, Verdict};
use crate::config::{CaptchaSettings, WhenAway};
use crate::error::Error;

/// Longer tokens are no provider's.
const MAX_TOKEN: usize = 4096;
const MAX_ANSWER: usize = 64 * 1024;
const FORM: &str = "application/x-www-form-urlencoded";

/// What differs between providers, whose protocol is the same.
#[derive(Clone, Copy)]
pub(super) struct Provider {
    name: &'static str,
    url: &'static str,
    scores: bool,
}

pub(super) const TURNSTILE: Provider = Provider {
    name: "turnstile",
    url: "https://challenges.cloudflare.com/turnstile/v0/siteverify",
    scores: false,
};
pub(super) const RECAPTCHA: Provider = Provider {
    name: "recaptcha",
    url: "https://www.google.com/recaptcha/api/siteverify",
    scores: true,
};

/// Asks a provider.
pub(super) struct SiteVerify {
    provider: Provider,
    url: String,
    site_key: String,
    secret: Secret,
    hostnames: Vec<String>,
    min_score: Option<f64>,
    max_age: TimeDelta,
    timeout: Duration,
    when_away: WhenAway,
    client: Client,
    clock: Clock,
    checks: IntCounterVec,
}

/// Why there is no answer.
enum Unanswered {
    /// None came in time, or the provider said that it can't give one.
    Away,
    /// Anything else: settings are wrong, or somebody else answers.
    Broken(String),
}

impl From<reqwest::Error> for Unanswered {
    fn from(error: reqwest::Error) -> Self {
        Self::Broken(error.without_url().to_string())
    }
}

impl SiteVerify {
    pub(super) fn new(
        provider: Provider,
        settings: &CaptchaSettings,
        clock: Clock,
        checks: IntCounterVec,
    ) -> Result<Self, String> {
        let client = Client::builder().redirect(redirect::Policy::none()).no_proxy().build();
        let secret = settings.secret.clone().ok_or("`captcha.secret` is required")?;
        Ok(Self {
            provider,
            url: settings.url.clone().unwrap_or_else(|| provider.url.to_owned()),
            site_key: settings.site_key.clone().unwrap_or_default(),
            secret,
            hostnames: settings.hostnames.0.clone(),
            min_score: provider.scores.then_some(settings.min_score),
            max_age: settings.max_age.as_delta(),
            timeout: settings.timeout.0,
            when_away: settings.when_away,
            client: client.map_err(|error| error.to_string())?,
            clock,
            checks,
        })
    }

    async fn checked(
        &self,
        token: Option<&str>,
        action: Action,
        address: ClientAddress,
    ) -> Result<Verdict, Error> {
        let Some(token) = token.filter(|token| !token.trim().is_empty()) else {
            self.count(action, "missing");
            let (provider, site_key) = (self.provider.name, self.site_key.clone());
            return Err(Error::CaptchaRequired(Challenge { provider, site_key, action }));
        };
        if token.len() > MAX_TOKEN {
            return self.refuse(action, Fault::Refused);
        }
        let asked = tokio::time::timeout(self.timeout, self.ask(token, address)).await;
        match asked.unwrap_or(Err(Unanswered::Away)) {
            Ok(answer) => match judge(&answer, &self.expected(action)) {
                Ok(()) => {
                    self.count(action, "passed");
                    Ok(Verdict::Person)
                }
                Err(Fault::Broken) => self.broken(action, &answer.error_codes.join(", ")),
                Err(fault) => self.refuse(action, fault),
            },
            Err(Unanswered::Away) => self.away(action),
            Err(Unanswered::Broken(reason)) => self.broken(action, &reason),
        }
    }

    async fn ask(&self, token: &str, address: ClientAddress) -> Result<Answer, Unanswered> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("secret", self.secret.expose())
            .append_pair("response", token)
            .append_pair("remoteip", &address.0.to_string())
            .finish();
        let request = self.client.post(&self.url).header(CONTENT_TYPE, FORM).body(form);
        let headers = Correlation::headers().into_iter();
        let request = headers.fold(request, |request, (name, value)| request.header(name, value));
        let mut response = request.send().await?;
        let status = response.status();
        if status.is_server_error() {
            return Err(Unanswered::Away);
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER {
                return Err(Unanswered::Broken("its answer is too large".to_owned()));
            }
        }
        serde_json::from_slice(&body)
            .map_err(|_| Unanswered::Broken(format!("it answered {status}, and no verdict")))
    }

    fn expected(&self, action: Action) -> Expected<'_> {
        Expected {
            action: action.as_str(),
            hostnames: &self.hostnames,
            max_age: self.max_age,
            min_score: self.min_score,
            now: self.clock.now(),
        }
    }

    fn refuse(&self, action: Action, fault: Fault) -> Result<Verdict, Error> {
        self.count(action, fault.as_str());
        tracing::info!(action = action.as_str(), reason = fault.as_str(), "captcha_refused");
        Err(Error::CaptchaInvalid)
    }

    fn away(&self, action: Action) -> Result<Verdict, Error> {
        let open = self.when_away == WhenAway::Open;
        self.count(action, if open { "away_open" } else { "away_closed" });
        tracing::warn!(provider = self.provider.name, open, "captcha_provider_away");
        if open { Ok(Verdict::LetThrough) } else { Err(Error::CaptchaUnavailable) }
    }

    /// Never open: what is wrong here lasts until somebody mends it.
    fn broken(&self, action: Action, reason: &str) -> Result<Verdict, Error> {
        self.count(action, Fault::Broken.as_str());
        tracing::error!(provider = self.provider.name, reason, "captcha_provider_broken");
        Err(Error::CaptchaUnavailable)
    }

    fn count(&self, action: Action, outcome: &str) {
        self.checks.with_label_values(&[action.as_str(), outcome]).inc();
    }
}

impl Captcha for SiteVerify {
    fn is_on(&self) -> bool {
        true
    }

    fn check<'a>(
        &'a self,
        token: Option<&'a str>,
        action: Action,
        address: ClientAddress,
    ) -> BoxFuture<'a, Result<Verdict, Error>> {
        Box::pin(self.checked(token, action, address))
    }
}
