use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use common::clock::Clock;
use common::readiness::State as ReadinessState;
use moka::future::Cache;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::config::CallerSettings;
use crate::error::Error;
use crate::metrics::ServiceMetrics;
use crate::providers::{Fault, Introspection, Provider, Providers, unverified_claims};

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
    without_audience: Arc<Mutex<BTreeSet<String>>>,
}

/// What a provider said of a token.
#[derive(Clone)]
enum Answer {
    Active(Arc<Caller>),
    Inactive,
}

/// Whose token it is, as the provider says.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The provider's name in the configuration.
    pub provider: String,
    /// Its issuer.
    pub issuer: String,
    /// The token's subject.
    pub subject: String,
    /// The client that the token was issued to.
    pub client_id: String,
    /// The session, which service accounts have none of.
    pub session_state_id: Option<String>,
    /// When the token expires.
    pub expires_at: DateTime<Utc>,
    /// Its scope.
    pub scope: String,
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
        let cache = (!life.is_zero()).then(|| {
            Cache::builder()
                .max_capacity(settings.max_cached)
                .time_to_live(life)
                .support_invalidation_closures()
                .build()
        });
        Self { providers, clock, metrics, cache, without_audience: Arc::default() }
    }

    /// Whose token it is. [`Error::TokenNotActive`] where it is nobody's, or over.
    pub async fn check(&self, token: &str) -> Result<Arc<Caller>, Error> {
        let provider = self.provider_of(token).ok_or(Error::TokenNotActive)?;
        let answer = self.answer(provider, token).await;
        let outcome = match &answer {
            Ok(Answer::Active(_)) => "active",
            Ok(Answer::Inactive) => "inactive",
            Err(_) => "fault",
        };
        self.metrics.callers.with_label_values(&[outcome]).inc();
        match answer? {
            Answer::Active(caller) if caller.expires_at > self.clock.now() => Ok(caller),
            Answer::Active(_) | Answer::Inactive => Err(Error::TokenNotActive),
        }
    }

    /// Forgets what was said of a session's tokens.
    pub fn forget_session(&self, provider: &str, session_state_id: &str) {
        let (provider, session) = (provider.to_owned(), session_state_id.to_owned());
        self.forget(move |caller| {
            caller.provider == provider && caller.session_state_id.as_ref() == Some(&session)
        });
    }

    /// Forgets what was said of a person's tokens.
    pub fn forget_subject(&self, provider: &str, subject: &str) {
        let (provider, subject) = (provider.to_owned(), subject.to_owned());
        self.forget(move |caller| caller.provider == provider && caller.subject == subject);
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

    fn forget(&self, concerned: impl Fn(&Caller) -> bool + Send + Sync + 'static) {
        let Some(cache) = &self.cache else { return };
        let forgotten = cache.invalidate_entries_if(
            move |_, answer| matches!(answer, Answer::Active(caller) if concerned(caller)),
        );
        if let Err(error) = forgotten {
            tracing::error!(%error, "callers_not_forgotten");
            cache.invalidate_all();
        }
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

    async fn answer(&self, provider: &Provider, token: &str) -> Result<Answer, Fault> {
        let Some(cache) = &self.cache else { return self.ask(provider, token).await };
        let digest: Digest = Sha256::digest(token).into();
        // Many with one token ask once.
        cache
            .try_get_with(digest, self.ask(provider, token))
            .await
            .map_err(|fault| Fault::clone(&fault))
    }

    async fn ask(&self, provider: &Provider, token: &str) -> Result<Answer, Fault> {
        let said = if provider.verify_locally() {
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
        Ok(said.map_or(Answer::Inactive, |said| Answer::Active(Arc::new(caller(provider, said)))))
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

fn caller(provider: &Provider, said: Introspection) -> Caller {
    Caller {
        provider: provider.name().to_owned(),
        issuer: provider.issuer().to_owned(),
        subject: said.subject,
        client_id: said.client_id,
        session_state_id: said.session_state_id,
        expires_at: said.expires_at,
        scope: said.scope,
    }
}
