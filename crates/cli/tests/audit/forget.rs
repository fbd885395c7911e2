use common::clock::Clock;
use reqwest::Client;
use serde_json::{Value, json};
use test_support::{Answer, TestDevice, TestServer};

use super::world::{ALICE, BOB, Chain, text};

const PASSWORD: &str = "correct horse battery";

/// Somebody new, signed in: their id and access token.
async fn sign_in(client: &Client, server: &TestServer, username: &str) -> (String, String) {
    let post = async |path: &str, body: Value| {
        let request = client.post(server.url(path)).json(&body);
        Answer::read(request.send().await.unwrap()).await
    };
    let account = json!({ "username": username, "password": PASSWORD });
    let _ = post("/api/auth/register", account).await.expect(201);
    let offer = TestDevice::offer();
    let body = json!({ "public_key": offer.public_key, "device_name": "phone" });
    let device = post("/api/auth/register-device", body).await.expect(201);
    let device = TestDevice::agree(&offer, &device.json);
    let login = device.login(username, PASSWORD, Clock::default().now().timestamp_millis());
    let signed_in = post("/api/auth/login", login).await.expect(200);
    let id = signed_in.json["user"]["user_id"].as_str().unwrap().to_owned();
    (id, signed_in.member("access_token"))
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

#[tokio::test]
async fn no_row_of_an_admin_s_names_whose_role_it_was_once_that_one_is_forgotten() {
    let chain = Chain::empty().await;
    let (server, client) = (chain.serve().await, Client::builder().build().unwrap());
    let (admin, token) = sign_in(&client, &server, "alice").await;
    let (changed, _) = sign_in(&client, &server, "bob").await;
    chain.sql("UPDATE users SET role = 'admin' WHERE username = 'alice'").await;
    let path = server.url(&format!("/api/v5/auth/users/{changed}/role"));
    let request = client.patch(path).bearer_auth(token).json(&json!({ "role": "admin" }));
    let _ = Answer::read(request.send().await.unwrap()).await.expect(200);
    drop(server);
    chain.link();
    let change_of = |user: &str| {
        let exported = chain.told(&["export", "--user", user], &[]);
        let mut events = exported.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.find(|event| event["kind"] == "role_changed").unwrap()
    };
    // Each of the two is told of it, and by what they share it is known for one change.
    let (by, of) = (change_of(&admin), change_of(&changed));
    assert_eq!((&by["details"]["role"], &by["details"]), (&json!("admin"), &of["details"]));
    let _ = chain.told(&["forget", "--user", &changed], &[]);
    chain
        .sql(&format!(
            "DO $$ BEGIN ASSERT NOT EXISTS (SELECT FROM security_events AS event
             WHERE event::text LIKE '%{changed}%'); END $$"
        ))
        .await;
    assert_eq!(change_of(&admin), by);
    let verified = chain.json(&["verify", "--json"]);
    assert!(verified["forgotten"].as_u64().unwrap() >= 3, "{verified}");
}
