//! The same over HTTP, with callers' tokens that Keycloak gave.

use auth_manager::app;
use auth_manager::models::account::{self, Account};
use auth_manager::models::token_use;
use auth_manager::providers::TokenFacts;
use reqwest::{Client, Method};
use serde_json::Value;
use test_support::{Answer, TestRealm, TestServer, eventually};
use uuid::Uuid;

use crate::realm::{BARE_LOGIN, CLIENT, JOB, LOGIN, Rotation};
use crate::world::World;

struct Service {
    world: World,
    server: TestServer,
    client: Client,
    alice: String,
}

impl Service {
    async fn start(ids: usize) -> Self {
        Self::with(World::with(Rotation::Off, ids).await, LOGIN, &[]).await
    }

    /// Where alice's account belongs to the owner of the grant.
    async fn with(world: World, login: &str, more: &[(&str, &str)]) -> Self {
        let issuer = world.realm.issuer();
        let now = world.clock.now();
        let account = Account::new(world.user_id, "keycloak", &issuer, &world.subject, now);
        account::upsert(&mut world.database.connect().await, &account).await.unwrap();
        let (settings, clock) = (world.settings(more), world.clock.clone());
        let server = TestServer::start(move || app::build(settings, clock)).await;
        let alice = world.realm.sign_in(login, &world.realm.alice, "openid").await;
        let alice = alice["access_token"].as_str().unwrap().to_owned();
        Self { world, server, client: Client::builder().build().unwrap(), alice }
    }

    async fn ask(&self, method: Method, path: &str, token: &str) -> Answer {
        let url = self.server.url(&format!("/api/auth/manager{path}"));
        let request = self.client.request(method, url).bearer_auth(token);
        Answer::read(request.send().await.unwrap()).await
    }

    async fn draw(&self, query: &str, token: &str) -> Answer {
        self.ask(Method::POST, &format!("/access-token?{query}"), token).await
    }

    async fn draw_own(&self) -> Answer {
        self.draw(&format!("persistent_token_id={}", self.world.ids[0]), &self.alice).await
    }
}

fn data(answer: &Answer) -> &Value {
    assert_eq!(answer.json["success"], true, "{:?}", answer.json);
    &answer.json["data"]
}

#[tokio::test]
async fn a_user_draws_by_their_own_id() {
    let service = Service::start(1).await;
    let answer = service.draw_own().await.expect(200);
    assert!(data(&answer)["access_token"].as_str().unwrap().starts_with("eyJ"));
    assert!((290..=300).contains(&data(&answer)["expires_in"].as_i64().unwrap()));
    let again = service.draw_own().await.expect(200);
    assert_eq!(data(&again)["access_token"], data(&answer)["access_token"]);
}

#[tokio::test]
async fn what_is_wrong_with_a_draw_is_said() {
    let service = Service::start(1).await;
    let id = service.world.ids[0];
    for (query, field) in [
        ("persistent_token_id=17".to_owned(), "persistent_token_id"),
        ("scope=openid".to_owned(), "persistent_token_id"),
        (format!("persistent_token_id={id}&min_ttl=soon"), "min_ttl"),
        (format!("persistent_token_id={id}&scope=address"), "scope"),
    ] {
        let answer = service.draw(&query, &service.alice).await.expect(400);
        assert_eq!(answer.json["code"], "validation_error");
        assert_eq!(answer.json["details"]["field"], field, "{query}");
    }
    // Whether a token is stored already or not; a shorter one is never passed off as what was asked.
    for _ in 0..2 {
        let query = format!("persistent_token_id={id}&min_ttl=151");
        let answer = service.draw(&query, &service.alice).await.expect(400);
        let details = &answer.json["details"];
        assert_eq!((&details["field"], &details["max"]), (&"min_ttl".into(), &150.into()));
    }
    let query = format!("persistent_token_id={id}&min_ttl=150");
    service.draw(&query, &service.alice).await.expect(200);
    let unknown = format!("persistent_token_id={}", Uuid::new_v4());
    let answer = service.draw(&unknown, &service.alice).await.expect(404);
    assert_eq!(answer.json["code"], "token_not_found");
}

