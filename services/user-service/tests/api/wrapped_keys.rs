//! Sealing keys that only a PKCS#11 token unwraps, a real `SoftHSM`.

use common::clock::Clock;
use common::settings::Environment;
use test_support::SoftHsm;
use user_service::{app, config};
use vault_crypto::{WrappingKey, WrappingKeyPlace};

use super::support::{TestApp, count};

/// An entry of the ring, fresh from the token.
fn wrapped_key(module: &str) -> String {
    let (token, pin, key) = (SoftHsm::TOKEN, SoftHsm::PIN, SoftHsm::KEY);
    let key = WrappingKey::find(&WrappingKeyPlace { module, token, pin, key }).unwrap();
    format!("hsm:pkcs11:{}", hex::encode(key.wrap_new_key().unwrap()))
}

/// What is wrong with a start.
async fn refusal(app: &TestApp, settings: &[(&str, &str)]) -> String {
    let own = [
        ("USER_SERVICE__ENVIRONMENT", "development"),
        ("USER_SERVICE__DATABASE__URL", app.database.url()),
    ];
    let environment: Environment = own.iter().chain(settings).copied().collect();
    let settings = config::SCHEMA.load(&environment).unwrap();
    app::build(settings, Clock::default()).await.err().unwrap()
}

#[actix_web::test]
async fn a_service_seals_with_a_key_that_only_its_token_unwraps() {
    let test = "wrapped_keys::a_service_seals_with_a_key_that_only_its_token_unwraps";
    let Some(module) = SoftHsm::module_of_child(test) else { return };
    let ring = wrapped_key(&module);
    let settings = [
        ("USER_SERVICE__VAULT__KEYS", ring.as_str()),
        ("USER_SERVICE__VAULT__PKCS11_MODULE", &module),
        ("USER_SERVICE__VAULT__PKCS11_TOKEN", SoftHsm::TOKEN),
        ("USER_SERVICE__VAULT__PKCS11_PIN", SoftHsm::PIN),
        ("USER_SERVICE__VAULT__PKCS11_KEY", SoftHsm::KEY),
    ];
    let mut app = TestApp::with(&settings).await;
    let session = app.sign_in().await;
    let mut connection = app.database.connect().await;
    for table in ["devices", "auth_sessions", "published_keys"] {
        let other = format!("SELECT count(*) FROM {table} WHERE sealing_key_id <> 'hsm'");
        assert_eq!(count(&mut connection, &other).await, 0, "{table}");
    }
    // Another replica opens the device's key, the family's secret and the signing key.
    app.server = app.replica().await;
    app.log_in(&session.device, &session.username).await;
    let other = app.sign_in().await;
    app.refresh(&other.refresh_token).await.expect(200);

    let told = refusal(&app, &settings[..1]).await;
    assert!(told.starts_with("`vault.keys`: ") && told.contains("no PKCS#11 token"), "{told}");
    let told = refusal(&app, &settings[..4]).await;
    assert_eq!(told, "`vault.pkcs11_module` needs `vault.pkcs11_key` too");
    let wrong = ("USER_SERVICE__VAULT__PKCS11_PIN", "9753");
    let told = refusal(&app, &[&settings[..], &[wrong]].concat()).await;
    assert!(told.starts_with("`vault.pkcs11_module`: ") && told.contains("refuses the PIN"));
    assert!(!told.contains("9753") && !told.contains(SoftHsm::PIN), "{told}");
}
