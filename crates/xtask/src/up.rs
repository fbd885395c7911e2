//! `cargo xtask up`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use futures_util::future::{join_all, select_all, try_join_all};
use tokio::process::Command;

use crate::build::Programs;
use crate::environment::Environment;
use crate::folders::{DATA_FOLDER, Folders, hold};
use crate::keycloak::{self, Machine, Provided, Startup};
use crate::ports::{self, ADMIN, AUTH, CHAT, KEYCLOAK, KEYCLOAK_MANAGEMENT, Port, REDIS, USER};
use crate::postgres::{self, Binaries, Cluster, Durability, Owner, Source};
use crate::redis::Redis;
use crate::service::{Ready, Service};
use crate::ui::{Progress, say};
use crate::{StopSignal, check, needs, workspace};

const POSTGRES_PORT: u16 = 54320;
const DATABASES: [&str; 3] = ["user_service", "chat_service", "auth_manager"];
const PROVIDERS_FILE: &str = "AUTH_MANAGER__PROVIDERS__FILE";
/// Services that run without Keycloak too.
const ALONE: usize = 2;

/// Runs everything until Ctrl-C, or until something ends by itself.
pub async fn up(fresh: bool, redis: bool) -> Result<()> {
    let environment = Environment::read()?;
    // Redis takes any other port, unless it was told which.
    let redis_port = environment.get(REDIS.variable).is_some().then_some(&REDIS);
    let own = [USER, CHAT, AUTH, KEYCLOAK, KEYCLOAK_MANAGEMENT];
    ports::check(own.iter().chain(&ADMIN).chain(redis_port), &environment)?;
    needs::check().await?;
    let mut stop = StopSignal::listen()?;
    let given = environment.get(DATA_FOLDER).map(PathBuf::from);
    let folders = Folders::new(given.as_deref(), redis);
    if let Some(url) = environment.get("DATABASE_URL") {
        if fresh {
            folders.clear().await?;
        }
        return run_on(url, &folders, fresh, &environment, &mut stop).await;
    }
    let owner = Owner::find()?;
    let folder = given.unwrap_or_else(|| owner.data_folder(&workspace()));
    let _held = hold(&folder)?;
    let cluster = tokio::select! {
        started = start_postgres(&owner, folder.clone(), fresh) => started?,
        // What was begun is dropped, and told to end; wait for it.
        () = stop.asked() => return Cluster::end_leftover(&folder),
    };
    if fresh {
        folders.clear().await?;
    }
    let result = run_on(&cluster.url(), &folders, false, &environment, &mut stop).await;
    cluster.stop().await?;
    say("PostgreSQL has stopped; its data is kept (`--fresh` starts over)");
    result
}

async fn start_postgres(owner: &Owner, folder: PathBuf, fresh: bool) -> Result<Cluster> {
    let binaries = Binaries::provide(Source::from_environment()?, owner).await?;
    let progress = Progress::start("starting PostgreSQL");
    if fresh {
        let folder = folder.clone();
        tokio::task::spawn_blocking(move || Cluster::remove(&folder)).await??;
    }
    let cluster =
        Cluster::start(&binaries, owner, &folder, POSTGRES_PORT, Durability::Kept).await?;
    progress.done(&format!("PostgreSQL is ready at {}", cluster.url()));
    Ok(cluster)
}

/// Until the services run, a signal just ends what is being done; then they are drained.
async fn run_on(
    url: &str,
    folders: &Folders,
    fresh: bool,
    environment: &Environment,
    stop: &mut StopSignal,
) -> Result<()> {
    let prepared = tokio::select! {
        prepared = prepare(url, folders, fresh, environment) => prepared?,
        () = stop.asked() => {
            say("stopped before the services ran");
            return Ok(());
        }
    };
    prepared.serve_until_stopped(stop).await
}