#[tokio::test]
async fn somebody_else_is_told_that_there_is_no_such_id() {
    let service = Service::start(1).await;
    let realm = &service.world.realm;
    let bob = realm.sign_in(LOGIN, &realm.bob, "openid").await;
    let bob = bob["access_token"].as_str().unwrap();
    let id = service.world.ids[0];
    let answer = service.draw(&format!("persistent_token_id={id}"), bob).await.expect(404);
    assert_eq!(answer.json["code"], "token_not_found");
    let answer = service.ask(Method::GET, &format!("/tokens/{id}/uses"), bob).await.expect(404);
    assert_eq!(answer.json["code"], "token_not_found");
    let answer = service.ask(Method::GET, "/tokens", bob).await.expect(200);
    assert_eq!(data(&answer)["items"], serde_json::json!([]));
}

#[tokio::test]
async fn without_an_active_token_of_the_login_client_nothing_opens() {
    let service = Service::start(1).await;
    let drawn = service.draw_own().await.expect(200);
    let drawn = data(&drawn)["access_token"].as_str().unwrap().to_owned();
    let realm = &service.world.realm;
    let tokens = realm.sign_in(LOGIN, &realm.alice, "openid").await;
    let member = |name: &str| tokens[name].as_str().unwrap().to_owned();
    for wrong in [drawn, member("refresh_token"), member("id_token"), "nonsense".to_owned()] {
        let id = service.world.ids[0];
        let answer = service.draw(&format!("persistent_token_id={id}"), &wrong).await.expect(401);
        assert_eq!(answer.json["code"], "token_not_active");
        service.ask(Method::GET, "/tokens", &wrong).await.expect(401);
        service.ask(Method::GET, "/validate-token", &wrong).await.expect(401);
    }
    let url = service.server.url("/api/auth/manager/validate-token");
    let answer = Answer::read(service.client.get(url).send().await.unwrap()).await.expect(401);
    assert_eq!(answer.json["code"], "unauthorized");
}

#[tokio::test]
async fn a_configured_job_draws_and_does_nothing_else() {
    let world = World::with(Rotation::Off, 1).await;
    let token = world.realm.job_token().await;
    let subject = TokenFacts::decode(&token).unwrap().subject.unwrap();
    let table = format!(
        "[[keycloak.service_clients]]\nclient_id = \"{JOB}\"\nsubject = \"{subject}\"\n\
         consent_clients = [\"offline\"]\nscopes = [\"openid\"]"
    );
    world.name_provider(LOGIN, &TestRealm::secret(CLIENT), &table);
    let service = Service::with(world, LOGIN, &[]).await;
    let id = service.world.ids[0];
    let query = |scope: &str| format!("persistent_token_id={id}&scope={scope}");
    service.draw(&query("openid"), &token).await.expect(200);
    service.draw(&query("email"), &token).await.expect(404);
    service.ask(Method::GET, "/tokens", &token).await.expect(401);
    eventually("the job's entry", async || {
        let path = format!("/tokens/{id}/uses");
        let answer = service.ask(Method::GET, &path, &service.alice).await.expect(200);
        let uses = data(&answer)["items"].as_array().unwrap().clone();
        uses.into_iter().find(|entry| entry["client_id"] == JOB && entry["scope"] == "openid")
    })
    .await;
}

#[tokio::test]
async fn ids_and_uses_are_listed_in_pages_without_a_token_in_them() {
    let service = Service::start(3).await;
    let (mut listed, mut before) = (Vec::new(), String::new());
    loop {
        let path = format!("/tokens?limit=2{before}");
        let answer = service.ask(Method::GET, &path, &service.alice).await.expect(200);
        listed.extend(data(&answer)["items"].as_array().unwrap().clone());
        let Some(next) = data(&answer)["next_before"].as_str() else { break };
        before = format!("&before={next}");
    }
    assert_eq!(listed.len(), 3);
    assert_eq!(listed[0]["state"], "live");
    assert_eq!(listed[0]["session_state_id"], service.world.session.as_str());
    assert!(!serde_json::to_string(&listed).unwrap().contains("eyJ"));
    service.draw_own().await.expect(200);
    service.draw_own().await.expect(200);
    let path = format!("/tokens/{}/uses?limit=1", service.world.ids[0]);
    let page = eventually("an entry", async || {
        let answer = service.ask(Method::GET, &path, &service.alice).await.expect(200);
        let page = data(&answer).clone();
        page["next_before"].is_string().then_some(page)
    })
    .await;
    assert_eq!(page["items"][0]["outcome"], "cached");
    let next = format!("{path}&before={}", page["next_before"].as_str().unwrap());
    let answer = service.ask(Method::GET, &next, &service.alice).await.expect(200);
    assert_eq!(data(&answer)["items"][0]["outcome"], "refreshed");
    assert_eq!(data(&answer)["next_before"], Value::Null);
}

