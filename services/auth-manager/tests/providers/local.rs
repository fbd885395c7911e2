//! A provider that is not asked about tokens: they are checked by its keys.

use reqwest::Method;
use serde_json::json;
use test_support::{Browser, TestRealm};

use crate::realm_keys::SharedKey;
use crate::service::{App, data, text};
use crate::world::LOGIN;

#[tokio::test]
async fn whoever_signed_in_there_is_known_by_the_keys_of_their_provider() {
    let partner = TestRealm::create(&json!({})).await;
    let user = partner.create_user().await;
    let table = format!(
        r#"
[partner]
kind = "openid"
issuer = "{}"
login_client = {{ id = "{LOGIN}", secret = "{}" }}
verify_locally = true
"#,
        partner.issuer(),
        TestRealm::secret(LOGIN)
    );
    let key = SharedKey::import(&partner).await;
    let realm = TestRealm::create(&json!({})).await;
    let app = App::start(realm, &table).await;
    let signed_in = app.sign_in(&Browser::new(), "?provider=partner", &user).await;
    let token = text(&signed_in, "access_token");
    let valid = data(&app.ask(Method::GET, "/validate-token", &token).await.expect(200));
    assert_eq!(valid["user_id"], signed_in["user_id"]);

    let now = app.clock.now().timestamp();
    let claims = json!({
        "iss": partner.issuer(), "sub": user.id, "azp": LOGIN, "typ": "Bearer", "iat": now - 700,
        "exp": now - 600, "sid": signed_in["session_state_id"], "scope": "openid",
    });
    for wrong in [key.sign("JWT", &claims), key.forged().sign("JWT", &claims)] {
        let refused = app.ask(Method::GET, "/validate-token", &wrong).await;
        refused.expect_error(401, "token_not_active");
    }
    let calls = |endpoint: &str| {
        format!(
            r#"auth_manager_provider_calls_total{{endpoint="{endpoint}",outcome="ok",provider="partner"}}"#
        )
    };
    assert_eq!(app.metric(&calls("introspection")).await, 0);
    assert_eq!(app.metric(&calls("keys")).await, 1);
}
