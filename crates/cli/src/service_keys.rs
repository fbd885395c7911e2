//! `latchkey keys list` and `latchkey keys rotate`: the ring of service keys.

use anyhow::{Result, bail};
use chrono::{DateTime, Utc};
use common::clock::rfc3339;
use common::service;
use common::settings::SettingsError;
use serde_json::json;
use user_service::config::{SCHEMA, Settings};
use user_service::service_keys::{CLIENTS_CACHE, ListedKey, Occasion, Refused, Ring, Rotation};

use crate::settings::environment;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// List the service keys that user-service publishes, the one that signs first
    List {
        /// Answer with one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Let the next service key sign from now on; the one that signed verifies until its last token is past
    Rotate {
        /// Refuse every token that was signed until now, at once: a key may be in wrong hands
        #[arg(long)]
        emergency: bool,
        /// Refuse the next key as well, which was made where the others were: logins wait for a new one
        #[arg(long, requires = "emergency")]
        with_next: bool,
    },
}

const NO_RING: &str = "`signing.mode` is `device`: each device has a key of its own, and there are no \
                       service keys";

pub(crate) fn run(command: &Command) -> Result<()> {
    let settings: Settings = service::load(&SCHEMA, &environment()?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let mut ring = Ring::open(settings).await.map_err(anyhow::Error::msg)?;
        match command {
            Command::List { json } => list(&mut ring, *json).await,
            Command::Rotate { emergency, with_next } => {
                rotate(&mut ring, *emergency, *with_next).await
            }
        }
    });
    // A token that hangs is not waited for.
    runtime.shutdown_background();
    done
}

async fn list(ring: &mut Ring, as_json: bool) -> Result<()> {
    let keys = ring.list().await?;
    if !ring.is_used(&keys) {
        eprintln!("note: {NO_RING}");
    } else if keys.is_empty() {
        eprintln!("note: there is no service key yet; user-service makes the first as it starts");
    }
    if as_json {
        println!("{}", json!(keys));
        return Ok(());
    }
    for key in &keys {
        let ListedKey { kid, state, key_type, store, .. } = key;
        println!("{state:<8} {kid} {key_type:<10} {store:<8} {}", times(key));
    }
    Ok(())
}

fn times(key: &ListedKey) -> String {
    let since = |what, time: DateTime<Utc>| format!("{what} {}", rfc3339(time));
    let until = key.until.map(|time| since("verifies until", time));
    let signs = key.activated_at.map(|time| since("signs since", time));
    until.or(signs).unwrap_or_else(|| since("published", key.published_at))
}

async fn rotate(ring: &mut Ring, emergency: bool, with_next: bool) -> Result<()> {
    let keys = ring.list().await?;
    if !ring.is_used(&keys) {
        return Err(SettingsError(NO_RING.to_owned()).into());
    }
    let current = keys.into_iter().find(|key| key.state == "current").map(|key| key.kid);
    let occasion = match (current, emergency) {
        (Some(current), true) => Occasion::Emergency { current, with_next },
        (Some(current), false) => Occasion::Planned { current },
        (None, _) => bail!("no key of the ring signs; the services make one as soon as they can"),
    };
    match ring.rotate(&occasion).await {
        Ok(rotation) => tell(&rotation),
        Err(Refused::ByAnother) => {
            let has = if emergency { "revoked" } else { "rotated" };
            println!("somebody else {has} the keys just now");
        }
        Err(refused) => return Err(refused.into()),
    }
    Ok(())
}

fn tell(rotation: &Rotation) {
    let Rotation { current, published_at, rotated_at, former, until, revoked, next } = rotation;
    match current {
        Some(current) => println!("current  {current}"),
        None => println!("current  not made yet: nobody can log in until a service has made it"),
    }
    match next {
        Some(next) => println!("next     {next}"),
        None => println!("next     not made yet: the services try again"),
    }
    if revoked.is_empty() {
        println!("retired  {former}, verifies until {}", rfc3339(*until));
    }
    for kid in revoked {
        println!("revoked  {kid}");
    }
    if let Some(since) = published_at.filter(|at| *rotated_at - *at < CLIENTS_CACHE) {
        eprintln!(
            "note: the current key is published since {} only; clients that keep the key set for \
             ten minutes may refuse its tokens until they fetch it again",
            rfc3339(since)
        );
    }
}