#[tokio::test]
async fn what_introspection_said_is_believed_for_a_short_time() {
    let world = World::with(Rotation::Off, 1).await;
    let service = Service::with(world, LOGIN, &[("AUTH_MANAGER__CALLERS__CACHE", "2s")]).await;
    let answer = service.ask(Method::GET, "/validate-token", &service.alice).await.expect(200);
    assert_eq!(data(&answer)["active"], true);
    assert_eq!(data(&answer)["user_id"], service.world.user_id.to_string());
    service.world.realm.end_session(&session_of(&service.alice), false).await;
    let answer = eventually("an end of belief", async || {
        let answer = service.ask(Method::GET, "/validate-token", &service.alice).await;
        (answer.status != 200).then_some(answer)
    });
    answer.await.expect_error(401, "token_not_active");
}

#[tokio::test]
async fn without_a_cache_the_end_of_a_session_is_seen_at_once() {
    let world = World::with(Rotation::Off, 1).await;
    let service = Service::with(world, LOGIN, &[("AUTH_MANAGER__CALLERS__CACHE", "0")]).await;
    service.ask(Method::GET, "/validate-token", &service.alice).await.expect(200);
    service.world.realm.end_session(&session_of(&service.alice), false).await;
    service.ask(Method::GET, "/validate-token", &service.alice).await.expect(401);
}

#[tokio::test]
async fn a_realm_without_the_audience_mapper_is_named_to_the_operator() {
    let world = World::with(Rotation::Off, 1).await;
    world.name_provider(BARE_LOGIN, &TestRealm::secret(CLIENT), "");
    let service = Service::with(world, BARE_LOGIN, &[]).await;
    service.ask(Method::GET, "/validate-token", &service.alice).await.expect(401);
    let metrics = service.client.get(service.server.admin_url("/metrics")).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let line = r#"auth_manager_caller_checks_total{outcome="without_audience"} 1"#;
    assert!(metrics.contains(line));
    let help = metrics.lines().find(|line| line.starts_with("# HELP auth_manager_caller_checks"));
    let help = help.unwrap();
    assert!(help.contains("without_audience") && !help.contains("cached"), "{help}");
}

#[tokio::test]
async fn the_vault_s_rows_are_told_by_type_state_and_key() {
    let service = Service::start(1).await;
    let line = r#"auth_manager_grants{key_id="dev",state="live",type="offline"} 1"#;
    eventually("the gauge", async || {
        let answer = service.client.get(service.server.admin_url("/metrics")).send().await;
        let metrics = Answer::read(answer.unwrap()).await.expect(200).text;
        metrics.lines().any(|told| told == line).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_service_that_ends_has_written_its_ledger() {
    let service = Service::start(1).await;
    service.draw_own().await.expect(200);
    let Service { world, server, .. } = service;
    drop(server);
    let mut connection = world.database.connect().await;
    let uses = token_use::list(&mut connection, world.ids[0], world.user_id, None, 10).await;
    assert_eq!(uses.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_past_is_cleaned_away_and_counted() {
    let world = World::with(Rotation::Off, 1).await;
    world
        .run("INSERT INTO logout_tokens VALUES ('issuer', 'a', now()), ('issuer', 'b', now())")
        .await;
    let service = Service::with(world, LOGIN, &[]).await;
    let counted = r#"auth_manager_cleaned_rows_total{what="logout_tokens"} 2"#;
    eventually("both are counted", async || {
        let metrics = service.client.get(service.server.admin_url("/metrics"));
        Answer::read(metrics.send().await.unwrap()).await.text.contains(counted).then_some(())
    })
    .await;
}

fn session_of(access_token: &str) -> String {
    let facts = TokenFacts::decode(access_token).unwrap();
    facts.session_state_id.unwrap()
}
