//! `latchkey audit`, as an operator sees it, and what it says of a database that somebody changed.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::process::{Command, Output};

use diesel_async::{AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _};
use serde_json::Value;
use test_support::TestDatabase;
use user_service::MIGRATIONS;
use user_service::audit::{Event, Kind, record_all};
use uuid::Uuid;

const ALICE: Uuid = Uuid::from_u128(0xa11ce);
const BOB: Uuid = Uuid::from_u128(0xb0b);

struct Chain {
    database: TestDatabase,
}

impl Chain {
    /// Six linked events, of Alice and Bob in turn.
    async fn linked() -> Self {
        let database = TestDatabase::create("user", || MIGRATIONS).await;
        let chain = Self { database };
        chain.write(6).await;
        chain.link();
        chain
    }

    async fn connect(&self) -> AsyncPgConnection {
        self.database.connect().await
    }

    async fn write(&self, number: u128) {
        let events: Vec<Event> = (0..number)
            .map(|index| Event {
                user: Some(if index % 2 == 0 { ALICE } else { BOB }),
                session: Some(Uuid::from_u128(index)),
                address: Some(common::http::ClientAddress("192.0.2.7".parse().unwrap())),
                user_agent: Some("test/1".to_owned()),
                details: serde_json::json!({ "api": "bearer", "username": "somebody" }),
                ..Event::new(Kind::LoginSucceeded)
            })
            .collect();
        let mut connection = self.connect().await;
        connection
            .transaction(async |connection| record_all(connection, &events).await)
            .await
            .unwrap();
    }

    /// Nothing is purged of what is as young as this; but it is linked.
    fn link(&self) {
        let output = self.run(&["retention"], &[]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    async fn sql(&self, statements: &str) {
        self.connect().await.batch_execute(statements).await.unwrap();
    }

    fn run(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_latchkey"))
            .arg("audit")
            .args(arguments)
            .env_clear()
            .env("USER_SERVICE__ENVIRONMENT", "development")
            .env("USER_SERVICE__DATABASE__URL", self.database.url())
            .envs(settings.iter().copied())
            .output()
            .unwrap()
    }

    fn told(&self, arguments: &[&str], settings: &[(&str, &str)]) -> String {
        let output = self.run(arguments, settings);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).to_owned()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.told(arguments, &[])).unwrap()
    }

