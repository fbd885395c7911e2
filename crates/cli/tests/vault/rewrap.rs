use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use auth_manager::models::grant::{self, Grant, GrantKey, TokenType};
use auth_manager::vault::{SEALED_COLUMNS, token_identity};
use diesel::sql_types::{BigInt, Binary, Text, Uuid as SqlUuid};
use diesel_async::{
    AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _,
};
use sealed_columns::rewrap;
use uuid::Uuid;
use vault_crypto::Keyring;

use crate::world::{PLAIN, Put, SEALED, World, both, new, old, sealed};

#[tokio::test]
async fn rewrap_moves_every_sealed_column_and_only_then_the_old_key_can_be_dropped() {
    let world = World::new().await;
    world.fill().await;
    let hash = "SELECT encode(token_hash, 'hex') || version FROM auth_vault";
    let before = world.text(hash).await;
    let (done, told) = world.vault(&both(), &["keys"]);
    assert!(done && told.contains("user-service: `old` is needed by 7 rows"), "{told}");
    assert!(told.contains("auth-manager: `old` is needed by 4 rows"), "{told}");
    let (done, told) = world.vault(&new(), &["keys"]);
    assert!(!done && told.contains("the ring lacks `old`"), "{told}");

    let (done, told) = world.vault(&both(), &["rewrap"]);
    assert!(done, "{told}");
    assert!(told.contains("user-service: moved 7 to `new`, damaged 0, left 0, total 7"), "{told}");
    assert!(told.contains("auth-manager: moved 4 to `new`, damaged 0, left 0, total 4"), "{told}");
    assert!(told.contains("key `old`: 4 before, 0 after"), "{told}");
    assert_eq!(world.text(hash).await, before);

    let (done, told) = world.vault(&both(), &["keys"]);
    assert!(done && told.contains("user-service: `old` can be dropped"), "{told}");
    for name in SEALED {
        assert!(told.contains(name), "{name}: {told}");
    }
    let (done, told) = world.vault(&new(), &["verify"]);
    assert!(done && told.contains("user-service: 7 rows opened, 0 damaged"), "{told}");
    assert!(told.contains("auth-manager: 4 rows opened, 0 damaged"), "{told}");
    let (done, told) = world.vault(&both(), &["rewrap"]);
    assert!(done && told.contains("auth-manager: moved 0 to `new`"), "{told}");
}

#[tokio::test]
async fn a_dry_run_counts_and_changes_nothing() {
    let world = World::new().await;
    world.fill().await;
    let (done, told) = world.vault(&both(), &["rewrap", "--dry-run", "--service", "auth-manager"]);
    assert!(done && told.contains("moved 4 to `new`, damaged 0, left 0, total 4 (dry"), "{told}");
    assert!(!told.contains("user-service"), "{told}");
    assert!(world.vault(&old(), &["verify"]).0);
}

#[tokio::test]
async fn elsewhere_than_on_a_terminal_there_is_a_line_each_hundred_rows() {
    let world = World::new().await;
    for number in 0..130 {
        world.put(&format!("person-{number}"), "s").await;
    }
    let (done, told) = world.vault(&both(), &["rewrap", "--service", "auth-manager"]);
    assert!(done && told.contains("100 of 260 rows") && told.contains("200 of 260"), "{told}");
}