/// What the services are started with.
struct Prepared {
    programs: Programs,
    /// With their ports, and where they are reached.
    services: Vec<(&'static str, u16, String)>,
    keycloak: Option<Service>,
    redis: Option<Redis>,
    variables: Vec<(String, String)>,
}

/// Redis, Keycloak, databases, programs and migrations.
async fn prepare(
    url: &str,
    folders: &Folders,
    fresh: bool,
    environment: &Environment,
) -> Result<Prepared> {
    let redis = start_redis(folders.redis(), environment).await?;
    let keycloak = start_keycloak(&Machine::this()?, &folders.keycloak, environment).await?;
    let mut urls = Vec::new();
    for name in DATABASES {
        if fresh {
            postgres::drop_database(url, name).await?;
        }
        postgres::create(url, name).await?;
        urls.push(postgres::url_of(url, name)?);
    }
    let redis_url = redis.as_ref().map(Redis::url);
    let mut variables = missing_variables(&urls, redis_url.as_deref(), environment)?;
    if keycloak.is_some()
        && environment.get(PROVIDERS_FILE).is_none()
        && let Some(file) =
            keycloak::providers_file(&folders.keycloak, KEYCLOAK.number(environment)?)?
    {
        variables.push((PROVIDERS_FILE.to_owned(), file.display().to_string()));
    }
    let services = services(keycloak.as_ref());
    let mut packages: Vec<_> = services.iter().map(|(name, _)| *name).collect();
    packages.push("latchkey");
    let progress = Progress::start("building (the first time takes some minutes)");
    let programs = Programs::build(&packages).await?;
    progress.done("built");
    let migrate = Command::new(programs.path("latchkey")?)
        .current_dir(workspace())
        .kill_on_drop(true)
        .args(["migrate", "run"])
        .envs(variables.iter().cloned())
        .status()
        .await?;
    check("latchkey migrate run", migrate)?;
    let placed =
        |(name, port): (_, Port)| Ok((name, port.number(environment)?, port.url(environment)?));
    let services = services.into_iter().map(placed).collect::<Result<_>>()?;
    Ok(Prepared { programs, services, keycloak, redis, variables })
}

/// What runs, with Keycloak and without.
fn services(keycloak: Option<&Service>) -> Vec<(&'static str, Port)> {
    let mut services = vec![("user-service", USER), ("chat-service", CHAT)];
    if keycloak.is_some() {
        services.push(("auth-manager", AUTH));
    }
    services
}

/// Redis, where it was asked for.
async fn start_redis(folder: Option<&Path>, environment: &Environment) -> Result<Option<Redis>> {
    let Some(folder) = folder else { return Ok(None) };
    let port = REDIS.number(environment)?;
    let redis = Redis::start(folder, port, Durability::Kept).await?;
    say(&format!("Redis is ready at {}", redis.url()));
    Ok(Some(redis))
}

/// Begins to start Keycloak, which goes on while the services are built. None where the machine
/// can't run it, which is said: auth-manager is left out then.
async fn start_keycloak(
    machine: &Machine,
    folder: &Path,
    environment: &Environment,
) -> Result<Option<Service>> {
    let provided = match Provided::new(machine, folder, AUTH.number(environment)?).await {
        Ok(provided) => provided,
        Err(error) => {
            say(&format!("{error:#}. Until then Keycloak and auth-manager are left out"));
            return Ok(None);
        }
    };
    let (port, management_port) =
        (KEYCLOAK.number(environment)?, KEYCLOAK_MANAGEMENT.number(environment)?);
    let startup = Startup { provided, port, management_port };
    let ready = Ready {
        scheme: "http",
        port: management_port,
        path: keycloak::READY_PATH,
        within: keycloak::READY_TIMEOUT,
        line: format!("Keycloak is ready at {} (admin, admin)", startup.url()),
    };
    Service::spawn("keycloak", startup.command(), ready).map(Some)
}

/// What the caller has not set already.
fn missing_variables(
    urls: &[String],
    redis: Option<&str>,
    environment: &Environment,
) -> Result<Vec<(String, String)>> {
    let user_url = USER.url(environment)?;
    let auth_url = AUTH.url(environment)?;
    let with_redis = redis.map(|url| ("USER_SERVICE__REDIS__URL", url));
    let wanted = [
        ("USER_SERVICE__DATABASE__URL", urls[0].as_str()),
        ("CHAT_SERVICE__DATABASE__URL", &urls[1]),
        ("AUTH_MANAGER__DATABASE__URL", &urls[2]),
        ("USER_SERVICE__ENVIRONMENT", "development"),
        ("CHAT_SERVICE__ENVIRONMENT", "development"),
        ("AUTH_MANAGER__ENVIRONMENT", "development"),
        ("USER_SERVICE__PUBLIC_URL", &user_url),
        ("AUTH_MANAGER__PUBLIC_URL", &auth_url),
        ("CHAT_SERVICE__VERIFIER__USER_SERVICE_URL", &user_url),
    ];
    let wanted = wanted.into_iter().chain(with_redis);
    let missing = wanted.filter(|(name, _)| environment.get(name).is_none());
    Ok(missing.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

impl Prepared {
    async fn serve_until_stopped(self, stop: &mut StopSignal) -> Result<()> {
        let mut running: Vec<Service> = self.keycloak.into_iter().collect();
        for (name, port, url) in self.services {
            let program = self.programs.path(name)?;
            running.push(Service::start(name, program, port, &url, &self.variables)?);
        }
        let result = tokio::select! {
            result = run_all(&mut running) => result,
            () = stop.asked() => {
                say("stopping");
                Ok(())
            }
        };
        for stopped in join_all(running.into_iter().map(Service::stop)).await {
            stopped?;
        }
        if let Some(redis) = self.redis {
            redis.stop().await?;
        }
        result
    }
}

async fn run_all(services: &mut [Service]) -> Result<()> {
    try_join_all(services.iter_mut().map(Service::wait_until_ready)).await?;
    let what = if services.len() > ALONE { "everything runs" } else { "the other two run" };
    say(&format!("{what}; `cargo xtask demo` in another terminal plays the story, Ctrl-C ends it"));
    let ended = services.iter_mut().map(|service| Box::pin(service.ended()));
    Err(select_all(ended).await.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn where_keycloak_can_not_run_the_other_two_services_do() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine {
            cache: folder.path().join("cache"),
            repository: "http://127.0.0.1:1".to_owned(),
            ..Machine::this().unwrap()
        };
        let place = folder.path().join("keycloak");
        let keycloak = start_keycloak(&machine, &place, &Environment::default()).await.unwrap();
        let services = services(keycloak.as_ref());
        assert!(services.iter().map(|(name, _)| *name).eq(["user-service", "chat-service"]));
    }

    #[test]
    fn ports_and_urls_of_the_caller_s_are_taken_over() {
        let environment = Environment::from([
            ("USER_SERVICE__HTTP__PORT", "1234"),
            ("CHAT_SERVICE__DATABASE__URL", "postgres://mine/chat"),
            ("USER_SERVICE__DATABASE__URL", ""),
        ]);
        let urls = ["u", "c", "a"].map(|name| format!("postgres://a/{name}"));
        let variables = missing_variables(&urls, Some("redis://a"), &environment).unwrap();
        let value = |name: &str| {
            variables.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
        };
        assert_eq!(value("USER_SERVICE__PUBLIC_URL"), Some("http://127.0.0.1:1234"));
        assert_eq!(value("USER_SERVICE__DATABASE__URL"), Some("postgres://a/u"));
        assert_eq!(value("CHAT_SERVICE__DATABASE__URL"), None);
        assert_eq!(value("USER_SERVICE__REDIS__URL"), Some("redis://a"));
    }
}
