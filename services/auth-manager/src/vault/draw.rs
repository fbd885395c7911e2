//! Access tokens on demand: what is stored while it is fresh, else what one caller of many obtains
//! from the provider.

use std::sync::Arc;
use std::time::Duration;

use common::clock::Clock;
use common::database::Pool;
use common::http::Problem;
use common::settings::Secret;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;
use vault_crypto::{Keyring, TokenHasher};

use super::flights::Flights;
use super::fresh::{AccessToken, Need};
use super::ledger::{Ledger, Use};
use super::lookups::Lookups;
use super::permission::{Draw, may_draw, refuse_ended};
use super::scope::Scope;
use super::seal::access_token_identity;
use crate::config::DrawSettings;
use crate::error::Error;
use crate::metrics::ServiceMetrics;
use crate::models::drawn_token::DrawnToken;
use crate::models::grant::{self, GrantHead};
use crate::providers::Providers;

/// How soon a caller who waited in vain should come back.
pub(super) const COME_BACK: Duration = Duration::from_secs(1);

/// Access tokens on demand; clones share everything.
#[derive(Clone)]
pub struct Draws {
    pub(super) tools: Arc<DrawTools>,
    flights: Flights<Landing>,
    lookups: Lookups,
}

/// What draws work with.
pub struct DrawTools {
    /// PostgreSQL.
    pub pool: Pool,
    /// The same, for what every draw asks.
    pub lookup_pool: Pool,
    /// The time.
    pub clock: Clock,
    /// Opens and seals tokens.
    pub keyring: Keyring,
    /// Hashes tokens for look-ups.
    pub hasher: Arc<TokenHasher>,
    /// Who is asked.
    pub providers: Providers,
    /// The ledger of uses.
    pub ledger: Ledger,
    /// What is counted.
    pub metrics: ServiceMetrics,
    /// Section `draw`.
    pub settings: DrawSettings,
    /// How long one call to a provider may take.
    pub call_timeout: Duration,
}

/// How a flight ended; its problem, already logged, is everybody's on it.
type Landing = Result<Flown, Problem>;

/// What a flight brought.
#[derive(Clone, Debug)]
pub(super) struct Flown {
    pub(super) token: AccessToken,
    /// Whether the provider gave it to this flight; else somebody else had stored it.
    pub(super) obtained: bool,
}

/// Where an access token came from, label `cache` of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cache {
    Hit,
    Miss,
    Waited,
    None,
}

impl Draws {
    /// Draws with `tools`. Called within the runtime that looks things up for all of them.
    #[must_use]
    pub fn new(tools: DrawTools) -> Self {
        let lookups = Lookups::start(tools.lookup_pool.clone(), &tools.metrics.tasks);
        Self { tools: Arc::new(tools), flights: Flights::default(), lookups }
    }

    /// An access token of the grant behind an id. [`Error::TokenNotFound`] where the caller has no
    /// business with it, [`Error::TokenNotActive`] where it is dead, as problems already logged;
    /// each use is entered in the ledger.
    pub async fn draw(&self, draw: &Draw) -> Result<AccessToken, Problem> {
        let (mut cache, mut owner) = (Cache::None, None);
        let drawn = self.find_and_serve(draw, &mut owner, &mut cache).await;
        let drawn = drawn.map_err(|error| error.problem());
        let code = drawn.as_ref().err().map(|problem| problem.code);
        let labels = [code.unwrap_or("ok"), cache.as_str()];
        self.tools.metrics.draws.with_label_values(&labels).inc();
        if let Some(code) = code {
            // By these an operator finds what somebody tells them of.
            tracing::info!(
                persistent_token_id = %draw.persistent_token_id,
                user_id = owner.map(tracing::field::display),
                client_id = draw.by.client_id(),
                code,
                "draw_refused"
            );
        }
        if let Some(user_id) = owner {
            self.tools.ledger.record(Use {
                persistent_token_id: draw.persistent_token_id,
                user_id,
                client_id: draw.by.client_id().to_owned(),
                scope: draw.scope.as_str().to_owned(),
                outcome: code.unwrap_or(if cache == Cache::Hit { "cached" } else { "refreshed" }),
            });
        }
        drawn
    }

