use aes::Aes256;
use auth_manager::import::{OlderVault, Tally, auth_vault};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD};
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeEncrypt as _, KeyIvInit as _};
use common::settings::Secret;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::world::{World, token, token_at};

const IV: [u8; 16] = [3; 16];

/// An older vault, in a schema-compatible database of its own.
pub(crate) async fn older() -> World {
    let world = World::start().await;
    world
        .run(
            "DROP TABLE auth_vault CASCADE;
             CREATE TABLE auth_vault (id uuid PRIMARY KEY, user_id uuid, token_type text,
                 encrypted_token text, iv text, token_hash text, metadata jsonb,
                 session_state_id text, created_at timestamptz, updated_at timestamptz)",
        )
        .await;
    world
}

fn seal(token: &str, key: u8) -> Vec<u8> {
    cbc::Encryptor::<Aes256>::new_from_slices(&[key; 32], &IV)
        .unwrap()
        .encrypt_padded_vec::<Pkcs7>(token.as_bytes())
}

pub(crate) async fn add(older: &World, user: Uuid, token: &str, key: u8, hash_of: &str) -> Uuid {
    let sealed = [hex::encode(seal(token, key)), hex::encode(IV)];
    add_row(older, user, &sealed, &hex::encode(Sha256::digest(hash_of))).await
}

pub(crate) async fn add_row(older: &World, user: Uuid, sealed: &[String; 2], hash: &str) -> Uuid {
    let (id, [sealed, iv]) = (Uuid::new_v4(), sealed);
    older
        .run(&format!(
            "INSERT INTO auth_vault VALUES ('{id}', '{user}', 'offline', '{sealed}', '{iv}',
                 '{hash}', '{{\"origin\": \"test\"}}', 'sid', now(), now())"
        ))
        .await;
    id
}

pub(crate) async fn import(world: &World, older: &World, dry_run: bool) -> Tally {
    let vault = OlderVault {
        url: Secret::from(older.database.url().to_owned()),
        key: Secret::from("07".repeat(32)),
    };
    auth_vault(&world.importer(dry_run), &vault, &mut |_| ()).await.unwrap()
}

#[tokio::test]
async fn ids_stay_valid_and_what_does_not_open_is_named() {
    let (world, older) = (World::start().await, older().await);
    let user = Uuid::new_v4();
    let shared = token("Offline", "subject-1", "sid-1", "a");
    let first = add(&older, user, &shared, 7, &shared).await;
    let second = add(&older, user, &shared, 7, &shared).await;
    let third = token("Offline", "subject-1", "sid-2", "b");
    let third = add(&older, user, &third, 7, &third).await;
    let under_another_key = add(&older, user, &shared, 8, &shared).await;
    let of_another_hash = add(&older, user, &shared, 7, "something else").await;
    assert_eq!(import(&world, &older, true).await.migrated, 3);
    assert_eq!(world.count("auth_vault").await + world.count("users").await, 0);

    let tally = import(&world, &older, false).await;
    assert_eq!((tally.migrated, tally.skipped, tally.total), (3, 0, 5));
    for id in [under_another_key, of_another_hash] {
        assert!(tally.errors.iter().any(|(failed, _)| *failed == id.to_string()), "{tally:?}");
    }
    // Two ids share one grant.
    assert_eq!(world.count("auth_vault").await, 2);
    for id in [first, second, third] {
        assert_eq!(world.count(&format!("persistent_tokens WHERE id = '{id}'")).await, 1);
    }
    let origin = "SELECT min(metadata ->> 'origin') FROM auth_vault WHERE client_id = 'login'";
    assert_eq!(world.text(origin).await, "test");
    let again = import(&world, &older, false).await;
    assert_eq!((again.migrated, again.skipped, again.errors.len()), (0, 3, 2));
}

