use aes::Aes256;
use auth_manager::import::{OlderVault, Tally, auth_vault};
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeEncrypt as _, KeyIvInit as _};
use common::settings::Secret;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::world::{World, token};

const IV: [u8; 16] = [3; 16];

/// An older vault, in a schema-compatible database of its own.
async fn older() -> World {
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

async fn add(older: &World, user: Uuid, token: &str, key: u8, hash_of: &str) -> Uuid {
    let id = Uuid::new_v4();
    let sealed = cbc::Encryptor::<Aes256>::new_from_slices(&[key; 32], &IV)
        .unwrap()
        .encrypt_padded_vec::<Pkcs7>(token.as_bytes());
    let (sealed, iv) = (hex::encode(sealed), hex::encode(IV));
    let hash = hex::encode(Sha256::digest(hash_of));
    older
        .run(&format!(
            "INSERT INTO auth_vault VALUES ('{id}', '{user}', 'offline', '{sealed}', '{iv}',
                 '{hash}', '{{\"origin\": \"test\"}}', 'sid', now(), now())"
        ))
        .await;
    id
}

async fn import(world: &World, older: &World, dry_run: bool) -> Tally {
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
        assert!(tally.errors.iter().any(|(failed, _)| *failed == id), "{tally:?}");
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