    /// What verification says is wrong.
    fn fault(&self, arguments: &[&str]) -> String {
        let output = self.run(&[&["verify"], arguments].concat(), &[]);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
        text(&output.stderr).trim_end().to_owned()
    }
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn every_sort_of_tampering_shows_and_the_first_bad_row_is_named() {
    let changed = "the row, or one before it, was changed, moved or put in";
    let personal = "what is personal in the row was changed";
    let blanked = "the row was blanked in part, or not by us";
    for (statement, position, what) in [
        ("DELETE FROM security_events WHERE position = 3", 3, "a row is missing"),
        ("DELETE FROM security_events WHERE position = 6", 6, "a row is missing"),
        ("DELETE FROM security_events WHERE position > 1", 2, "a row is missing"),
        ("UPDATE security_events SET kind = 'registered' WHERE position = 3", 3, changed),
        ("UPDATE security_events SET occurred_at = occurred_at - interval '1 us' WHERE position = 3", 3, changed),
        ("UPDATE security_events SET details = '{\"api\": \"cookie\"}' WHERE position = 3", 3, changed),
        ("UPDATE security_events SET user_id = gen_random_uuid() WHERE position = 3", 3, personal),
        ("UPDATE security_events SET address = '192.0.2.8' WHERE position = 3", 3, personal),
        ("UPDATE security_events SET address = NULL WHERE position = 3", 3, personal),
        ("UPDATE security_events SET user_agent = '' WHERE position = 3", 3, personal),
        ("UPDATE security_events SET personal = '{}' WHERE position = 3", 3, personal),
        ("UPDATE security_events SET salt = gen_random_uuid() WHERE position = 3", 3, personal),
        ("UPDATE security_events SET salt = NULL WHERE position = 3", 3, blanked),
        // Two rows change places, with their links or without.
        ("UPDATE security_events SET position = -position WHERE position IN (3, 4);
          UPDATE security_events SET position = 7 + position WHERE position < 0", 3, changed),
        ("UPDATE security_events AS e SET kind = 'registered', link = o.link FROM security_events AS o
          WHERE e.position = 3 AND o.position = 4", 3, changed),
        // One is put in between: the others move on.
        ("UPDATE security_events SET position = position + 100 WHERE position > 2;
          UPDATE security_events SET position = position - 99 WHERE position > 100;
          INSERT INTO security_events (kind, position, personal_digest, link, key_version)
              SELECT kind, 3, personal_digest, link, 1 FROM security_events WHERE position = 2", 3, changed),
        // One is added behind the end, and one before the beginning.
        ("INSERT INTO security_events (kind, position, personal_digest, link, key_version)
              SELECT kind, 7, personal_digest, link, 1 FROM security_events WHERE position = 6", 7, changed),
        ("INSERT INTO security_events (kind, position, personal_digest, link, key_version)
              SELECT kind, 0, personal_digest, link, 1 FROM security_events WHERE position = 6", 0, "it was put in"),
        // A row is taken out of the chain; a gap is papered over.
        ("UPDATE security_events SET position = NULL, link = NULL, personal_digest = NULL, key_version = NULL
          WHERE position = 3", 3, "a row is missing"),
        ("INSERT INTO security_event_checkpoints SELECT 3, 3, a.link, b.link, now(), 1, b.link
              FROM security_events a, security_events b WHERE a.position = 2 AND b.position = 3;
          DELETE FROM security_events WHERE position = 3", 3, "a checkpoint was changed"),
        ("DELETE FROM security_event_head", 6, "the head of the chain is missing"),
        ("UPDATE security_event_head SET position = 5", 6, "the head of the chain was changed"),
        ("UPDATE security_events SET key_version = 2 WHERE position = 3", 3, "the key that it was made with is not in `audit.chain_keys`"),
    ] {
        let chain = Chain::linked().await;
        assert!(chain.told(&["verify"], &[]).starts_with("6 rows are as they were written"));
        chain.sql(statement).await;
        let fault = chain.fault(&[]);
        let named = fault.starts_with(&format!("error: position {position}"));
        assert!(named && fault.ends_with(what), "{statement}: {fault}");
    }
}

#[tokio::test]
async fn a_chain_cut_short_with_its_head_shows_against_the_head_that_was_exported() {
    let chain = Chain::linked().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("head.json").display().to_string();
    chain.sql("CREATE TABLE former AS TABLE security_event_head").await;
    chain.write(2).await;
    chain.link();
    let _ = chain.told(&["verify", "--export-head", &file], &[]);
    let _ = chain.told(&["verify", "--against", &file], &[]);
    chain
        .sql(
            "DELETE FROM security_events WHERE position > 6;
              DELETE FROM security_event_head; INSERT INTO security_event_head TABLE former",
        )
        .await;
    let _ = chain.told(&["verify"], &[]);
    assert_eq!(chain.fault(&["--against", &file]), "error: position 7: a row is missing");
}

#[tokio::test]
async fn who_is_forgotten_is_gone_from_every_column_and_the_chain_still_verifies() {
    let chain = Chain::linked().await;
    // Not linked yet: forgetting links it first.
    chain.write(2).await;
    let exported = chain.told(&["export", "--user", &ALICE.to_string()], &[]);
    let events: Vec<Value> =
        exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 4);
    assert_eq!(events[0]["address"], "192.0.2.7");
    assert_eq!(events[0]["details"]["username"], "somebody");
    let forgotten = chain.json(&["forget", "--user", &ALICE.to_string(), "--json"]);
    assert_eq!(forgotten["forgotten"], 4);
    assert_eq!(chain.told(&["export", "--user", &ALICE.to_string()], &[]), "");
    assert_eq!(chain.told(&["export", "--user", &BOB.to_string()], &[]).lines().count(), 4);
    let verified = chain.json(&["verify", "--json"]);
    assert_eq!((&verified["rows"], &verified["forgotten"]), (&8.into(), &4.into()));
    // Nothing but kind, time and what names nobody is left.
    chain
        .sql("DO $$ BEGIN ASSERT (SELECT count(*) FROM security_events
              WHERE forgotten_seal IS NOT NULL AND personal = '{}' AND details = '{\"api\": \"bearer\"}'
              AND num_nonnulls(salt, user_id, session_id, device_id, address, user_agent) = 0) = 4; END $$")
        .await;
    // A row that somebody changed is not covered up by forgetting it.
    chain.sql("UPDATE security_events SET kind = 'registered' WHERE position = 2").await;
    let output = chain.run(&["forget", "--user", &BOB.to_string()], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(chain.fault(&[]).starts_with("error: position 2, row 2: "));
}

#[tokio::test]
async fn a_purge_leaves_a_signed_checkpoint_and_a_chain_that_verifies() {
    let chain = Chain::linked().await;
    chain
        .sql(
            "CREATE TABLE former AS TABLE security_events;
              CREATE TABLE former_head AS TABLE security_event_head",
        )
        .await;
    chain.sql("INSERT INTO security_events (kind) VALUES ('key_rotated')").await;
    chain.write(3).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("checkpoint.json").display().to_string();
    let settings = [
        ("USER_SERVICE__AUDIT__RETENTION", "1ms"),
        ("USER_SERVICE__AUDIT__RETENTION_BY_KIND", "key_rotated=1d"),
    ];
    let dry = chain.told(&["retention", "--dry-run"], &settings);
    assert!(dry.contains("kept for 1 days\n") && dry.contains(", 9 past\n"), "{dry}");
    assert!(dry.ends_with("\n9 rows would be purged\n"), "{dry}");
    assert_eq!(chain.json(&["verify", "--json"])["purged"], 0);
    let purged = chain.told(&["retention", "--checkpoint", &file], &settings);
    assert!(purged.ends_with("9 rows purged\n"), "{purged}");
    assert!(purged.contains("kept for 1 days") && !purged.contains("login_succeeded"), "{purged}");
    let left: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!((&left["first_position"], &left["count"]), (&8.into(), &3.into()));
    let verified = chain.json(&["verify", "--json"]);
    assert_eq!((&verified["rows"], &verified["purged"]), (&1.into(), &9.into()));
    // Once the row between them goes, one checkpoint stands for all.
    let _ = chain.told(&["retention"], &settings[..1]);
    let verified = chain.json(&["verify", "--json"]);
    assert_eq!((&verified["rows"], &verified["purged"]), (&0.into(), &10.into()));
    chain
        .sql("DO $$ BEGIN ASSERT (SELECT count(*) FROM security_event_checkpoints) = 1; END $$")
        .await;
    chain.write(1).await;
    chain.link();
    assert_eq!(chain.json(&["verify", "--json"])["rows"], 1);
    let _ = chain.told(&["verify", "--against", &file], &[]);
    chain.sql("UPDATE security_event_checkpoints SET last_position = 11").await;
    assert_eq!(chain.fault(&[]), "error: position 1: a checkpoint was changed");
    // The database as it was before is whole; what was exported since shows that it is older.
    chain
        .sql(
            "DELETE FROM security_events; DELETE FROM security_event_checkpoints;
              INSERT INTO security_events OVERRIDING SYSTEM VALUE TABLE former;
              DELETE FROM security_event_head; INSERT INTO security_event_head TABLE former_head",
        )
        .await;
    let _ = chain.told(&["verify"], &[]);
    assert_eq!(chain.fault(&["--against", &file]), "error: position 7: a row is missing");
    let forged = std::fs::read_to_string(&file)
        .unwrap()
        .replace(r#""last_position":10"#, r#""last_position":6"#);
    std::fs::write(&file, forged).unwrap();
    assert_eq!(chain.fault(&["--against", &file]), "error: what was exported was changed");
}

#[tokio::test]
async fn a_row_made_older_than_it_is_is_not_purged() {
    let chain = Chain::linked().await;
    chain
        .sql(
            "UPDATE security_events SET occurred_at = now() - interval '1 year' WHERE position = 3",
        )
        .await;
    let output = chain.run(&["retention"], &[]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("the first is row 3"), "{}", text(&output.stderr));
    assert!(chain.fault(&[]).starts_with("error: position 3, row 3: "));
}

#[tokio::test]
async fn what_is_damaged_stays_and_what_is_past_beside_it_goes_batch_after_batch() {
    // One in the first batch; more than a batch of them at the beginning.
    for (damaged, first, count) in [("position = 3", 3, 1), ("position <= 1100", 1, 1100)] {
        let chain = Chain::linked().await;
        chain.write(2494).await;
        chain.link();
        chain.sql(&format!("UPDATE security_events SET user_agent = '' WHERE {damaged}")).await;
        let output = chain.run(&["retention"], &[("USER_SERVICE__AUDIT__RETENTION", "1ms")]);
        let (said, fault) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.ends_with(&format!("\n{} rows purged\n", 2500 - count)), "{said}");
        let row = format!("error: {count} rows stay, ");
        assert!(fault.starts_with(&row), "{fault}");
        assert!(fault.trim_end().ends_with(&format!("the first is row {first}")), "{fault}");
        let left = format!(
            "DO $$ BEGIN ASSERT (SELECT count(*) FROM security_events WHERE {damaged}) = {count};
              ASSERT (SELECT count(*) FROM security_events) = {count}; END $$"
        );
        chain.sql(&left).await;
        let fault = chain.fault(&[]);
        assert!(fault.starts_with(&format!("error: position {first}, row {first}: ")), "{fault}");
    }
}

#[tokio::test]
async fn a_damaged_checkpoint_stays_as_it_is_and_keeps_nothing_from_being_purged() {
    let chain = Chain::linked().await;
    let settings = [("USER_SERVICE__AUDIT__RETENTION", "1ms")];
    let _ = chain.told(&["retention"], &settings);
    chain.sql("UPDATE security_event_checkpoints SET purged_at = now()").await;
    chain.write(3).await;
    let purged = chain.told(&["retention"], &settings);
    assert!(purged.ends_with("3 rows purged\n"), "{purged}");
    chain
        .sql(
            "DO $$ BEGIN ASSERT (SELECT array_agg(ARRAY[first_position, last_position]
              ORDER BY 1) FROM security_event_checkpoints) = '{{1,6},{7,9}}'; END $$",
        )
        .await;
    assert_eq!(chain.fault(&[]), "error: position 1: a checkpoint was changed");
}

#[tokio::test]
async fn a_new_key_links_on_and_the_former_one_still_verifies() {
    let chain = Chain::linked().await;
    let development = "1:617564697420636861696e20646576656c6f706d656e74206b6579206f6e6c79";
    let keys = format!("2:{},{development}", "ab".repeat(32));
    let settings = [("USER_SERVICE__AUDIT__CHAIN_KEYS", keys.as_str())];
    chain.write(2).await;
    let _ = chain.told(&["retention"], &settings);
    assert!(chain.told(&["verify"], &settings).starts_with("8 rows are as they were written"));
    let without = chain.fault(&[]);
    assert!(without.starts_with("error: position 7"), "{without}");
}
