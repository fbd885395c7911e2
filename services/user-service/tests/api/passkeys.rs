//! Passkeys: what proves their owner again, and all that must not.

use chrono::TimeDelta;
use serde_json::{Value, json};
use test_support::{Answer, TestPasskey};

use super::support::{Session, TestApp, claims};

/// Where development's passkeys live.
const PAGE: &str = "http://localhost:8080";
const CREDENTIALS: &str = "/api/v5/auth/webauthn/credentials";
const API_KEYS: &str = "/api/v5/auth/api-keys";

type Lie = fn(&mut TestPasskey);

/// What neither a new passkey nor the use of one may say.
const LIES: [(&str, Lie); 5] = [
    ("another site's page", |passkey| passkey.origin = String::from("http://evil.example:8080")),
    ("another port's page", |passkey| passkey.origin = String::from("http://localhost:8081")),
    ("a frame in another site's page", |passkey| passkey.cross_origin = true),
    ("another relying party", |passkey| passkey.rp_id = Some("evil.example".to_owned())),
    ("nobody was verified", |passkey| passkey.verifies = false),
];

impl TestApp {
    async fn begin(&self, session: &Session, ceremony: &str) -> Value {
        let path = format!("/api/v5/auth/webauthn/{ceremony}/start");
        self.post_as(session, &path, &json!({})).await.expect(200).json
    }

    async fn add(&self, session: &Session, passkey: &mut TestPasskey) -> Answer {
        let credential = passkey.register(&self.begin(session, "register").await);
        let body = json!({ "name": "laptop", "credential": credential });
        self.post_as(session, "/api/v5/auth/webauthn/register/finish", &body).await
    }

    async fn answer(&self, session: &Session, credential: &Value) -> Answer {
        let body = json!({ "credential": credential });
        self.post_as(session, "/api/v5/auth/webauthn/authenticate/finish", &body).await
    }

    async fn show(&self, session: &Session, passkey: &mut TestPasskey) -> Answer {
        let credential = passkey.assert(&self.begin(session, "authenticate").await);
        self.answer(session, &credential).await
    }

    /// Somebody with a passkey whose sign-in is no longer recent.
    async fn with_passkey(&self) -> (Session, TestPasskey) {
        let (session, mut passkey) = (self.sign_in().await, TestPasskey::new(PAGE));
        let _ = self.add(&session, &mut passkey).await.expect(201);
        self.clock.turn(TimeDelta::minutes(6));
        (session, passkey)
    }

    async fn may_act(&self, session: &Session) -> bool {
        let body = json!({ "name": "backup", "scopes": ["chat"] });
        self.post_as(session, API_KEYS, &body).await.status == 201
    }
}

#[tokio::test]
async fn several_passkeys_are_added_listed_used_and_removed() {
    let app = TestApp::start().await;
    let (session, mut one) = app.with_passkey().await;
    let _ = app.show(&session, &mut one).await.expect(200);
    let mut other = TestPasskey::new(PAGE);
    let added = app.add(&session, &mut other).await.expect(201);
    let _ = app.show(&session, &mut other).await.expect(200);
    let listed = app.get_as(&session, CREDENTIALS).await.expect(200);
    assert_eq!(listed.json["items"].as_array().unwrap().len(), 2);
    assert_eq!(listed.json["items"][1]["passkey_id"], added.json["passkey_id"]);
    assert!(listed.json["items"][1]["last_used_at"].is_string());

    let path = format!("{CREDENTIALS}/{}", added.member("passkey_id"));
    let stranger = app.sign_in().await;
    let _ = app.delete_as(&stranger, &path).await.expect_error(404, "passkey_not_found");
    // One that is removed while its challenge is open proves nothing either.
    let late = other.assert(&app.begin(&session, "authenticate").await);
    let _ = app.delete_as(&session, &path).await.expect(200);
    let _ = app.answer(&session, &late).await.expect_error(401, "invalid_passkey");
    let _ = app.show(&session, &mut other).await.expect_error(401, "invalid_passkey");
    let _ = app.show(&session, &mut one).await.expect(200);
}

#[tokio::test]
async fn a_passkey_moves_auth_time_and_the_next_token_and_introspection_say_how() {
    let app = TestApp::start().await;
    let (session, mut passkey) = app.with_passkey().await;
    assert!(!app.may_act(&session).await);
    let _ = app.show(&session, &mut passkey).await.expect(200);
    assert!(app.may_act(&session).await);
    let answer = app.refresh(&session.refresh_token).await.expect(200);
    let token = answer.member("access_token");
    assert_eq!(claims(&token)["auth_time"], app.now().timestamp());
    assert_eq!(claims(&token)["acr"], "urn:latchkey:acr:passkey");
    let found = app.post_token("/api/auth/introspect", &token).await.expect(200).json;
    assert_eq!(
        (&found["acr"], &found["amr"]),
        (&json!("urn:latchkey:acr:passkey"), &json!(["pop", "user", "mfa"]))
    );
}

#[tokio::test]
async fn a_passkey_of_another_origin_or_relying_party_or_without_its_user_is_neither_added_nor_good()
 {
    let app = TestApp::start().await;
    let (session, passkey) = (app.sign_in().await, &mut TestPasskey::new(PAGE));
    for (what, lie) in LIES {
        let mut liar = TestPasskey::new(PAGE);
        lie(&mut liar);
        let refused = app.add(&session, &mut liar).await;
        assert_eq!(refused.expect(401).json["code"], "invalid_passkey", "{what}");
    }
    let _ = app.add(&session, passkey).await.expect(201);
    app.clock.turn(TimeDelta::minutes(6));
    for (what, lie) in LIES {
        lie(passkey);
        let refused = app.show(&session, passkey).await;
        assert_eq!(refused.expect(401).json["code"], "invalid_passkey", "{what}");
        passkey.tell_the_truth(PAGE);
    }
    assert!(!app.may_act(&session).await);
    let metric = r#"user_service_step_ups_total{outcome="passkey_refused"}"#;
    assert_eq!(app.metric(metric).await, LIES.len() as u64);
    let _ = app.show(&session, passkey).await.expect(200);
}

