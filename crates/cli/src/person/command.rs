//! The subcommands.

use std::io::Read as _;

use clap::{ArgGroup, Subcommand};
use uuid::Uuid;

use super::chat::Room;
use super::failure::Failure;
use super::prompt::{self, PasswordSource};
use super::show::tell;
use super::{Here, Person, account, chat, keys, menu, session};
use crate::service_keys;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Choose what to do from a menu; the same as no command, on a terminal
    Menu {
        #[command(flatten)]
        here: Here,
    },
    /// Open an account and log in on a new device
    Register {
        #[command(flatten)]
        new: NewDevice,
    },
    /// Log in on a new device, which takes the place of the one kept here
    Login {
        #[command(flatten)]
        new: NewDevice,
    },
    /// Log in again on the device kept here; its earlier session ends
    Relogin {
        #[command(flatten)]
        here: Here,
        /// As at the last login where not given
        #[arg(long)]
        username: Option<String>,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Send a message
    #[command(group = ArgGroup::new("where").required(true))]
    Send {
        #[command(flatten)]
        here: Here,
        /// Into this room
        #[arg(long, group = "where", value_name = "ROOM_ID")]
        room: Option<Uuid>,
        /// Join the room first
        #[arg(long, requires = "room")]
        join: bool,
        /// Into a new public room of this name
        #[arg(long, group = "where", value_name = "NAME")]
        new_room: Option<String>,
        /// The same id again sends nothing twice
        #[arg(long)]
        client_message_id: Option<String>,
        /// What to say; `-` reads standard input
        message: String,
    },
    /// Exchange the refresh token for fresh tokens
    Refresh {
        #[command(flatten)]
        here: Here,
    },
    /// List your live sessions
    Sessions {
        #[command(flatten)]
        here: Here,
    },
    /// End this device's session
    Logout {
        #[command(flatten)]
        here: Here,
    },
    /// End one of your sessions
    EndSession {
        #[command(flatten)]
        here: Here,
        /// As `latchkey sessions` lists it
        session_id: Uuid,
    },
    /// End all your sessions, this one too
    EndAll {
        #[command(flatten)]
        here: Here,
    },
    /// Show the public parts of your devices' keys, as the JWKS has them; operators list and rotate
    /// service keys
    #[command(args_conflicts_with_subcommands = true)]
    Keys {
        #[command(flatten)]
        here: Here,
        /// What to do with the ring of service keys instead
        #[command(subcommand)]
        ring: Option<service_keys::Command>,
    },
}

#[derive(clap::Args)]
pub(crate) struct NewDevice {
    #[command(flatten)]
    here: Here,
    /// Asked for where not given
    #[arg(long)]
    username: Option<String>,
    #[command(flatten)]
    password: PasswordSource,
    /// The name that you will know the device by
    #[arg(long, default_value = account::DEVICE_NAME)]
    device_name: String,
}

impl Command {
    pub(super) fn here(&self) -> &Here {
        match self {
            Self::Register { new } | Self::Login { new } => &new.here,
            Self::Menu { here }
            | Self::Relogin { here, .. }
            | Self::Send { here, .. }
            | Self::Refresh { here }
            | Self::Sessions { here }
            | Self::Logout { here }
            | Self::EndSession { here, .. }
            | Self::EndAll { here }
            | Self::Keys { here, .. } => here,
        }
    }

    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Menu { here } => menu::run(&here).await,
            Self::Register { new } => new.log_in(true).await,
            Self::Login { new } => new.log_in(false).await,
            Self::Relogin { here, username, password } => {
                let known = Person::open(&here)?.profile()?.username.clone();
                let username = username.unwrap_or(known);
                let password = password.read(false)?;
                let mut person = Person::open(&here)?;
                tell(here.json, &account::log_in_again(&mut person, &username, &password).await?)
            }
            Self::Send { here, room, join, new_room, client_message_id, message } => {
                let room = match (room, new_room) {
                    (Some(id), _) => Room::Known { id, join },
                    (None, name) => Room::New(name.unwrap_or_default()),
                };
                let message = read_message(message)?;
                let mut person = Person::open(&here)?;
                let sent = chat::send(&mut person, &room, &message, client_message_id).await?;
                tell(here.json, &sent)
            }
            Self::Refresh { here } => {
                tell(here.json, &session::refresh(&mut Person::open(&here)?).await?)
            }
            Self::Sessions { here } => {
                tell(here.json, &session::list(&mut Person::open(&here)?).await?)
            }
            Self::Logout { here } => {
                tell(here.json, &session::log_out(&mut Person::open(&here)?).await?)
            }
            Self::EndSession { here, session_id } => {
                tell(here.json, &session::end_one(&mut Person::open(&here)?, session_id).await?)
            }
            Self::EndAll { here } => {
                tell(here.json, &session::end_all(&mut Person::open(&here)?).await?)
            }
            Self::Keys { here, .. } => {
                tell(here.json, &keys::list(&mut Person::open(&here)?).await?)
            }
        }
    }
}

impl NewDevice {
    async fn log_in(self, register: bool) -> Result<(), Failure> {
        let username = prompt::username(self.username, None)?;
        let password = self.password.read(register)?;
        let mut person = Person::open(&self.here)?;
        if register {
            account::register(&person, &username, &password).await?;
        }
        let logged_in = account::log_in(&mut person, &username, &password, &self.device_name);
        tell(self.here.json, &logged_in.await?)
    }
}

fn read_message(message: String) -> Result<String, Failure> {
    if message != "-" {
        return Ok(message);
    }
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Failure::Usage(format!("standard input is not text: {error}")))?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}
