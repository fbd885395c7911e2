use uuid::Uuid;

use crate::world::{World, old};

#[tokio::test]
async fn grants_are_listed_and_shown_without_their_tokens() {
    let world = World::new().await;
    let (alice, bob) = (world.put("alice", "s-1").await, world.put("bob", "s-2").await);
    let (done, told) = world.vault(&old(), &["list"]);
    assert!(done && told.lines().count() == 3, "{told}");
    for id in [alice.id, alice.grant, alice.user, bob.id, bob.grant, bob.user] {
        assert!(told.contains(&id.to_string()), "{told}");
    }
    let (done, told) = world.vault(&old(), &["list", "--user", &bob.user.to_string()]);
    assert!(done && told.lines().count() == 2 && told.contains(&bob.id.to_string()), "{told}");
    for id in [alice.id, alice.grant] {
        let (done, told) = world.vault(&old(), &["show", &id.to_string()]);
        assert!(done && told.contains(&alice.grant.to_string()), "{told}");
        let field = |name: &str, value: &str| {
            let line = told.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            assert!(line.ends_with(value), "{name}: {told}");
        };
        field("sealed with key", " old");
        field("session", " s-1");
        field("state", " live");
        field("access tokens kept", " 1");
        field("for scopes", " `openid profile`");
    }
    let (done, told) = world.vault(&old(), &["show", &Uuid::new_v4().to_string()]);
    assert!(!done && told.contains("is neither a persistent id nor a grant"), "{told}");
}

#[tokio::test]
async fn an_operator_revokes_as_the_user_would_and_the_outbox_gets_the_call() {
    let world = World::new().await;
    let put = world.put("alice", "s-1").await;
    let other = Uuid::new_v4();
    world
        .auth(&format!(
            "INSERT INTO persistent_tokens (id, grant_id, user_id, session_state_id, created_at)
             VALUES ('{other}', '{}', '{}', 's-1', now())",
            put.grant, put.user
        ))
        .await;
    let (done, told) = world.vault(&old(), &["revoke", &put.id.to_string()]);
    assert!(done && told.contains("1 other ids go on"), "{told}");
    assert_eq!(world.count("auth_vault WHERE state = 'live'").await, 1);
    assert_eq!(world.count("provider_calls").await, 0);

    let (done, told) = world.vault(&old(), &["revoke", &other.to_string()]);
    assert!(done && told.contains("it was the last id"), "{told}");
    assert_eq!(world.count("auth_vault WHERE state = 'revoking'").await, 1);
    assert_eq!(world.count("provider_calls WHERE kind = 'revoke' AND next_at <= now()").await, 1);
    assert_eq!(world.count("drawn_tokens").await, 0);
    let (_, told) = world.vault(&old(), &["show", &put.grant.to_string()]);
    assert!(told.contains("revoking") && told.contains("pending, 0 calls"), "{told}");

    let (done, told) = world.vault(&old(), &["revoke", &other.to_string()]);
    assert!(!done && told.contains("there is no persistent id"), "{told}");
}

#[tokio::test]
async fn an_operator_ends_all_that_a_user_has_and_nothing_of_others() {
    let world = World::new().await;
    let (alice, bob) = (world.put("alice", "s-1").await, world.put("bob", "s-2").await);
    for put in [&alice, &bob] {
        let (user, subject) = (put.user, &put.subject);
        world
            .auth(&format!(
                "INSERT INTO accounts (id, user_id, provider, issuer, subject, created_at, updated_at)
                 VALUES (gen_random_uuid(), '{user}', 'keycloak', 'issuer', '{subject}', now(), now());
                 INSERT INTO user_sessions (id, user_id, provider, provider_session_id, created_at,
                     updated_at, last_accessed_at)
                 VALUES (gen_random_uuid(), '{user}', 'keycloak', '{subject}', now(), now(), now())"
            ))
            .await;
    }
    let user = alice.user.to_string();
    let (done, told) = world.vault(&old(), &["unlink", "--user", &user]);
    let said = "1 accounts unlinked, 1 sessions ended, 1 grants given up";
    assert!(done && told.contains(said), "{told}");
    assert_eq!(world.count("provider_calls WHERE kind = 'revoke' AND next_at <= now()").await, 1);
    let revoking = format!("auth_vault WHERE state = 'revoking' AND user_id = '{user}'");
    assert_eq!(world.count(&revoking).await, 1);
    for rows in ["accounts", "persistent_tokens", "user_sessions WHERE active"] {
        assert_eq!(world.count(rows).await, 1, "{rows}");
    }
    let (done, told) = world.vault(&old(), &["unlink", "--user", &Uuid::new_v4().to_string()]);
    assert!(!done && told.contains("there is nothing of a user"), "{told}");
}
