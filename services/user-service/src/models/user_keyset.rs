//! `user_keysets`: the signing keys of a user's devices.

use chrono::{DateTime, Utc};
use common::prepared::prepared;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::published_key;
use crate::schema::user_keysets;

/// A JWK set whose members name their device.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Keyset {
    /// One key for each device that has a session.
    pub keys: Vec<DeviceJwk>,
    /// Members that somebody damaged, kept as they are until their device has a new key.
    #[serde(skip)]
    pub damaged: Vec<Value>,
}

/// A member of a keyset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceJwk {
    /// Key id.
    pub kid: String,
    /// The device that it signs for.
    pub device_id: Uuid,
    /// The sealed private key, PKCS#8, in hex.
    #[serde(with = "hex")]
    pub sealed: Vec<u8>,
    /// The public JWK's other members.
    #[serde(flatten)]
    pub public: Map<String, Value>,
}

impl DeviceJwk {
    /// A member made of what was published; members of the keyset's own carry its key id.
    #[must_use]
    pub fn new(kid: &str, device_id: Uuid, sealed: &[u8], public_jwk: &Value) -> Self {
        let mut public = public_jwk.as_object().cloned().unwrap_or_default();
        public.remove("kid");
        Self { kid: kid.to_owned(), device_id, sealed: sealed.to_vec(), public }
    }
}

impl Keyset {
    /// Puts `key` in the place of its device's former one, whose kid it answers.
    pub fn set_device_key(&mut self, key: DeviceJwk) -> Option<String> {
        let former = self.remove_device(key.device_id);
        self.keys.push(key);
        former
    }

    /// Removes a device's key and answers its kid.
    pub fn remove_device(&mut self, device: Uuid) -> Option<String> {
        let device_id = device.to_string();
        self.damaged.retain(|member| member["device_id"] != device_id.as_str());
        let index = self.keys.iter().position(|key| key.device_id == device)?;
        Some(self.keys.remove(index).kid)
    }

    /// Removes the keys with these ids.
    pub fn remove(&mut self, kids: &[&str]) {
        let is_meant = |kid: &str| kids.contains(&kid);
        self.keys.retain(|key| !is_meant(&key.kid));
        self.damaged.retain(|member| !member["kid"].as_str().is_some_and(is_meant));
    }

    /// The key with this id.
    #[must_use]
    pub fn find(&self, kid: &str) -> Option<&DeviceJwk> {
        self.keys.iter().find(|key| key.kid == kid)
    }
}

/// Whatever is wrong with one member costs no other; a row that is no keyset at all is an empty
/// one.
fn parse(user: Uuid, keyset: &Value) -> Keyset {
    let mut parsed = Keyset::default();
    let members = keyset["keys"].as_array();
    for member in members.into_iter().flatten() {
        match DeviceJwk::deserialize(member) {
            Ok(key) => parsed.keys.push(key),
            Err(_) => parsed.damaged.push(member.clone()),
        }
    }
    if members.is_none() || !parsed.damaged.is_empty() {
        tracing::error!(user_id = %user, members = parsed.damaged.len(), "keyset_damaged");
    }
    parsed
}

fn render(keyset: &Keyset) -> QueryResult<Value> {
    let mut rendered = serde_json::to_value(keyset)
        .map_err(|error| diesel::result::Error::SerializationError(Box::new(error)))?;
    if let Some(members) = rendered["keys"].as_array_mut() {
        members.extend(keyset.damaged.iter().cloned());
    }
    Ok(rendered)
}

/// A user's keyset.
pub async fn find(connection: &mut AsyncPgConnection, user: Uuid) -> QueryResult<Option<Keyset>> {
    use user_keysets::dsl;
    let keyset = dsl::user_keysets.find(user).select(dsl::keyset).first(connection).await;
    Ok(keyset.optional()?.map(|keyset| parse(user, &keyset)))
}

