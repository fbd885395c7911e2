//! `cargo xtask up`.

use std::path::PathBuf;

use anyhow::Result;
use tokio::process::Command;

use crate::build::Programs;
use crate::environment::Environment;
use crate::ports::{ADMIN, CHAT, USER};
use crate::postgres::{self, Binaries, Cluster, Durability, Owner, Source};
use crate::service::Service;
use crate::ui::{Progress, say};
use crate::{StopSignal, check, needs, workspace};

const POSTGRES_PORT: u16 = 54320;
const DATABASES: [&str; 2] = ["user_service", "chat_service"];
/// Overrides where PostgreSQL's data is kept.
const DATA_FOLDER: &str = "LATCHKEY_DATA_FOLDER";

/// Runs everything until Ctrl-C, or until something ends by itself.
pub async fn up(fresh: bool) -> Result<()> {
    let environment = Environment::read()?;
    for port in [USER, CHAT].iter().chain(&ADMIN) {
        port.check(&environment)?;
    }
    needs::check().await?;
    let mut stop = StopSignal::listen()?;
    if let Some(url) = environment.get("DATABASE_URL") {
        return run_on(url, fresh, &environment, &mut stop).await;
    }
    let owner = Owner::find()?;
    let given = environment.get(DATA_FOLDER).map(PathBuf::from);
    let folder = given.unwrap_or_else(|| owner.data_folder(&workspace()));
    let cluster = tokio::select! {
        started = start_postgres(&owner, folder.clone(), fresh) => started?,
        // What was begun is dropped, and told to end; wait for it.
        () = stop.asked() => return Cluster::end_leftover(&folder),
    };
    let result = run_on(&cluster.url(), false, &environment, &mut stop).await;
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
    fresh: bool,
    environment: &Environment,
    stop: &mut StopSignal,
) -> Result<()> {
    let prepared = tokio::select! {
        prepared = prepare(url, fresh, environment) => prepared?,
        () = stop.asked() => return Ok(()),
    };
    prepared.serve_until_stopped(stop).await
}

/// What the services are started with.
struct Prepared {
    programs: Programs,
    ports: [u16; 2],
    variables: Vec<(String, String)>,
}

/// Databases, programs and migrations.
async fn prepare(url: &str, fresh: bool, environment: &Environment) -> Result<Prepared> {
    let mut urls = Vec::new();
    for name in DATABASES {
        if fresh {
            postgres::drop_database(url, name).await?;
        }
        postgres::create(url, name).await?;
        urls.push(postgres::url_of(url, name)?);
    }
    let variables = missing_variables(&urls, environment)?;
    let progress = Progress::start("building (the first time takes some minutes)");
    let programs = Programs::build(&["user-service", "chat-service", "latchkey"]).await?;
    progress.done("built");
    let migrate = Command::new(programs.path("latchkey")?)
        .current_dir(workspace())
        .kill_on_drop(true)
        .args(["migrate", "run"])
        .envs(variables.iter().cloned())
        .status()
        .await?;
    check("latchkey migrate run", migrate)?;
    let ports = [USER.number(environment)?, CHAT.number(environment)?];
    Ok(Prepared { programs, ports, variables })
}

/// What the caller has not set already.
fn missing_variables(urls: &[String], environment: &Environment) -> Result<Vec<(String, String)>> {
    let user_url = USER.url(environment)?;
    let wanted = [
        ("USER_SERVICE__DATABASE__URL", urls[0].as_str()),
        ("CHAT_SERVICE__DATABASE__URL", &urls[1]),
        ("USER_SERVICE__ENVIRONMENT", "development"),
        ("CHAT_SERVICE__ENVIRONMENT", "development"),
        ("USER_SERVICE__PUBLIC_URL", &user_url),
        ("CHAT_SERVICE__VERIFIER__USER_SERVICE_URL", &user_url),
    ];
    let missing = wanted.iter().filter(|(name, _)| environment.get(name).is_none());
    Ok(missing.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

impl Prepared {
    async fn serve_until_stopped(&self, stop: &mut StopSignal) -> Result<()> {
        let start = |name: &'static str, port| {
            Service::start(name, self.programs.path(name)?, port, &self.variables)
        };
        let mut user = start("user-service", self.ports[0])?;
        let mut chat = start("chat-service", self.ports[1])?;
        let result = tokio::select! {
            result = run_both(&mut user, &mut chat) => result,
            () = stop.asked() => {
                say("stopping");
                Ok(())
            }
        };
        let (user, chat) = tokio::join!(user.stop(), chat.stop());
        user?;
        chat?;
        result
    }
}

async fn run_both(user: &mut Service, chat: &mut Service) -> Result<()> {
    tokio::try_join!(user.wait_until_ready(), chat.wait_until_ready())?;
    say("everything runs; `cargo xtask demo` in another terminal plays the story, Ctrl-C ends it");
    tokio::select! {
        error = user.ended() => Err(error),
        error = chat.ended() => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_urls_of_the_caller_s_are_taken_over() {
        let environment = Environment::from([
            ("USER_SERVICE__HTTP__PORT", "1234"),
            ("CHAT_SERVICE__DATABASE__URL", "postgres://mine/chat"),
            ("USER_SERVICE__DATABASE__URL", ""),
        ]);
        let urls = ["postgres://a/u".to_owned(), "postgres://a/c".to_owned()];
        let variables = missing_variables(&urls, &environment).unwrap();
        let value = |name: &str| {
            variables.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
        };
        assert_eq!(value("USER_SERVICE__PUBLIC_URL"), Some("http://127.0.0.1:1234"));
        assert_eq!(value("USER_SERVICE__DATABASE__URL"), Some("postgres://a/u"));
        assert_eq!(value("CHAT_SERVICE__DATABASE__URL"), None);
    }
}
