use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::clock::Clock;
use common::readiness::State as ReadinessState;
use common::settings::Secret;
use moka::Entry;
use moka::future::Cache;
use moka::ops::compute::Op;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::Caller;
use crate::config::CallerSettings;
use crate::error::Error;
use crate::forgotten::Forgotten;
use crate::metrics::ServiceMetrics;
use crate::providers::{Fault, Provider, Providers, unverified_claims};

/// The share of its life after which an answer is asked for again by whoever comes next, while it
/// still does for everybody: else all who call at its end would wait for the provider.
const RENEWAL: f64 = 0.75;

/// SHA-256 of a token: the token itself is kept nowhere.
type Digest = [u8; 32];

/// Checks bearer tokens; clones share everything.
#[derive(Clone)]
pub struct Callers {
    providers: Providers,
    clock: Clock,
    metrics: ServiceMetrics,
    /// What providers said, inactive tokens included; none where nothing is to be believed twice.
    cache: Option<Cache<Digest, Answer>>,
    /// The age at which what was said is asked for again.
    renewal: Duration,
    forgotten: Forgotten<Concern>,
    without_audience: Arc<Mutex<BTreeSet<String>>>,
}

/// What a provider said of a token, and the moment at which it was asked.
#[derive(Clone)]
struct Answer {
    /// None: inactive.
    active: Option<Arc<Caller>>,
    asked: u64,
    asked_at: Instant,
    /// Whether the provider is being asked again, or was in vain.
    renewed: Arc<AtomicBool>,
}

/// What callers are forgotten by, at a provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Concern {
    Session(String, String),
    Subject(String, String),
}

impl Callers {
    /// Asks `providers`, and believes their answers for as long as `settings` say.
    #[must_use]
    pub fn new(
        settings: &CallerSettings,
        providers: Providers,
        clock: Clock,
        metrics: ServiceMetrics,
    ) -> Self {
        let life = settings.cache.0;
        let cache = (!life.is_zero())
            .then(|| Cache::builder().max_capacity(settings.max_cached).time_to_live(life).build());
        Self {
            providers,
            clock,
            metrics,
            cache,
            renewal: life.mul_f64(RENEWAL),
            forgotten: Forgotten::new(life),
            without_audience: Arc::default(),
        }
    }

    /// Whose token it is. [`Error::TokenNotActive`] where it is nobody's, or over.
    pub async fn check(&self, token: &str) -> Result<Arc<Caller>, Error> {
        let provider = self.provider_of(token).ok_or(Error::TokenNotActive)?;
        let answer = self.answer(provider, token).await;
        let outcome = match &answer {
            Ok(Some(_)) => "active",
            Ok(None) => "inactive",
            Err(_) => "fault",
        };
        self.metrics.callers.with_label_values(&[outcome]).inc();
        let now = self.clock.now();
        answer?.filter(|caller| caller.expires_at > now).ok_or(Error::TokenNotActive)
    }

    /// Forgets what was said of a session's tokens, and what is being said of them just now.
    pub fn forget_session(&self, provider: &str, session_state_id: &str) {
        self.forgotten.forget(Concern::session(provider, session_state_id));
    }

    /// The same of a person's tokens.
    pub fn forget_subject(&self, provider: &str, subject: &str) {
        self.forgotten.forget(Concern::subject(provider, subject));
    }

    /// The same of everybody's tokens.
    pub fn forget_all(&self) {
        self.forgotten.forget_all();
    }

    /// Degraded while a provider calls good tokens inactive because they are not for us.
    #[must_use]
    pub fn readiness(&self) -> ReadinessState {
        let without = self.without_audience.lock().unwrap_or_else(PoisonError::into_inner);
        if without.is_empty() {
            return ReadinessState::Ready;
        }
        let names = without.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        ReadinessState::Degraded(format!(
            "{names}: tokens lack our login client in `aud`, so introspection calls them inactive; \
             add an audience mapper to the login client"
        ))
    }

    /// Only providers of ours are asked, whatever the token says of itself, and about access tokens
    /// alone: Keycloak calls an id token active too.
    fn provider_of(&self, token: &str) -> Option<&Arc<Provider>> {
        let claims = unverified_claims(token)?;
        if claims.get("typ").is_some_and(|kind| kind != "Bearer") {
            return None;
        }
        self.providers.by_issuer(claims.get("iss")?.as_str()?)
    }

