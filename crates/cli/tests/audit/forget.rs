use serde_json::Value;

use super::world::{ALICE, BOB, Chain, text};

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
async fn whose_events_are_meant_is_said_by_name_as_well() {
    let chain = Chain::linked().await;
    let alice = format!(
        "INSERT INTO users (id, username, username_key, password_hash, created_at, updated_at)
         VALUES ('{ALICE}', 'Alice', 'alice', '', now(), now())"
    );
    chain.sql(&alice).await;
    let by_id = chain.told(&["export", "--user", &ALICE.to_string()], &[]);
    assert_eq!(by_id.lines().count(), 3);
    assert_eq!(chain.told(&["export", "--user", " ALICE"], &[]), by_id);
    for command in ["export", "forget"] {
        let refused = chain.run(&[command, "--user", "alicia"], &[]);
        assert_eq!(refused.status.code(), Some(1));
        let told = text(&refused.stderr);
        assert_eq!(told, "error: no user is called \"alicia\"; an id (`user_id`) does as well\n");
    }
    assert_eq!(chain.json(&["forget", "--user", "alice", "--json"])["forgotten"], 3);
    assert_eq!(chain.told(&["export", "--user", "alice"], &[]), "");
}
