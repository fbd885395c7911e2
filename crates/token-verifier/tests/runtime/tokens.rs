//! Keys and tokens, a verifier for them, and waiting on conditions.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::clock::Clock;
use common::metrics::Metrics;
use common::readiness::State;
use common::settings::Secret;
use josekit::jwk::alg::rsa::RsaKeyPair;
use josekit::jws::{JwsSigner as _, RS256};
use serde_json::{Value, json};
use token_verifier::{Refusal, Verified, Verifier, VerifierSettings};

use crate::issuer::{CLIENT, Issuer, SECRET};

pub static PAIR: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(2048).unwrap());

pub const USER: &str = "6f1c1a52-3f8e-4d0c-9c76-0a4d3c1f2b10";
pub const SESSION: &str = "0d9ef5a8-7f0b-4f0e-8a53-6f2f8f0d7c11";
/// Later than any test.
pub const UNTIL: i64 = 4_000_000_000;

/// The public key under `kid`; all kids share one pair.
pub fn jwk(kid: &str) -> Value {
    let mut jwk = serde_json::to_value(PAIR.to_jwk_public_key()).unwrap();
    jwk["kid"] = kid.into();
    jwk
}

/// A token of `issuer` for an hour, signed by `kid`, with `jti` and the usual session.
pub fn token(issuer: &str, kid: &str, jti: &str) -> String {
    token_of_login(issuer, kid, jti, 0)
}

/// The same as a refresh gives it, so many seconds after the login.
fn token_of_login(issuer: &str, kid: &str, jti: &str, ago: i64) -> String {
    let now = Clock::default().now().timestamp();
    let header = json!({ "alg": "RS256", "typ": "at+jwt", "kid": kid });
    let payload = json!({
        "iss": issuer, "sub": USER, "aud": "latchkey", "exp": now + 3600, "iat": now, "nbf": now,
        "jti": jti, "client_id": "app", "user_id": USER, "device_id": USER, "sid": SESSION,
        "auth_time": now - ago, "amr": ["pwd"], "scope": "chat",
    });
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(&header), encode(&payload));
    let signer = RS256.signer_from_der(PAIR.to_der_private_key()).unwrap();
    let signature = URL_SAFE_NO_PAD.encode(signer.sign(message.as_bytes()).unwrap());
    format!("{message}.{signature}")
}

/// A verifier, its clock and its metrics.
pub struct Subject {
    pub verifier: Verifier,
    pub clock: Clock,
    pub metrics: Metrics,
    issuer: String,
}

impl Subject {
    pub fn of(issuer: &Issuer) -> Self {
        Self::with(issuer, |_| {})
    }

    pub fn with(issuer: &Issuer, adjust: impl FnOnce(&mut VerifierSettings)) -> Self {
        let mut settings =
            VerifierSettings::new(&issuer.url(), CLIENT, Secret::from(SECRET.to_owned()));
        adjust(&mut settings);
        let (clock, metrics) = (Clock::default(), Metrics::new("test"));
        let verifier = Verifier::start(&settings, clock.clone(), &metrics).unwrap();
        Self { verifier, clock, metrics, issuer: issuer.url() }
    }

    pub async fn ready(self) -> Self {
        until("the verifier is ready", || self.verifier.readiness() == State::Ready).await;
        self
    }

    pub fn token(&self, kid: &str, jti: &str) -> String {
        token(&self.issuer, kid, jti)
    }

    /// A token of somebody who logged in so many seconds ago.
    pub fn token_of_login(&self, ago: i64) -> String {
        token_of_login(&self.issuer, "k1", &ago.to_string(), ago)
    }

    /// A token of its own each time, so that no cache of tokens helps.
    pub async fn verify_new(&self, kid: &str) -> Result<Arc<Verified>, Refusal> {
        let jti = rand::random::<u64>().to_string();
        self.verifier.verify(&self.token(kid, &jti)).await
    }

    /// The value of a metric's line, labels included in `name`.
    pub fn metric(&self, name: &str) -> Option<i64> {
        let text = self.metrics.render();
        let line = text
            .lines()
            .find(|line| line.strip_prefix("test_").is_some_and(|l| l.starts_with(name)))?;
        line.rsplit_once(' ')?.1.parse().ok()
    }
}

/// Waits until `condition` holds, 20 seconds at most.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain until {what}");
}

/// Waits until verifying `token` comes to `expected`.
pub async fn until_verdict(verifier: &Verifier, token: &str, expected: Result<(), Refusal>) {
    for _ in 0..1000 {
        if verifier.verify(token).await.map(|_| ()) == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain for {expected:?}");
}
