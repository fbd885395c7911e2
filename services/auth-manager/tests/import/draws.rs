use reqwest::{Client, Method};
use serde_json::{Value, json};
use test_support::{Answer, TestRealm, TestServer, TestUser};
use uuid::Uuid;

use crate::older_sessions::{self, add_session, add_user};
use crate::older_vault::{self, add, older};
use crate::world::World;

const LOGIN_CLIENT: &str = "latchkey-login";

struct Idp {
    realm: TestRealm,
    user: TestUser,
    http: Client,
}

impl Idp {
    async fn create() -> Self {
        let realm = TestRealm::create(&json!({})).await;
        realm.change_client(LOGIN_CLIENT, &json!({ "directAccessGrantsEnabled": true })).await;
        let user = realm.create_user().await;
        Self { realm, user, http: Client::builder().build().unwrap() }
    }

    async fn tokens(&self, scope: &str) -> Value {
        let form = [
            ("grant_type", "password"),
            ("client_id", LOGIN_CLIENT),
            ("client_secret", &TestRealm::secret(LOGIN_CLIENT)),
            ("username", &self.user.username),
            ("password", &self.user.password),
            ("scope", scope),
        ];
        let url = format!("{}/protocol/openid-connect/token", self.realm.issuer());
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let form = ("content-type", "application/x-www-form-urlencoded");
        let request = self.http.post(url).header(form.0, form.1).body(body);
        Answer::read(request.send().await.unwrap()).await.expect(200).json
    }

    async fn draw(&self, server: &TestServer, query: &str, token: &str) -> Answer {
        let url = server.url(&format!("/api/auth/manager/access-token?{query}"));
        let request = self.http.request(Method::POST, url).bearer_auth(token);
        Answer::read(request.send().await.unwrap()).await
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

#[tokio::test]
async fn an_id_of_an_older_vault_draws_a_token_that_keycloak_knows() {
    let idp = Idp::create().await;
    let (world, older) = (World::start_at(&idp.realm).await, older().await);
    let tokens = idp.tokens("openid email offline_access").await;
    let offline = text(&tokens, "refresh_token");
    let id = add(&older, Uuid::new_v4(), offline, 7, offline).await;
    let tally = older_vault::import(&world, &older, false).await;
    assert_eq!((tally.migrated, tally.errors.len()), (1, 0), "{tally:?}");
    let server = world.serve().await;
    let query = format!("persistent_token_id={id}");
    let drawn = idp.draw(&server, &query, text(&tokens, "access_token")).await.expect(200);
    // Keycloak takes it for what it is.
    let url = format!("{}/protocol/openid-connect/userinfo", idp.realm.issuer());
    let fresh = text(&drawn.json["data"], "access_token");
    let userinfo = idp.http.get(url).bearer_auth(fresh).send().await.unwrap();
    assert_eq!(Answer::read(userinfo).await.expect(200).member("sub"), idp.user.id);
}

#[tokio::test]
async fn a_grant_without_a_known_scope_is_drawn_on_narrower_and_its_own_is_learnt() {
    let idp = Idp::create().await;
    let world = World::start_at(&idp.realm).await;
    let tokens = idp.tokens("openid email offline_access").await;
    let user = add_user(&world, Some(&idp.user.id)).await;
    add_session(&world, user, text(&tokens, "refresh_token")).await;
    let tally = older_sessions::import(&world, false).await;
    assert_eq!((tally.migrated, tally.errors.len()), (1, 0), "{tally:?}");
    world.run("UPDATE auth_vault SET scope = ''; DELETE FROM drawn_tokens").await;
    let (server, token) = (world.serve().await, text(&tokens, "access_token"));
    let id = world.text("SELECT id FROM persistent_tokens").await;
    let own = format!("persistent_token_id={id}");
    let narrower = format!("{own}&scope=openid%20email");
    idp.draw(&server, &narrower, token).await.expect(200);
    assert_eq!(world.text("SELECT scope FROM auth_vault").await, "");
    idp.draw(&server, &own, token).await.expect(200);
    let learnt = world.text("SELECT scope FROM auth_vault").await;
    assert!(learnt.split(' ').any(|scope| scope == "email"), "{learnt}");
    let beyond = format!("{own}&scope=address");
    idp.draw(&server, &beyond, token).await.expect_error(400, "validation_error");
    idp.draw(&server, &narrower, token).await.expect(200);
}
