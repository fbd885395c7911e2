//! `cargo xtask up`.

use std::env;

use anyhow::{Context as _, Result};

use crate::ports::Port;
use crate::postgres::{self, Binaries, Cluster, Durability, Owner, Source};
use crate::service::Service;
use crate::ui::{Progress, say};
use crate::{asked_to_stop, cargo, needs, run, workspace};

const POSTGRES_PORT: u16 = 54320;
const DATABASES: [&str; 2] = ["user_service", "chat_service"];
const USER: Port =
    Port { service: "user-service", variable: "USER_SERVICE__HTTP__PORT", default: 8080 };
const CHAT: Port =
    Port { service: "chat-service", variable: "CHAT_SERVICE__HTTP__PORT", default: 8081 };
const ADMIN: [Port; 2] = [
    Port { service: "user-service", variable: "USER_SERVICE__ADMIN__PORT", default: 9080 },
    Port { service: "chat-service", variable: "CHAT_SERVICE__ADMIN__PORT", default: 9081 },
];

/// Runs everything until Ctrl-C, or until something ends by itself.
pub async fn up(fresh: bool) -> Result<()> {
    for port in [USER, CHAT].iter().chain(&ADMIN) {
        port.check()?;
    }
    needs::check().await?;
    let cluster = match env::var("DATABASE_URL") {
        Ok(_) => None,
        Err(_) => Some(start_postgres(fresh).await?),
    };
    let url = match &cluster {
        Some(cluster) => cluster.url(),
        None => env::var("DATABASE_URL").context("DATABASE_URL")?,
    };
    let result = run_on(&url, fresh && cluster.is_none()).await;
    if let Some(cluster) = cluster {
        cluster.stop().await?;
        say("PostgreSQL has stopped; its data is kept (`--fresh` starts over)");
    }
    result
}

async fn start_postgres(fresh: bool) -> Result<Cluster> {
    let owner = Owner::find()?;
    let folder = owner.data_folder(&workspace());
    if fresh && folder.exists() {
        std::fs::remove_dir_all(&folder)
            .with_context(|| format!("{} can't be removed", folder.display()))?;
    }
    let binaries = Binaries::provide(Source::from_environment()?, &owner).await?;
    let progress = Progress::start("starting PostgreSQL");
    let cluster =
        Cluster::start(&binaries, &owner, &folder, POSTGRES_PORT, Durability::Kept).await?;
    progress.done(&format!("PostgreSQL is ready at {}", cluster.url()));
    Ok(cluster)
}

/// Until the services run, a signal just ends what is being done; then they are drained.
async fn run_on(url: &str, fresh: bool) -> Result<()> {
    let environment = tokio::select! {
        prepared = prepare(url, fresh) => prepared?,
        signal = asked_to_stop() => return Ok(signal?),
    };
    serve_until_stopped(&environment).await
}

/// Databases, binaries and migrations; answers the services' environment.
async fn prepare(url: &str, fresh: bool) -> Result<Vec<(String, String)>> {
    let mut urls = Vec::new();
    for name in DATABASES {
        if fresh {
            postgres::drop_database(url, name).await?;
        }
        postgres::create(url, name).await?;
        urls.push(postgres::url_of(url, name)?);
    }
    let environment = environment(&urls)?;
    let progress = Progress::start("building (the first time takes some minutes)");
    let packages = ["-p", "user-service", "-p", "chat-service", "-p", "latchkey"];
    run(cargo(&["build", "--quiet"]).args(packages)).await?;
    progress.done("built");
    let migrate = ["run", "--quiet", "--package", "latchkey", "--", "migrate", "run"];
    run(cargo(&migrate).envs(environment.iter().cloned())).await?;
    Ok(environment)
}

/// What the caller has not set already.
fn environment(urls: &[String]) -> Result<Vec<(String, String)>> {
    let user_url = format!("http://127.0.0.1:{}", USER.number()?);
    let wanted = [
        ("USER_SERVICE__DATABASE__URL", urls[0].as_str()),
        ("CHAT_SERVICE__DATABASE__URL", &urls[1]),
        ("USER_SERVICE__ENVIRONMENT", "development"),
        ("CHAT_SERVICE__ENVIRONMENT", "development"),
        ("USER_SERVICE__PUBLIC_URL", &user_url),
        ("CHAT_SERVICE__VERIFIER__USER_SERVICE_URL", &user_url),
    ];
    let missing = wanted.iter().filter(|(name, _)| env::var_os(name).is_none());
    Ok(missing.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

async fn serve_until_stopped(environment: &[(String, String)]) -> Result<()> {
    let mut user = Service::start("user-service", USER.number()?, environment)?;
    let mut chat = Service::start("chat-service", CHAT.number()?, environment)?;
    let result = tokio::select! {
        result = run_both(&mut user, &mut chat) => result,
        signal = asked_to_stop() => {
            say("stopping");
            signal.map_err(Into::into)
        }
    };
    let (user, chat) = tokio::join!(user.stop(), chat.stop());
    user?;
    chat?;
    result
}

async fn run_both(user: &mut Service, chat: &mut Service) -> Result<()> {
    tokio::try_join!(user.wait_until_ready(), chat.wait_until_ready())?;
    say("everything runs; `cargo xtask demo` in another terminal plays the story, Ctrl-C ends it");
    tokio::select! {
        error = user.ended() => Err(error),
        error = chat.ended() => Err(error),
    }
}