#[tokio::test]
async fn columns_of_text_and_of_bytes_are_read_alike() {
    for (column, encode) in [
        ("text", (|bytes| BASE64.encode(bytes)) as fn(&[u8]) -> String),
        ("text", |bytes| URL_SAFE_NO_PAD.encode(bytes)),
        ("varchar(4000)", |bytes| hex::encode_upper(bytes)),
        ("bytea", |bytes| format!("\\x{}", hex::encode(bytes))),
    ] {
        let (world, older) = (World::start().await, older().await);
        older
            .run(&format!(
                "ALTER TABLE auth_vault ALTER encrypted_token TYPE {column}
                     USING encrypted_token::{column}, ALTER iv TYPE {column} USING iv::{column},
                     ALTER metadata TYPE text, ALTER session_state_id TYPE uuid USING NULL,
                     ALTER created_at TYPE timestamp"
            ))
            .await;
        let user = Uuid::new_v4();
        let offline = token("Offline", "subject-1", "sid-1", "a");
        let sealed = [encode(&seal(&offline, 7)), encode(&IV)];
        older
            .run(&format!(
                "INSERT INTO auth_vault VALUES (gen_random_uuid(), '{user}', 'OFFLINE',
                     '{}', '{}', '', 'not even JSON', NULL, now(), NULL)",
                sealed[0], sealed[1]
            ))
            .await;
        let tally = import(&world, &older, false).await;
        assert_eq!((tally.migrated, tally.total), (1, 1), "{column}: {tally:?}");
        assert_eq!(world.token_of("sid-1").await, offline, "{column}");
    }
}

#[tokio::test]
async fn a_row_with_holes_is_one_error_and_no_other_row_s() {
    let (world, older) = (World::start().await, older().await);
    let user = Uuid::new_v4();
    let offline = token("Offline", "subject-1", "sid-1", "a");
    let good = add(&older, user, &offline, 7, &offline).await;
    for hole in ["user_id", "token_type", "encrypted_token", "iv"] {
        let id = add(&older, user, &offline, 7, &offline).await;
        older.run(&format!("UPDATE auth_vault SET {hole} = NULL WHERE id = '{id}'")).await;
    }
    let tally = import(&world, &older, false).await;
    assert_eq!((tally.migrated, tally.errors.len(), tally.total), (1, 4, 5));
    assert_eq!(world.count(&format!("persistent_tokens WHERE id = '{good}'")).await, 1);
    assert_eq!(world.count("persistent_tokens").await, 1);
}

#[tokio::test]
async fn of_two_tokens_of_one_grant_the_newer_stays_under_both_ids() {
    for newer_first in [true, false] {
        let (world, older) = (World::start().await, older().await);
        let (user, mut tokens) = (Uuid::new_v4(), [1_700_000_100, 1_700_000_200]);
        if newer_first {
            tokens.reverse();
        }
        let mut ids = Vec::new();
        for issued_at in tokens {
            let token = token_at(issued_at, "sid-1");
            ids.push((issued_at, add(&older, user, &token, 7, &token).await));
        }
        let foreseen = import(&world, &older, true).await;
        let tally = import(&world, &older, false).await;
        assert_eq!(tally, foreseen);
        assert_eq!((tally.migrated, tally.replaced.len(), tally.total), (1, 1, 2));
        let (_, loser) = ids.iter().min().unwrap();
        assert_eq!(tally.replaced[0].0, loser.to_string());
        assert_eq!(world.token_of("sid-1").await, token_at(1_700_000_200, "sid-1"));
        assert_eq!(world.count("auth_vault").await, 1);
        assert_eq!(world.count("persistent_tokens").await, 2);
        assert_eq!(import(&world, &older, false).await.skipped, 2);
    }
}

#[tokio::test]
async fn a_revocation_keeps_a_grant_out_while_it_is_under_way_and_for_minutes_after_it() {
    let (world, older) = (World::start().await, older().await);
    let offline = token("Offline", "subject-1", "sid-1", "a");
    add(&older, Uuid::new_v4(), &offline, 7, &offline).await;
    for (kind, state, next_at, taken) in [
        ("end_session", "pending", "now() - interval '1 hour'", false),
        ("revoke", "ended", "now() + interval '1 hour'", false),
        ("revoke", "ended", "now() - interval '1 second'", true),
    ] {
        world
            .run(&format!(
                "DELETE FROM provider_calls;
                 INSERT INTO provider_calls (id, kind, state, provider, subject, client_id,
                     session_state_id, next_at, created_at)
                 VALUES (gen_random_uuid(), '{kind}', '{state}', 'keycloak', 'subject-1', 'login',
                     'sid-1', {next_at}, now())"
            ))
            .await;
        let tally = import(&world, &older, false).await;
        assert_eq!((tally.migrated, tally.errors.len()), if taken { (1, 0) } else { (0, 1) });
        let why = tally.errors.first().map_or("run it again", |(_, why)| why);
        assert!(why.contains("run it again"), "{why}");
    }
}