#[tokio::test]
async fn a_counter_that_stands_or_goes_back_is_a_copy_s_and_one_that_never_counts_is_good() {
    let app = TestApp::start().await;
    let (session, mut passkey) = app.with_passkey().await;
    // Not even below what it was registered with.
    passkey.counter = 1;
    let _ = app.show(&session, &mut passkey).await.expect_error(401, "invalid_passkey");
    passkey.counter = 7;
    let _ = app.show(&session, &mut passkey).await.expect(200);
    for counter in [7, 6, 0] {
        passkey.counter = counter;
        let _ = app.show(&session, &mut passkey).await.expect_error(401, "invalid_passkey");
    }
    passkey.counter = 8;
    let _ = app.show(&session, &mut passkey).await.expect(200);

    let (session, mut still) = (app.sign_in().await, TestPasskey::new(PAGE));
    (still.counter, still.counts_by) = (0, 0);
    let _ = app.add(&session, &mut still).await.expect(201);
    for _ in 0..2 {
        let _ = app.show(&session, &mut still).await.expect(200);
    }
}

#[tokio::test]
async fn an_assertion_is_good_once_in_time_and_as_the_answer_to_the_newest_challenge() {
    let app = TestApp::start().await;
    let (session, mut passkey) = app.with_passkey().await;
    let refuse = async |credential: &Value| {
        app.answer(&session, credential).await.expect_error(401, "invalid_passkey");
    };
    let good = passkey.assert(&app.begin(&session, "authenticate").await);
    let answers = tokio::join!(app.answer(&session, &good), app.answer(&session, &good));
    let mut answers = [answers.0.status, answers.1.status];
    answers.sort_unstable();
    assert_eq!(answers, [200, 401], "of two at once one wins");
    refuse(&good).await;
    // Nor with a challenge open that it does not answer; and that one is used up by the attempt.
    let fresh = passkey.assert(&app.begin(&session, "authenticate").await);
    refuse(&good).await;
    refuse(&fresh).await;
    let older = passkey.assert(&app.begin(&session, "authenticate").await);
    let _ = app.begin(&session, "authenticate").await;
    refuse(&older).await;
    // What answers another ceremony's challenge.
    let created = passkey.register(&app.begin(&session, "register").await);
    let _ = app.begin(&session, "authenticate").await;
    let _ = app.answer(&session, &created).await.expect_error(400, "invalid_request");
    let late = passkey.assert(&app.begin(&session, "authenticate").await);
    app.clock.turn(TimeDelta::minutes(5));
    refuse(&late).await;
    let _ = app.show(&session, &mut passkey).await.expect(200);
}

#[tokio::test]
async fn an_assertion_or_a_passkey_is_of_no_use_in_another_session_nor_to_somebody_else() {
    let app = TestApp::start().await;
    let (alice, mut hers) = app.with_passkey().await;
    let (mallory, mut his) = app.with_passkey().await;
    let other = app.log_in(&app.register_device().await, &alice.username).await;
    app.clock.turn(TimeDelta::minutes(6));
    // Made for one of her sessions, answered in another, with and without an open challenge there.
    let stolen = hers.assert(&app.begin(&alice, "authenticate").await);
    let _ = app.answer(&other, &stolen).await.expect_error(401, "invalid_passkey");
    let _ = app.begin(&other, "authenticate").await;
    let _ = app.answer(&other, &stolen).await.expect_error(401, "invalid_passkey");
    let _ = app.answer(&mallory, &stolen).await.expect_error(401, "invalid_passkey");
    let _ = app.answer(&alice, &stolen).await.expect(200);
    assert!(app.may_act(&alice).await);
    assert!(!app.may_act(&other).await && !app.may_act(&mallory).await);
    // Her passkey, on his session's challenge.
    let _ = app.show(&mallory, &mut hers).await.expect_error(401, "invalid_passkey");
    let _ = app.show(&mallory, &mut his).await.expect(200);
    let _ = app.add(&mallory, &mut hers).await.expect_error(409, "passkey_exists");
    let nobody = app.sign_in().await;
    let path = "/api/v5/auth/webauthn/authenticate/start";
    let _ = app.post_as(&nobody, path, &json!({})).await.expect_error(404, "passkey_not_found");
}

#[tokio::test]
async fn an_old_sign_in_adds_and_removes_no_passkey() {
    let app = TestApp::start().await;
    let (session, _) = app.with_passkey().await;
    let listed = app.get_as(&session, CREDENTIALS).await.expect(200).json;
    let path = format!("{CREDENTIALS}/{}", listed["items"][0]["passkey_id"].as_str().unwrap());
    let refused = app.delete_as(&session, &path).await;
    let _ = refused.expect_error(401, "insufficient_user_authentication");
    for step in ["start", "finish"] {
        let path = format!("/api/v5/auth/webauthn/register/{step}");
        let body = json!({ "name": "mine", "credential": {} });
        let refused = app.post_as(&session, &path, &body).await;
        let _ = refused.expect_error(401, "insufficient_user_authentication");
    }
}