    async fn answer(
        &self,
        provider: &Arc<Provider>,
        token: &str,
    ) -> Result<Option<Arc<Caller>>, Fault> {
        let Some(cache) = &self.cache else { return Ok(self.ask(provider, token).await?.active) };
        let digest: Digest = Sha256::digest(token).into();
        loop {
            // Many with one token ask once.
            let answer = cache
                .try_get_with(digest, self.ask(provider, token))
                .await
                .map_err(|fault| Fault::clone(&fault))?;
            if !self.is_forgotten(&answer) {
                if answer.wants_renewal(self.renewal) {
                    let (provider, token) = (Arc::clone(provider), token.to_owned().into());
                    tokio::spawn(self.clone().renew(provider, token, digest, answer.renewed));
                }
                return Ok(answer.active);
            }
            // Another round only for another end that came while the provider was asked.
            cache.invalidate(&digest).await;
        }
    }

    /// Asks again, with nobody waiting. A provider that is away has until the end of the answer
    /// before; what it says after that stands in nobody's place.
    async fn renew(
        self,
        provider: Arc<Provider>,
        token: Secret,
        digest: Digest,
        renewed: Arc<AtomicBool>,
    ) {
        let answer = self.ask(&provider, token.expose()).await;
        let (Some(cache), Ok(answer)) = (&self.cache, answer) else { return };
        let replace = async move |present: Option<Entry<Digest, Answer>>| match present {
            Some(present) if Arc::ptr_eq(&present.value().renewed, &renewed) => Op::Put(answer),
            _ => Op::Nop,
        };
        cache.entry(digest).and_compute_with(replace).await;
    }

    fn is_forgotten(&self, answer: &Answer) -> bool {
        let Some(caller) = &answer.active else { return false };
        let since = |concern| self.forgotten.since(&concern, answer.asked);
        let session = caller.session_state_id.as_ref();
        since(Concern::subject(&caller.provider, &caller.subject))
            || session.is_some_and(|session| since(Concern::session(&caller.provider, session)))
    }

    async fn ask(&self, provider: &Provider, token: &str) -> Result<Answer, Fault> {
        let (asked, asked_at) = (self.forgotten.moment(), Instant::now());
        let said = if provider.verifies_locally().await? {
            provider.check_access_token(token).await?
        } else {
            let said = provider.introspect(token).await?;
            match &said {
                None => self.look_why(provider, token).await,
                // A service client's mapper says nothing of the login client's.
                Some(said) if said.client_id == provider.login_client().id => {
                    self.note_audience(provider, true);
                }
                Some(_) => {}
            }
            said
        };
        let active = said.map(|said| Arc::new(Caller::new(provider, said)));
        Ok(Answer { active, asked, asked_at, renewed: Arc::default() })
    }

    /// A realm that lacks the audience mapper calls every token inactive, and nobody would know.
    async fn look_why(&self, provider: &Provider, token: &str) {
        let ours = &provider.login_client().id;
        let addressed = unverified_claims(token).is_some_and(|claims| match claims.get("aud") {
            Some(Value::String(one)) => one == ours,
            Some(Value::Array(many)) => many.iter().any(|one| one.as_str() == Some(ours)),
            _ => false,
        });
        if addressed {
            return;
        }
        // Only one that the provider did sign says anything about it.
        let signed = provider.check_access_token(token).await.ok().flatten();
        if signed.is_some_and(|token| token.client_id == *ours) {
            self.metrics.callers.with_label_values(&["without_audience"]).inc();
            tracing::error!(provider = provider.name(), "tokens_lack_our_audience");
            self.note_audience(provider, false);
        }
    }

    fn note_audience(&self, provider: &Provider, present: bool) {
        let mut without = self.without_audience.lock().unwrap_or_else(PoisonError::into_inner);
        if present {
            without.remove(provider.name());
        } else {
            without.insert(provider.name().to_owned());
        }
    }
}

impl Answer {
    /// True for one of all who ask.
    fn wants_renewal(&self, age: Duration) -> bool {
        self.active.is_some()
            && self.asked_at.elapsed() >= age
            && !self.renewed.swap(true, Ordering::Relaxed)
    }
}

impl Concern {
    fn session(provider: &str, session_state_id: &str) -> Self {
        Self::Session(provider.to_owned(), session_state_id.to_owned())
    }

    fn subject(provider: &str, subject: &str) -> Self {
        Self::Subject(provider.to_owned(), subject.to_owned())
    }
}