/// A user's keyset, made where there is none and locked until the transaction ends. First in the
/// order of locks.
pub async fn lock(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<Keyset> {
    use user_keysets::dsl;
    loop {
        let locked = dsl::user_keysets
            .find(user)
            .select(dsl::keyset)
            .for_update()
            .first(connection)
            .await
            .optional()?;
        if let Some(keyset) = locked {
            return Ok(parse(user, &keyset));
        }
        save_if_absent(connection, user, now).await?;
    }
}

async fn save_if_absent(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    use user_keysets::dsl;
    diesel::insert_into(dsl::user_keysets)
        .values((
            dsl::user_id.eq(user),
            dsl::keyset.eq(render(&Keyset::default())?),
            dsl::created_at.eq(now),
            dsl::updated_at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(connection)
        .await
}

/// Saves a keyset; an empty one's row goes.
pub async fn save(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    keyset: &Keyset,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    use user_keysets::dsl;
    if keyset.keys.is_empty() && keyset.damaged.is_empty() {
        return delete(connection, user).await;
    }
    let rendered = render(keyset)?;
    let saving = diesel::insert_into(dsl::user_keysets)
        .values((
            dsl::user_id.eq(user),
            dsl::keyset.eq(&rendered),
            dsl::created_at.eq(now),
            dsl::updated_at.eq(now),
        ))
        .on_conflict(dsl::user_id)
        .do_update()
        .set((dsl::keyset.eq(&rendered), dsl::updated_at.eq(now)));
    prepared(saving).execute(connection).await.map(|_| ())
}

/// Gives a keyset the times of keys that were moved into it: it is as old as the first of them,
/// and `updated_at`, where nothing else was in it, is the last one's.
pub async fn keep_times(
    connection: &mut AsyncPgConnection,
    user: Uuid,
    created_at: DateTime<Utc>,
    updated_at: Option<DateTime<Utc>>,
) -> QueryResult<usize> {
    diesel::sql_query(
        "UPDATE user_keysets SET created_at = least(created_at, $2),
             updated_at = coalesce($3, updated_at)
         WHERE user_id = $1",
    )
    .bind::<diesel::sql_types::Uuid, _>(user)
    .bind::<diesel::sql_types::Timestamptz, _>(created_at)
    .bind::<diesel::sql_types::Nullable<diesel::sql_types::Timestamptz>, _>(updated_at)
    .execute(connection)
    .await
}

/// Removes a keyset.
pub async fn delete(connection: &mut AsyncPgConnection, user: Uuid) -> QueryResult<()> {
    diesel::delete(user_keysets::table.find(user)).execute(connection).await.map(|_| ())
}

/// Keysets by user id, those after `after`, `limit` at most.
pub async fn list(
    connection: &mut AsyncPgConnection,
    after: Option<Uuid>,
    limit: i64,
) -> QueryResult<Vec<(Uuid, Keyset)>> {
    use user_keysets::dsl;
    let rows: Vec<(Uuid, Value)> = dsl::user_keysets
        .select((dsl::user_id, dsl::keyset))
        .filter(dsl::user_id.gt(after.unwrap_or_default()))
        .order(dsl::user_id)
        .limit(limit)
        .load(connection)
        .await?;
    Ok(rows.into_iter().map(|(user, keyset)| (user, parse(user, &keyset))).collect())
}

/// The key in use under this id and its user, found without scanning keysets.
pub async fn find_by_kid(
    connection: &mut AsyncPgConnection,
    kid: &str,
) -> QueryResult<Option<(Uuid, DeviceJwk)>> {
    let Some(user) = published_key::find_user(connection, kid).await? else { return Ok(None) };
    let keyset = find(connection, user).await?.unwrap_or_default();
    Ok(keyset.find(kid).cloned().map(|key| (user, key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kid: &str, device: u128) -> DeviceJwk {
        DeviceJwk {
            kid: kid.to_owned(),
            device_id: Uuid::from_u128(device),
            sealed: vec![1, 2],
            public: Map::new(),
        }
    }

    #[test]
    fn a_device_has_one_key() {
        let mut keyset = Keyset::default();
        assert_eq!(keyset.set_device_key(key("a", 1)), None);
        assert_eq!(keyset.set_device_key(key("b", 2)), None);
        assert_eq!(keyset.set_device_key(key("c", 1)), Some("a".to_owned()));
        assert_eq!(keyset.keys.len(), 2);
        assert!(keyset.find("a").is_none());
        assert_eq!(keyset.remove_device(Uuid::from_u128(2)), Some("b".to_owned()));
    }

    #[test]
    fn a_keyset_comes_back_from_its_json() {
        let mut keyset = Keyset::default();
        keyset.set_device_key(key("a", 1));
        assert_eq!(parse(Uuid::nil(), &render(&keyset).unwrap()), keyset);
        keyset.damaged.push(Value::from("garbage"));
        assert_eq!(parse(Uuid::nil(), &render(&keyset).unwrap()), keyset);
        assert_eq!(parse(Uuid::nil(), &Value::from("garbage")), Keyset::default());
    }
}