#[tokio::test]
async fn damaged_rows_and_those_moved_to_another_user_are_named_left_and_counted() {
    let world = World::new().await;
    let (alice, bob) = (world.put("alice", "s-1").await, world.put("bob", "s-2").await);
    world
        .auth(&format!(
            "UPDATE auth_vault SET encrypted_token =
                 (SELECT encrypted_token FROM auth_vault WHERE id = '{}') WHERE id = '{}';
             UPDATE drawn_tokens SET sealed_access_token =
                 set_byte(sealed_access_token, 30, get_byte(sealed_access_token, 30) # 1)
             WHERE grant_id = '{0}'",
            alice.grant, bob.grant
        ))
        .await;
    let moved = format!("auth_vault.encrypted_token {}: it does not open", bob.grant);
    let flipped =
        format!("drawn_tokens.sealed_access_token {}/openid profile: it does", alice.grant);
    let check = |done: bool, told: &str| {
        assert!(!done && told.contains(&moved) && told.contains(&flipped), "{told}");
    };
    let (done, told) = world.vault(&both(), &["verify", "--service", "auth-manager"]);
    check(done, &told);
    assert!(told.contains("2 rows opened, 2 damaged"), "{told}");
    let (done, told) = world.vault(&both(), &["rewrap", "--service", "auth-manager"]);
    check(done, &told);
    assert!(told.contains("moved 2 to `new`, damaged 2, left 0, total 4"), "{told}");
    assert_eq!(world.count("auth_vault WHERE sealing_key_id = 'old'").await, 1);
}

#[tokio::test]
async fn a_value_under_another_key_than_its_row_says_is_damage() {
    let world = World::new().await;
    let put = world.put("alice", "s-1").await;
    world.auth("UPDATE auth_vault SET sealing_key_id = 'new'").await;
    let (done, told) = world.vault(&both(), &["verify", "--service", "auth-manager"]);
    let line = format!("{}: another key sealed it than its row says", put.grant);
    assert!(!done && told.contains(&line), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rewrap_under_rotation_loses_no_newer_token() {
    let world = World::new().await;
    let mut puts = Vec::new();
    for number in 0..40 {
        puts.push(world.put(&format!("person-{number}"), "s").await);
    }
    let stop = Arc::new(AtomicBool::new(false));
    // One replica has the new ring, the other one still writes with the old key.
    let rotators: Vec<_> = [both(), format!("{},{}", old(), new())]
        .into_iter()
        .zip([&puts[..20], &puts[20..]])
        .map(|(ring, puts)| rotate(&world, &ring, puts, Arc::clone(&stop)))
        .collect();
    let keyring = Keyring::parse(&both()).unwrap();
    let mut connection = world.auth.connect().await;
    for _ in 0..3 {
        rewrap(&mut connection, SEALED_COLUMNS, &keyring, false, &mut |_| {}).await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    for rotator in rotators {
        let last = rotator.await.unwrap();
        for (grant_id, version) in last {
            let row = grant::find(&mut connection, grant_id).await.unwrap().unwrap();
            assert_eq!(row.version, version);
            assert_eq!(opened(&keyring, &row), format!("{PLAIN} {grant_id} {version}"));
        }
    }
    let (done, told) = world.vault(&both(), &["rewrap", "--service", "auth-manager"]);
    assert!(done, "{told}");
    assert!(world.vault(&new(), &["verify", "--service", "auth-manager"]).0);
}

/// Rotates as a refresh does, where the version presented still stands; answers the last version
/// of each grant, of which there is more than one.
fn rotate(
    world: &World,
    ring: &str,
    puts: &[Put],
    stop: Arc<AtomicBool>,
) -> tokio::task::JoinHandle<Vec<(Uuid, i64)>> {
    let ring = ring.to_owned();
    let first = ring.split(':').next().unwrap().to_owned();
    let grants: Vec<(Uuid, String)> =
        puts.iter().map(|put| (put.grant, put.subject.clone())).collect();
    let url = world.auth.url().to_owned();
    tokio::spawn(async move {
        let mut connection = AsyncPgConnection::establish(&url).await.unwrap();
        let mut version = 0;
        while version < 2 || !AtomicBool::load(&stop, Ordering::Relaxed) {
            for (id, subject) in &grants {
                let key = GrantKey {
                    provider: "keycloak",
                    subject,
                    client_id: "app",
                    session_state_id: "s",
                };
                let token = format!("{PLAIN} {id} {}", version + 1);
                let identity = token_identity(&key, TokenType::Offline);
                let sealed = Keyring::parse(&ring).unwrap().seal(&identity, token.as_bytes());
                let written = diesel::sql_query(
                    "UPDATE auth_vault SET encrypted_token = $3, sealing_key_id = $4,
                         version = version + 1 WHERE id = $1 AND version = $2",
                )
                .bind::<SqlUuid, _>(id)
                .bind::<BigInt, _>(version)
                .bind::<Binary, _>(sealed.as_bytes())
                .bind::<Text, _>(&first)
                .execute(&mut connection)
                .await;
                assert_eq!(written, Ok(1));
            }
            version += 1;
        }
        grants.into_iter().map(|(id, _)| (id, version)).collect()
    })
}

fn opened(keyring: &Keyring, row: &Grant) -> String {
    let identity = token_identity(&row.key(), row.token_type());
    let opened = keyring.open(&identity, &row.encrypted_token).unwrap();
    String::from_utf8(opened.to_vec()).unwrap()
}

#[tokio::test]
async fn a_row_that_somebody_holds_is_left_and_said() {
    let world = World::new().await;
    let put = world.put("alice", "s-1").await;
    let mut holder = world.auth.connect().await;
    let hold = format!("BEGIN; SELECT FROM auth_vault WHERE id = '{}' FOR UPDATE", put.grant);
    holder.batch_execute(&hold).await.unwrap();
    let (done, told) = world.vault(&both(), &["rewrap", "--service", "auth-manager"]);
    assert!(!done && told.contains("moved 1 to `new`, damaged 0, left 1, total 2"), "{told}");
    holder.batch_execute("ROLLBACK").await.unwrap();
    assert!(world.vault(&both(), &["rewrap", "--service", "auth-manager"]).0);
}

#[tokio::test]
async fn a_keyset_keeps_its_other_members_and_a_lost_key_in_it_is_named() {
    let world = World::new().await;
    world.fill().await;
    let garbled = "jsonb_set(keyset, '{keys,0,sealed}', '\"zz\"')";
    world.user(&format!("UPDATE user_keysets SET keyset = {garbled}")).await;
    let (done, told) = world.vault(&both(), &["rewrap", "--service", "user-service"]);
    assert!(!done && told.contains("user_keysets.keyset kid-a: it is no sealed value"), "{told}");
    assert!(told.contains("moved 6 to `new`, damaged 1, left 0, total 7"), "{told}");
    let whole = sealed(&new(), SEALED[3], &["kid-a"], PLAIN);
    let whole = whole.trim_start_matches("'\\x").trim_end_matches("'::bytea");
    let mended = format!("jsonb_set(keyset, '{{keys,0,sealed}}', '\"{whole}\"')");
    world
        .user(&format!(
            "UPDATE user_keysets SET keyset = {mended};
             UPDATE published_keys SET sealing_key_id = 'new' WHERE kid = 'kid-a'"
        ))
        .await;
    let (done, told) = world.vault(&new(), &["verify", "--service", "user-service"]);
    assert!(done && told.contains("7 rows opened"), "{told}");
}

#[tokio::test]
async fn a_row_that_is_no_keyset_any_more_is_named_and_hides_nothing_else() {
    let world = World::new().await;
    world.fill().await;
    for wrong in [r#""x""#, "[1]", r#"{"keys": "x"}"#, r#"{"keys": [7]}"#] {
        world.user(&format!("UPDATE user_keysets SET keyset = '{wrong}'")).await;
        let (done, told) = world.vault(&both(), &["verify", "--service", "user-service"]);
        assert!(!done && told.contains("user_keysets.keyset kid-a"), "{wrong}: {told}");
        assert!(told.contains("5 rows opened, 2 damaged"), "{wrong}: {told}");
    }
}
