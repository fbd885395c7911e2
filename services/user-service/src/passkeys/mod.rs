//! Passkeys (`WebAuthn`): they prove the person again, with user verification, on a live session.
//!
//! A challenge belongs to one session and is taken out of the database before its answer is looked
//! at, so that no answer is good twice, nor in another session.

mod authentication;
mod registration;

use std::sync::Arc;

use chrono::TimeDelta;
use common::http::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use webauthn_rs::prelude::Passkey;
use webauthn_rs::{Webauthn, WebauthnBuilder};

pub use authentication::{finish_authentication, start_authentication};
pub use registration::{finish_registration, start_registration};

use crate::config::Settings;
use crate::error::Error;
use crate::models::passkey::StoredPasskey;

/// How long a person may take for a ceremony.
const CHALLENGE_LIFE: TimeDelta = TimeDelta::minutes(5);
/// Of one user.
const MOST: usize = 20;
const NAME: &str = "Latchkey";

/// The relying party, where the settings name one.
#[derive(Clone)]
pub struct Passkeys(Option<Arc<Webauthn>>);

impl Passkeys {
    /// Of these settings; an error names the one that is wrong.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        let Some((rp_id, origins)) = settings.passkey_place()? else { return Ok(Self(None)) };
        let Some((first, others)) = origins.split_first() else { return Ok(Self(None)) };
        let bad = |error| format!("`passkeys.rp_id` must be the domain of each origin: {error}");
        let mut builder = WebauthnBuilder::new(&rp_id, first).map_err(bad)?.rp_name(NAME);
        for origin in others {
            WebauthnBuilder::new(&rp_id, origin).map_err(bad)?;
            builder = builder.append_allowed_origin(origin);
        }
        Ok(Self(Some(Arc::new(builder.build().map_err(bad)?))))
    }

    fn get(&self) -> Result<&Webauthn, Problem> {
        self.0.as_deref().ok_or_else(|| {
            Problem::new(
                actix_web::http::StatusCode::NOT_FOUND,
                "passkeys_off",
                "this service has no domain, so that no passkey can be bound to it",
            )
        })
    }
}

fn write(value: &impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(value).map_err(|error| Error::Internal(error.to_string()))
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T, Error> {
    serde_json::from_value(value).map_err(|error| Error::Internal(error.to_string()))
}

fn read_all(rows: &[StoredPasskey]) -> Result<Vec<Passkey>, Error> {
    rows.iter().map(|row| read(row.credential.clone())).collect()
}

/// What a browser answered; an error is its form.
fn parse<T: DeserializeOwned>(credential: Value) -> Result<T, Problem> {
    serde_json::from_value(credential).map_err(|_| {
        Problem::invalid_field(
            "credential",
            "`credential` must be what the browser answered, as `toJSON()` writes it",
        )
    })
}
