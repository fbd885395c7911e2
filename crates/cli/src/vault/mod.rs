//! `latchkey vault`: what both services keep sealed, and auth-manager's grants.

mod grants;
mod keys;
mod new_key;
mod opened;
mod rewrap;
mod verify;

use anyhow::Result;
use clap::Subcommand;
use uuid::Uuid;

use opened::Service;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Seal with the first key of the ring whatever other keys sealed, while the services run
    Rewrap {
        /// Of one service only; of each whose database is configured where not given
        #[arg(long, value_enum)]
        service: Option<Service>,
        /// Do everything, and undo it again
        #[arg(long)]
        dry_run: bool,
    },
    /// Open every sealed value and name those that do not open
    Verify {
        /// Of one service only; of each whose database is configured where not given
        #[arg(long, value_enum)]
        service: Option<Service>,
    },
    /// Count sealed values by table and key; say which keys of the ring nothing needs any more
    Keys {
        /// Of one service only; of each whose database is configured where not given
        #[arg(long, value_enum)]
        service: Option<Service>,
    },
    /// Make a key for the ring that only the configured PKCS#11 token can unwrap, and print it
    NewKey {
        /// Whose token
        #[arg(long, value_enum, default_value_t = Service::AuthManager)]
        service: Service,
        /// The key's id; one derived from the key where not given
        #[arg(long)]
        id: Option<String>,
    },
    /// List the grants in auth-manager's vault and the persistent ids on them
    List {
        /// Of one user only
        #[arg(long)]
        user: Option<Uuid>,
    },
    /// Show the grant behind a persistent id, or a grant by its own id
    Show {
        /// Persistent id or grant id
        id: Uuid,
    },
    /// Revoke a persistent id, as its user would; the running service calls the provider
    Revoke {
        /// Persistent id
        id: Uuid,
    },
    /// End all that a user has here: sessions, grants with their ids, and linked accounts
    Unlink {
        /// Whose
        #[arg(long)]
        user: Uuid,
    },
}

pub(crate) fn run(command: &Command) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Rewrap { service, dry_run } => rewrap::run(*service, *dry_run).await,
            Command::Verify { service } => verify::run(*service).await,
            Command::Keys { service } => keys::run(*service).await,
            Command::NewKey { service, id } => new_key::run(*service, id.as_deref()),
            Command::List { user } => grants::list(*user).await,
            Command::Show { id } => grants::show(*id).await,
            Command::Revoke { id } => grants::revoke(*id).await,
            Command::Unlink { user } => grants::unlink(*user).await,
        }
    })
}
