use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use common::clock::Clock;
use common::device_key::{
    DeviceKey, encode_public_key, login_message, parse_public_key, refresh_message,
    session_id_message,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;
use x25519_dalek::{PublicKey, StaticSecret};

use crate::files::write_new;

const FILE: &str = "device.json";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a key pair, keep it in a file (mode 0600), and print the body for `register-device`
    New {
        /// Where the device's secrets are kept
        #[arg(long, default_value = FILE)]
        file: PathBuf,
        /// The name that the owner will know the device by
        #[arg(long)]
        name: Option<String>,
    },
    /// Read the answer of `register-device` from standard input and agree on the device key
    Agree {
        #[arg(long, default_value = FILE)]
        file: PathBuf,
    },
    /// Print a signed body for `login`, with the password that `LATCHKEY_PASSWORD` holds
    Sign {
        #[arg(long, default_value = FILE)]
        file: PathBuf,
        #[arg(long)]
        username: String,
    },
    /// Print a body for `refresh` with a device proof
    Prove {
        #[arg(long, default_value = FILE)]
        file: PathBuf,
        /// Read from `LATCHKEY_REFRESH_TOKEN` where not given
        #[arg(long, env = "LATCHKEY_REFRESH_TOKEN", hide_env_values = true)]
        refresh_token: String,
    },
}

/// What a device keeps to itself.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct DeviceFile {
    #[serde(with = "hex")]
    secret: [u8; 32],
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::New { file, name } => {
            let device = DeviceFile::new();
            write_new(file, &serde_json::to_vec_pretty(&device)?, 0o600)?;
            println!("{}", device.registration(name.as_deref()));
        }
        Command::Agree { file } => {
            // The file comes second: in a pipeline `device new` may only now be writing it.
            let answer: Value = serde_json::from_reader(std::io::stdin())
                .context("standard input is not the answer of register-device")?;
            let mut device = DeviceFile::read(file)?;
            device.agree(&answer)?;
            fs::write(file, serde_json::to_vec_pretty(&device)?)?;
            println!("{}", device.device_id.as_deref().unwrap_or_default());
        }
        Command::Sign { file, username } => {
            // Not from an argument, which other processes can read.
            let password = std::env::var("LATCHKEY_PASSWORD")
                .context("`LATCHKEY_PASSWORD` does not hold the password")?;
            println!("{}", DeviceFile::read(file)?.login(username, &password)?);
        }
        Command::Prove { file, refresh_token } => {
            println!("{}", DeviceFile::read(file)?.refresh(refresh_token)?);
        }
    }
    Ok(())
}

impl DeviceFile {
    pub(crate) fn new() -> Self {
        Self { secret: rand::random(), device_id: None, key: None }
    }

    fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| {
            format!("{} can't be read; `latchkey device new` makes one", path.display())
        })?;
        serde_json::from_slice(&text)
            .with_context(|| format!("{} is not a device's file", path.display()))
    }

    /// The body for `register-device`.
    pub(crate) fn registration(&self, name: Option<&str>) -> Value {
        let public = PublicKey::from(&StaticSecret::from(self.secret));
        json!({ "public_key": encode_public_key(&public), "device_name": name })
    }

    /// Takes the server's half.
    pub(crate) fn agree(&mut self, answer: &Value) -> Result<()> {
        let member = |name: &str| {
            let what = format!("no `{name}` in the answer of register-device: {answer}");
            answer[name].as_str().context(what)
        };
        let server = parse_public_key(member("server_public_key")?)
            .context("`server_public_key` is not an X25519 key")?;
        let secret = StaticSecret::from(self.secret);
        let client = PublicKey::from(&secret);
        let Some(key) = DeviceKey::agree(&secret, &server, &client, &server) else {
            bail!("`server_public_key` gives no secret");
        };
        self.key = Some(hex::encode(key.as_bytes()));
        self.device_id = Some(member("device_id")?.to_owned());
        Ok(())
    }

    /// A body for `login`, signed now with a fresh nonce.
    pub(crate) fn login(&self, username: &str, password: &str) -> Result<Value> {
        let (id, key) = self.identity()?;
        let (timestamp, nonce) = now_and_nonce();
        Ok(json!({
            "username": username,
            "password": password,
            "device_id": id,
            "timestamp": timestamp,
            "nonce": nonce,
            "session_id": key.sign(&session_id_message(id, &timestamp, &nonce)),
            "device_signature": key.sign(&login_message(username, &timestamp, &nonce)),
        }))
    }

    /// A body for `refresh` that proves the device; sent again as it is, it has the same answer.
    pub(crate) fn refresh(&self, refresh_token: &str) -> Result<Value> {
        let (_, key) = self.identity()?;
        let (timestamp, nonce) = now_and_nonce();
        let signature = key.sign(&refresh_message(refresh_token, &timestamp, &nonce));
        Ok(json!({
            "refresh_token": refresh_token,
            "device_proof": { "timestamp": timestamp, "nonce": nonce, "signature": signature },
        }))
    }

    /// The id that the service gave it.
    pub(crate) fn id(&self) -> Result<&str> {
        Ok(self.identity()?.0)
    }

    fn identity(&self) -> Result<(&str, DeviceKey)> {
        let not_yet = "the device has no key yet; register it and run `latchkey device agree`";
        let id = self.device_id.as_deref().context(not_yet)?;
        let key = hex::decode(self.key.as_deref().context(not_yet)?)?;
        Ok((id, DeviceKey::from_bytes(&key).context("the device's key is damaged")?))
    }
}

fn now_and_nonce() -> (String, String) {
    let timestamp = Clock::default().now().timestamp_millis().to_string();
    (timestamp, Uuid::new_v4().simple().to_string())
}