    /// `owner` is whose id it was, once it is known that the caller may use it.
    async fn find_and_serve(
        &self,
        draw: &Draw,
        owner: &mut Option<Uuid>,
        cache: &mut Cache,
    ) -> Result<AccessToken, Error> {
        let named = draw.scope.asked().is_some();
        let mut scope = if named { draw.scope.clone() } else { draw.by.own_scope() };
        let found = self.lookups.find(draw.persistent_token_id, scope.as_str()).await?;
        let (head, mut stored) = found.ok_or(Error::TokenNotFound)?;
        if !may_draw(&draw.by, &head, &scope) {
            return Err(Error::TokenNotFound);
        }
        *owner = Some(head.user_id);
        // An imported grant's own scope may be unknown yet; then the provider is the judge.
        if !head.scope.is_empty() && !scope.is_within(head.scope.split_whitespace()) {
            if named {
                let text = "`scope` must be within the grant's scope";
                return Err(Problem::invalid_field("scope", text).into());
            }
            scope = scope.within(&head.scope);
            if scope.asked().is_none() {
                return Err(Error::TokenNotFound);
            }
            stored = self.look(head.id, &scope).await?.1;
        }
        let draw = Draw { scope, ..draw.clone() };
        let token = self.serve(&draw, head, stored, cache).await?;
        token.refuse_beyond(draw.min_ttl)?;
        Ok(token)
    }

    async fn serve(
        &self,
        draw: &Draw,
        mut head: GrantHead,
        mut stored: Option<DrawnToken>,
        cache: &mut Cache,
    ) -> Result<AccessToken, Error> {
        let need = self.need(draw.min_ttl);
        let until = Instant::now() + self.tools.settings.wait.0;
        *cache = Cache::Hit;
        loop {
            refuse_ended(&head)?;
            if let Some(token) = self.open_fresh(&head, stored, need) {
                return Ok(token);
            }
            let id = head.id;
            let flown = self.fly(head, draw, until, cache).await?;
            let AccessToken { obtained_at, expires_at, .. } = flown.token;
            if flown.obtained || need.is_met(obtained_at, expires_at, self.tools.clock.now()) {
                return Ok(flown.token);
            }
            // Good enough for whoever began the flight, but not for this caller.
            (head, stored) = self.look(id, &draw.scope).await?;
        }
    }

    /// Waits for the flight that is under way, or begins one.
    async fn fly(
        &self,
        head: GrantHead,
        draw: &Draw,
        until: Instant,
        cache: &mut Cache,
    ) -> Result<Flown, Error> {
        let late = || Error::ProviderUnavailable(COME_BACK);
        if Instant::now() >= until {
            return Err(late());
        }
        let key = (head.id, draw.scope.as_str().to_owned());
        let (draws, scope, min_ttl) = (self.clone(), draw.scope.clone(), draw.min_ttl);
        let seat = self.flights.join(key, || async move {
            draws.obtain(head, &scope, min_ttl).await.map_err(|error| error.problem())
        });
        *cache = if seat.joined { Cache::Waited } else { Cache::Miss };
        let landing = timeout_at(until, seat.landed()).await.map_err(|_| late())?;
        let flown = landing.ok_or_else(late)??;
        if !flown.obtained {
            *cache = Cache::Waited;
        }
        Ok(flown)
    }

    /// The grant, and what is stored of it for `scope`.
    pub(super) async fn look(
        &self,
        id: Uuid,
        scope: &Scope,
    ) -> Result<(GrantHead, Option<DrawnToken>), Error> {
        let mut connection = self.tools.pool.get().await?;
        let found = grant::find_drawn(&mut connection, id, scope.as_str()).await?;
        found.ok_or(Error::TokenNotFound)
    }

    /// How long a token must live on.
    pub(super) fn need(&self, min_ttl: Duration) -> Need {
        Need::new(self.tools.settings.margin.as_delta(), min_ttl)
    }

    /// The stored access token where it meets `need`. One that does not open, say since its key
    /// was dropped from the ring, is as good as none: the grant's own token can obtain another.
    pub(super) fn open_fresh(
        &self,
        head: &GrantHead,
        stored: Option<DrawnToken>,
        need: Need,
    ) -> Option<AccessToken> {
        let now = self.tools.clock.now();
        let stored =
            stored.filter(|token| need.is_met(token.obtained_at, token.expires_at, now))?;
        let identity = access_token_identity(&head.key(), head.token_type(), &stored.scope);
        let opened = self.tools.keyring.open(&identity, &stored.sealed_access_token);
        let Some(token) = opened.ok().and_then(|token| text(&token)) else {
            tracing::warn!(grant_id = %head.id, "drawn_token_does_not_open");
            return None;
        };
        let DrawnToken { obtained_at, expires_at, .. } = stored;
        Some(AccessToken { token, obtained_at, expires_at })
    }
}

/// Sealed bytes that are text, as every token is.
pub(super) fn text(bytes: &[u8]) -> Option<Secret> {
    Some(Secret::from(str::from_utf8(bytes).ok()?.to_owned()))
}

impl Cache {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Waited => "waited",
            Self::None => "none",
        }
    }
}
