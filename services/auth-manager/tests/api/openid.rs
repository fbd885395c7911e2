//! A realm as any OpenID Connect issuer: nothing is known of it but what its discovery document
//! says.

use actix_web::{HttpResponse, web};
use reqwest::Method;
use serde_json::{Value, json};
use test_support::{Browser, StandInServer, TestRealm, TestUser};

use crate::support::{LOGIN_CLIENT, TestApp, data, text, with_parameter};

struct Issuer {
    realm: TestRealm,
    user: TestUser,
    document: StandInServer,
}

impl Issuer {
    /// Its document says what the realm's does, but for this.
    async fn without(member: &str) -> Self {
        let realm = TestRealm::create(&json!({})).await;
        let user = realm.create_user().await;
        let url = format!("{}/.well-known/openid-configuration", realm.issuer());
        let mut document = Browser::new().get(&url).await.expect(200).json;
        assert!(document.as_object_mut().unwrap().remove(member).is_some(), "{document}");
        let document = StandInServer::start(move |config| {
            let document = web::Data::new(document.clone());
            config.app_data(document).route("/", web::get().to(serve));
        });
        Self { realm, user, document: document.await }
    }

    /// The provider `other` of the providers' file.
    fn table(&self) -> String {
        table(&self.realm, &format!("endpoints = {{ discovery = \"{}\" }}", self.document.url("/")))
    }
}

async fn serve(document: web::Data<Value>) -> HttpResponse {
    HttpResponse::Ok().json(document)
}

fn table(realm: &TestRealm, more: &str) -> String {
    let (issuer, secret) = (realm.issuer(), TestRealm::secret(LOGIN_CLIENT));
    format!(
        r#"
[other]
kind = "openid"
issuer = "{issuer}"
login_client = {{ id = "{LOGIN_CLIENT}", secret = "{secret}" }}
{more}
"#
    )
}

const SIGN_IN: &str = "?provider=other";

#[tokio::test]
async fn an_issuer_that_promises_to_name_itself_is_refused_where_it_does_not() {
    let realm = TestRealm::create(&json!({})).await;
    let user = realm.create_user().await;
    let app = TestApp::start_with(&[], &table(&realm, "")).await;
    let browser = Browser::new();
    for issuer in [None, Some(app.partner.issuer())] {
        let url = app.begin(&browser, SIGN_IN).await;
        let back = app.return_of(&browser, &url, &user).await;
        let changed = with_parameter(&back, "iss", issuer.as_deref());
        browser.get(changed.as_str()).await.expect_error(400, "invalid_state_token");
    }
    app.sign_in_as(&browser, SIGN_IN, &user).await;
}

#[tokio::test]
async fn an_issuer_that_promises_no_name_need_give_none_and_no_other() {
    let issuer = Issuer::without("authorization_response_iss_parameter_supported").await;
    let app = TestApp::start_with(&[], &issuer.table()).await;
    let browser = Browser::new();
    for (named, status) in [(None, 200), (Some(app.partner.issuer()), 400)] {
        let url = app.begin(&browser, SIGN_IN).await;
        let back = app.return_of(&browser, &url, &issuer.user).await;
        let changed = with_parameter(&back, "iss", named.as_deref());
        browser.get(changed.as_str()).await.expect(status);
    }
}

#[tokio::test]
async fn callers_of_an_issuer_without_introspection_are_known_by_its_keys() {
    let issuer = Issuer::without("introspection_endpoint").await;
    let app = TestApp::start_with(&[], &issuer.table()).await;
    let signed_in = app.sign_in_as(&Browser::new(), SIGN_IN, &issuer.user).await;
    let token = text(&signed_in, "access_token");
    let valid = data(&app.ask(Method::GET, "/validate-token", token).await.expect(200));
    assert_eq!(valid["user_id"], signed_in["user_id"]);
    let (head, signature) = token.rsplit_once('.').unwrap();
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{head}.{flipped}{}", &signature[1..]);
    app.ask(Method::GET, "/validate-token", &forged).await.expect_error(401, "token_not_active");
}
