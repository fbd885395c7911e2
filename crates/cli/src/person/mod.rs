//! What a person does with an account: by subcommands for scripts, and by a menu.

mod account;
mod chat;
mod command;
mod failure;
mod keys;
mod menu;
mod prompt;
mod services;
mod session;
mod show;
mod store;

use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) use command::Command;
use failure::Failure;
use services::Services;
use store::{Profile, Session, Store};

const USER_SERVICE: &str = "http://127.0.0.1:8080";
const CHAT_SERVICE: &str = "http://127.0.0.1:8081";

/// Where everything is, and how to answer.
#[derive(clap::Args)]
pub(crate) struct Here {
    /// Where the device's key and tokens are kept, instead of `latchkey/session.json` in the
    /// user's config folder (`XDG_CONFIG_HOME`, `~/.config`)
    #[arg(long, env = "LATCHKEY_FILE")]
    file: Option<PathBuf>,
    /// Where user-service is; as at the login where not given, `http://127.0.0.1:8080` at first
    #[arg(long, env = "LATCHKEY_USER_SERVICE_URL")]
    user_service: Option<String>,
    /// Where chat-service is; as at the login where not given, `http://127.0.0.1:8081` at first
    #[arg(long, env = "LATCHKEY_CHAT_SERVICE_URL")]
    chat_service: Option<String>,
    /// Answer in JSON: on standard output, or where it fails on standard error
    #[arg(long)]
    json: bool,
}

/// A person at work: their file, held, and the services.
struct Person {
    store: Store,
    services: Services,
    profile: Option<Profile>,
}

impl Person {
    fn open(here: &Here) -> Result<Self, Failure> {
        let path = here.file.clone().map_or_else(store::default_path, Ok)?;
        let store = Store::open(&path)?;
        let profile = store.load()?;
        let pick = |given: &Option<String>, kept: Option<&String>, otherwise: &str| {
            given.as_ref().or(kept).map_or_else(|| otherwise.to_owned(), Clone::clone)
        };
        let kept = profile.as_ref();
        let user = pick(&here.user_service, kept.map(|kept| &kept.user_service), USER_SERVICE);
        let chat = pick(&here.chat_service, kept.map(|kept| &kept.chat_service), CHAT_SERVICE);
        let services = Services::new(&user, &chat)?;
        Ok(Self { store, services, profile })
    }

    fn profile(&self) -> Result<&Profile, Failure> {
        let nobody = "nobody has logged in here yet: `latchkey login`, or `latchkey register`";
        self.profile.as_ref().ok_or(Failure::SignedOut(nobody))
    }

    fn session(&self) -> Result<&Session, Failure> {
        let ended = "not logged in: `latchkey relogin` logs in again on this device";
        self.profile()?.session.as_ref().ok_or(Failure::SignedOut(ended))
    }

    /// Keeps another state of the session; none once it has ended.
    fn keep(&mut self, session: Option<Session>) -> Result<(), Failure> {
        if let Some(profile) = &mut self.profile {
            profile.session = session;
            self.store.save(profile)?;
        }
        Ok(())
    }
}

pub(crate) fn run(command: Command) -> ExitCode {
    let json = command.here().json;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let done = match runtime.worker_threads(1).enable_all().build() {
        Ok(runtime) => runtime.block_on(async {
            tokio::spawn(leave_on_interrupt());
            command.run().await
        }),
        Err(error) => Err(Failure::Usage(error.to_string())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if json {
                eprintln!("{}", failure.to_json());
            } else {
                eprintln!("error: {failure}");
            }
            failure.exit_code()
        }
    }
}

/// A menu hides the cursor, and Ctrl-C must not leave it hidden.
async fn leave_on_interrupt() {
    if tokio::signal::ctrl_c().await.is_ok() {
        prompt::show_cursor();
        std::process::exit(130);
    }
}
