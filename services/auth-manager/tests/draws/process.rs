//! One process of the service, as far as draws go: a runtime of its own, whose clock can be turned.

use std::sync::Arc;
use std::time::Duration;

use auth_manager::config::{SCHEMA, Settings};
use auth_manager::metrics::ServiceMetrics;
use auth_manager::providers::Providers;
use auth_manager::vault::{AccessToken, Draw, DrawTools, DrawnBy, Draws, Ledger, Scope};
use common::clock::Clock;
use common::database::Pool;
use common::http::Problem;
use common::metrics::Metrics;
use common::settings::Environment;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use uuid::Uuid;
use vault_crypto::TokenHasher;

pub(crate) type Drawn = Result<AccessToken, Problem>;

pub(crate) struct Process {
    pub(crate) draws: Draws,
    pub(crate) ledger: Ledger,
    pub(crate) lookup_pool: Pool,
    metrics: Metrics,
    runtime: Option<Runtime>,
}

pub(crate) const DEFAULTS: [(&str, &str); 5] = [
    ("AUTH_MANAGER__ENVIRONMENT", "development"),
    ("AUTH_MANAGER__DATABASE__MAX_CONNECTIONS", "8"),
    ("AUTH_MANAGER__PROVIDERS__TIMEOUT", "2s"),
    ("AUTH_MANAGER__PROVIDERS__BREAKER_FAILURES", "1000"),
    ("AUTH_MANAGER__DRAW__LEASE", "300ms"),
];

pub(crate) fn settings(environment: &[(&str, &str)]) -> Settings {
    let environment: Environment = DEFAULTS.iter().chain(environment).copied().collect();
    SCHEMA.load(&environment).unwrap()
}

impl Process {
    pub(crate) async fn start(settings: Settings, clock: Clock) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let metrics = Metrics::new("auth-manager");
        let counted = ServiceMetrics::register(&metrics);
        let built = runtime.spawn(async move {
            let database = settings.database.open(settings.environment).unwrap();
            let pool = settings.database.pool(&database);
            let lookup_pool = settings.database.planned_once(3, &database);
            let providers = &settings.providers;
            let ledger = Ledger::start(lookup_pool.clone(), clock.clone(), &counted);
            let tools = DrawTools {
                keyring: settings.vault.keyring().unwrap(),
                hasher: Arc::new(TokenHasher::parse(settings.vault.hash_key.expose()).unwrap()),
                providers: Providers::start(providers, settings.environment, &clock, &counted)
                    .unwrap(),
                ledger: ledger.clone(),
                metrics: counted,
                settings: settings.draw,
                call_timeout: providers.timeout.0,
                pool,
                lookup_pool: lookup_pool.clone(),
                clock,
            };
            (Draws::new(tools), ledger, lookup_pool)
        });
        let (draws, ledger, lookup_pool) = built.await.unwrap();
        Self { draws, ledger, lookup_pool, metrics, runtime: Some(runtime) }
    }

    /// Draws within the process, in the background.
    pub(crate) fn begin(&self, draw: Draw) -> JoinHandle<Drawn> {
        let draws = self.draws.clone();
        let runtime = self.runtime.as_ref().expect("a live process");
        runtime.spawn(async move { draws.draw(&draw).await })
    }

    pub(crate) async fn draw(&self, draw: Draw) -> Drawn {
        self.begin(draw).await.unwrap()
    }

    /// The value of a metric's line.
    pub(crate) fn metric(&self, line: &str) -> Option<u64> {
        let rendered = self.metrics.render();
        let line = rendered.lines().find_map(|found| found.strip_prefix(line));
        line.map(|value| value.trim().parse().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub(crate) fn draw_as(user_id: Uuid, id: Uuid) -> Draw {
    Draw {
        persistent_token_id: id,
        scope: Scope::default(),
        min_ttl: Duration::ZERO,
        by: DrawnBy::User { user_id, client_id: "login".to_owned() },
    }
}
