use std::sync::PoisonError;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::QueryResult;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use serde_json::Value;
use token_verifier::{Algorithm, Key, is_kid, public_jwk};
use uuid::Uuid;
use vault_crypto::Keyring;
use zeroize::Zeroizing;

use super::older_key::{self, OlderKey};
use super::{Importer, Outcome, is_fatal, key_data};
use crate::models::key_retirement;
use crate::models::published_key::{self, TakenKey};
use crate::models::user;
use crate::models::user_keyset::{self, DeviceJwk, Keyset};
use crate::signing::{key_identity, key_type};

const KNOWN: &str = "its key is there already";
const OLDER: &str = "its device has a newer key";
/// A moved key that no session signs with serves the tokens that it signed before, this long.
const KEY_LIFE: TimeDelta = TimeDelta::days(30);

/// A row whose key was opened and sealed.
pub(super) struct Prepared {
    device_id: Uuid,
    key: TakenKey,
    sealing_key_id: String,
}

type Row = (OlderKey, Result<Prepared, &'static str>);

impl Prepared {
    /// What is wrong, in words that show nothing of the key.
    pub(super) fn new(keyring: &Keyring, row: &OlderKey) -> Result<Self, &'static str> {
        let device_id = Uuid::parse_str(&row.device_id).map_err(|_| "its device_id is no UUID")?;
        let (private, own_kid) = key_data::parse(&row.key_data)?;
        let kid = if row.key_id.is_empty() { own_kid.clone() } else { Some(row.key_id.clone()) };
        let kid = kid.filter(|kid| is_kid(kid)).ok_or("its key id is not one that tokens name")?;
        if own_kid.is_some_and(|own| own != kid) {
            return Err("key_data names another key id");
        }
        let unusable = |_| "its key can't be used";
        let pem = private.public_key_to_pem().map_err(unusable)?;
        let mut public = public_jwk(&pem).map_err(|_| "its key is neither RSA nor P-256")?;
        public["kid"] = kid.clone().into();
        let strength = |_| "verifiers would refuse its key: too weak, or of another kind";
        let algorithm = Key::from_jwk(&public).map_err(strength)?.algorithm();
        let rsa_bits = if algorithm == Algorithm::Rs256 { private.bits() } else { 0 };
        let der = Zeroizing::new(private.private_key_to_pkcs8().map_err(unusable)?);
        let sealed = keyring.seal(&key_identity(&kid), &der);
        let sealing_key_id = sealed.key_id().to_owned();
        let key = TakenKey {
            kid,
            public_jwk: public,
            key_type: key_type(algorithm, rsa_bits),
            sealed_key: sealed.into_bytes(),
            published_at: row.created_at,
        };
        Ok(Self { device_id, key, sealing_key_id })
    }
}

/// Takes in a batch's rows, user by user: one whose rows can't be stored costs no other's.
pub(super) async fn batch(
    importer: &Importer,
    connection: &mut AsyncPgConnection,
    rows: &[Row],
) -> QueryResult<Vec<Outcome>> {
    let mut outcomes = Vec::with_capacity(rows.len());
    for rows in rows.chunk_by(|a, b| a.0.user_id == b.0.user_id) {
        let taken = connection
            .transaction(async |connection| take_user(importer, connection, rows).await)
            .await;
        match taken {
            Ok(taken) => outcomes.extend(taken),
            Err(error) if is_fatal(&error) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "older_keys_not_stored");
                outcomes.extend(rows.iter().map(|_| Outcome::Failed("it could not be stored")));
            }
        }
    }
    Ok(outcomes)
}

async fn take_user(
    importer: &Importer,
    connection: &mut AsyncPgConnection,
    rows: &[Row],
) -> QueryResult<Vec<Outcome>> {
    let all = |why| Ok(rows.iter().map(|_| Outcome::Failed(why)).collect());
    let Ok(user) = Uuid::parse_str(&rows[0].0.user_id) else {
        return all("its user_id is no UUID");
    };
    if user::find_password_version(connection, user).await?.is_none() {
        return all("its user is not there");
    }
    let mut keyset = user_keyset::lock(connection, user, importer.now).await?;
    let was_empty = keyset.keys.is_empty();
    let mut outcomes = Vec::with_capacity(rows.len());
    for (row, prepared) in rows {
        outcomes.push(match prepared {
            Ok(prepared) => place(importer, connection, user, &mut keyset, row, prepared).await?,
            Err(why) => Outcome::Failed(why),
        });
    }
    let of = |wanted: fn(&Outcome) -> bool| {
        let rows = rows.iter().zip(&outcomes).filter(move |(_, outcome)| wanted(outcome));
        rows.map(|((row, _), _)| row).collect::<Vec<&OlderKey>>()
    };
    let moved = of(|outcome| *outcome == Outcome::Migrated);
    if was_empty || !moved.is_empty() {
        user_keyset::save(connection, user, &keyset, importer.now).await?;
    }
    if let Some((first, last)) = span(&moved) {
        user_keyset::keep_times(connection, user, first, was_empty.then_some(last)).await?;
    }
    let settled = of(|outcome| !matches!(outcome, Outcome::Failed(_)));
    if importer.foreseen.is_none() && !settled.is_empty() {
        older_key::mark(connection, &settled, importer.now).await?;
    }
    Ok(outcomes)
}

/// When the first of the rows was made and the last one changed.
fn span(rows: &[&OlderKey]) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let first = rows.iter().map(|row| row.created_at).min()?;
    let last = rows.iter().map(|row| row.updated_at).max()?;
    Some((first, last.max(first)))
}

async fn place(
    importer: &Importer,
    connection: &mut AsyncPgConnection,
    user: Uuid,
    keyset: &mut Keyset,
    row: &OlderKey,
    prepared: &Prepared,
) -> QueryResult<Outcome> {
    let key = &prepared.key;
    let known = match foreseen(importer, &key.kid) {
        Some((owner, public)) => Some((Some(owner), public)),
        None => published_key::find_owner(connection, &key.kid).await?,
    };
    match known {
        Some((Some(owner), public)) if owner == user && public == key.public_jwk => {
            return Ok(Outcome::Skipped(KNOWN));
        }
        Some(_) => return Ok(Outcome::Failed("another key has its key id")),
        None => {}
    }
    if keyset.keys.iter().any(|other| other.device_id == prepared.device_id) {
        return Ok(Outcome::Skipped(OLDER));
    }
    let sealing_key_id = &prepared.sealing_key_id;
    let activated_at = row.updated_at.max(row.created_at);
    published_key::insert_active(connection, key, sealing_key_id, user, activated_at).await?;
    key_retirement::keep_until(connection, &key.kid, importer.now + KEY_LIFE).await?;
    let member = DeviceJwk::new(&key.kid, prepared.device_id, &key.sealed_key, &key.public_jwk);
    keyset.set_device_key(member);
    foresee(importer, user, key);
    Ok(Outcome::Migrated)
}

fn foreseen(importer: &Importer, kid: &str) -> Option<(Uuid, Value)> {
    let foreseen = importer.foreseen.as_ref()?;
    foreseen.lock().unwrap_or_else(PoisonError::into_inner).get(kid).cloned()
}

fn foresee(importer: &Importer, user: Uuid, key: &TakenKey) {
    let Some(foreseen) = &importer.foreseen else { return };
    let known = (user, key.public_jwk.clone());
    foreseen.lock().unwrap_or_else(PoisonError::into_inner).insert(key.kid.clone(), known);
}
