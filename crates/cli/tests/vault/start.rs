use std::path::Path;

use common::clock::Clock;
use common::settings::Environment;

use crate::world::{PLAIN, World, both, new, old, sealed};

/// What is wrong with a start of user-service.
async fn start_user_service(world: &World, ring: &str) -> Result<(), String> {
    let environment = Environment::from_iter([
        ("USER_SERVICE__ENVIRONMENT", "development"),
        ("USER_SERVICE__DATABASE__URL", world.user.url()),
        ("USER_SERVICE__VAULT__KEYS", ring),
        ("USER_SERVICE__SIGNING__POOL_SIZE", "0"),
    ]);
    let settings = user_service::config::SCHEMA.load(&environment).unwrap();
    user_service::app::build(settings, Clock::default()).await.map(|_| ())
}

/// What is wrong with a start of auth-manager.
async fn start_auth_manager(world: &World, ring: &str) -> Result<(), String> {
    let providers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/providers.toml");
    let environment = Environment::from_iter([
        ("AUTH_MANAGER__ENVIRONMENT", "development"),
        ("AUTH_MANAGER__DATABASE__URL", world.auth.url()),
        ("AUTH_MANAGER__VAULT__KEYS", ring),
        ("AUTH_MANAGER__PROVIDERS__FILE", providers.to_str().unwrap()),
    ]);
    let settings = auth_manager::config::SCHEMA.load(&environment).unwrap();
    auth_manager::app::build(settings, Clock::default()).await.map(|_| ())
}

#[actix_web::test]
async fn no_service_starts_on_a_ring_that_lacks_a_key_in_use() {
    let world = World::new().await;
    world.fill().await;
    let refused = start_user_service(&world, &new()).await.unwrap_err();
    assert!(refused.starts_with("`vault.keys` lacks key `old`, which "), "{refused}");
    assert!(refused.contains("latchkey vault rewrap") && !refused.contains('\n'), "{refused}");
    let refused = start_auth_manager(&world, &new()).await.unwrap_err();
    assert!(refused.starts_with("`vault.keys` lacks key `old`, which "), "{refused}");
    // A revoked key of user-service's was sealed by one long gone, which nothing needs any more.
    assert_eq!(start_user_service(&world, &both()).await, Ok(()));
    assert_eq!(start_auth_manager(&world, &both()).await, Ok(()));
}

#[actix_web::test]
async fn each_sealed_column_alone_keeps_its_key() {
    let world = World::new().await;
    world.fill().await;
    assert!(world.vault(&both(), &["rewrap"]).0);
    assert_eq!(start_auth_manager(&world, &new()).await, Ok(()));
    for (table, column) in [
        ("auth_vault", "auth_vault.encrypted_token"),
        ("drawn_tokens", "drawn_tokens.sealed_access_token"),
        ("accounts", "accounts.sealed_id_token"),
        ("authorization_states", "authorization_states.sealed_verifier"),
    ] {
        let label = |from: &str, to: &str| {
            format!("UPDATE {table} SET sealing_key_id = '{to}' WHERE sealing_key_id = '{from}'")
        };
        world.auth(&label("new", "older")).await;
        let refused = start_auth_manager(&world, &new()).await.unwrap_err();
        assert!(refused.contains(&format!("`older`, which {column} still needs")), "{refused}");
        world.auth(&label("older", "new")).await;
    }
    assert_eq!(start_user_service(&world, &new()).await, Ok(()));
    let service_key = sealed(&new(), "service_keys.sealed_key", &["kid-s"], PLAIN);
    world
        .user(&format!(
            "INSERT INTO service_keys (kid, public_jwk, key_type, store, state, sealed_key,
                 sealing_key_id, token_life, published_at)
             VALUES ('kid-s', '{{}}', 'ES256', 'database', 'next', {service_key}, 'new', 1, now())"
        ))
        .await;
    for (table, condition, column) in [
        ("service_keys", "true", "service_keys.sealed_key"),
        ("devices", "true", "devices.sealed_key"),
        ("auth_sessions", "true", "auth_sessions.sealed_secret"),
        ("published_keys", "state = 'waiting'", "published_keys.sealed_key"),
        ("published_keys", "state = 'active'", "user_keysets.keyset"),
    ] {
        let label =
            |to: &str| format!("UPDATE {table} SET sealing_key_id = '{to}' WHERE {condition}");
        world.user(&label("older")).await;
        let refused = start_user_service(&world, &new()).await.unwrap_err();
        assert!(refused.contains(&format!("`older`, which {column} still needs")), "{refused}");
        world.user(&label("new")).await;
    }
    assert!(start_auth_manager(&world, &old()).await.unwrap_err().contains("lacks key `new`"));
}
