//! Tokens checked against the realm's keys, as these change.

use std::time::Duration;

use auth_manager::providers::Fault;
use serde_json::json;
use test_support::ProxyFault;

use crate::realm_keys::{SharedKey, retire, rotate};
use crate::world::{KEYS, LOGIN, World, pass, refresh_token};

/// As often as keys are read for an id that nobody knows.
const COOLDOWN: Duration = Duration::from_secs(10);
/// As long as a set is believed.
const FRESH: Duration = Duration::from_mins(10);

async fn is_good(world: &World, token: &str) -> bool {
    world.provider().check_access_token(token).await.unwrap().is_some()
}

#[tokio::test]
async fn a_realm_that_signs_with_a_new_key_is_followed_and_its_old_key_forgotten() {
    let world = World::with(&json!({ "accessTokenLifespan": 3600 }), "", &[]).await;
    let answer = world.sign_in().await;
    let old = answer.access_token.expose();
    assert!(is_good(&world, old).await && is_good(&world, old).await);
    assert_eq!(world.proxy.calls(KEYS), 1);

    rotate(&world.realm).await;
    let next = world.provider().refresh(LOGIN, &refresh_token(&answer), None).await.unwrap();
    let new = next.access_token.expose();
    assert!(!is_good(&world, new).await, "its key is looked for once the last reading is old");
    pass(COOLDOWN).await;
    assert!(is_good(&world, new).await && is_good(&world, old).await);
    assert_eq!(world.proxy.calls(KEYS), 2);

    retire(&world.realm).await;
    assert!(is_good(&world, old).await);
    pass(FRESH).await;
    assert!(!is_good(&world, old).await && is_good(&world, new).await);
    assert_eq!(world.proxy.calls(KEYS), 3);
}

#[tokio::test]
async fn known_keys_are_believed_while_the_set_can_not_be_read() {
    let world = World::with(&json!({ "accessTokenLifespan": 3600 }), "", &[]).await;
    let answer = world.sign_in().await;
    let token = answer.access_token.expose();
    world.proxy.fail(KEYS, ProxyFault::Answer(503, ""));
    let unknown = world.provider().check_access_token(token).await;
    assert!(matches!(unknown, Err(Fault::Away { .. })), "{unknown:?}");
    world.proxy.mend(KEYS);
    assert!(is_good(&world, token).await);
    for fault in [ProxyFault::Answer(503, ""), ProxyFault::Garble(r#"{"keys":[]}"#)] {
        world.proxy.fail(KEYS, fault);
        pass(FRESH).await;
        assert!(is_good(&world, token).await);
    }
}

#[tokio::test]
async fn invented_key_ids_cost_one_reading_in_ten_seconds() {
    let world = World::new().await;
    let answer = world.sign_in().await;
    let (_, rest) = answer.access_token.expose().split_once('.').unwrap();
    for number in 0..50 {
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": format!("invented-{number}") });
        let header = base64_url(&header.to_string());
        assert!(!is_good(&world, &format!("{header}.{rest}")).await);
    }
    assert_eq!(world.proxy.calls(KEYS), 1);
    assert!(is_good(&world, answer.access_token.expose()).await);
}

#[tokio::test]
async fn a_token_that_only_looks_like_one_of_the_realm_is_none() {
    let world = World::new().await;
    let key = SharedKey::import(&world.realm).await;
    let now = world.clock.now().timestamp();
    let claims = json!({
        "iss": world.realm.issuer(), "sub": world.user.id, "azp": LOGIN, "typ": "Bearer",
        "iat": now, "exp": now + 60, "scope": "openid",
    });
    assert!(is_good(&world, &key.sign("JWT", &claims)).await);
    assert!(!is_good(&world, &key.forged().sign("JWT", &claims)).await);
    let answer = world.sign_in().await;
    assert!(!is_good(&world, answer.id_token.unwrap().expose()).await);
    assert!(!is_good(&world, &key.sign("logout+jwt", &json!({ "events": {} }))).await);
}

fn base64_url(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
}
