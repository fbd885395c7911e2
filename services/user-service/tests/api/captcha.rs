//! CAPTCHAs: asked for at registration, and at logins with a username that has failed too often.

use chrono::TimeDelta;
use serde_json::{Value, json};
use test_support::{Answer, TestBrowser, TestDevice};

use super::browser_support::{LOGIN, LOGOUT};
use super::captcha_stand_in::{CaptchaStandIn, Mood};
use super::support::{PASSWORD, TestApp};

const ES256: (&str, &str) = ("USER_SERVICE__SIGNING__ALGORITHM", "ES256");
const AFTER_TWO: (&str, &str) = ("USER_SERVICE__CAPTCHA__LOGIN_FAILURES", "2");
const BY_NAME: (&str, &str) = ("USER_SERVICE__LIMITS__LOGINS_PER_USERNAME_PER_HOUR", "2");
const OPEN: (&str, &str) = ("USER_SERVICE__CAPTCHA__WHEN_AWAY", "open");
const SHORT: (&str, &str) = ("USER_SERVICE__CAPTCHA__TIMEOUT", "200ms");

async fn register(app: &TestApp, username: &str, token: &str) -> Answer {
    let body = json!({ "username": username, "password": PASSWORD, "captcha_token": token });
    app.post("/api/auth/register", &body).await
}

async fn outcomes(app: &TestApp, outcome: &str) -> u64 {
    let name = "user_service_captcha_checks_total";
    app.metric(&format!(r#"{name}{{action="register",outcome="{outcome}"}}"#)).await
}

#[tokio::test]
async fn registration_needs_a_captcha_that_is_good_once_and_for_nothing_else() {
    let provider = CaptchaStandIn::start().await;
    let app = provider.app("turnstile", &[]).await;
    let asked = app.register("alice").await.expect_error(403, "captcha_required");
    let expected =
        json!({ "provider": "turnstile", "site_key": "a-site-key", "action": "register" });
    assert_eq!(asked.json["details"], expected);
    let _ = register(&app, "alice", "  ").await.expect_error(403, "captcha_required");
    assert_eq!(provider.calls(), 0);
    let old = json!({ "challenge_ts": (app.now() - TimeDelta::minutes(6)).to_rfc3339() });
    for (changed, outcome) in [
        (json!({ "success": false }), "refused"),
        (json!({ "action": "login" }), "wrong_action"),
        (json!({ "hostname": "phishing.example" }), "wrong_host"),
        (old, "too_old"),
    ] {
        let token = provider.solve(&app, "register", &changed);
        let _ = register(&app, "alice", &token).await.expect_error(403, "captcha_invalid");
        assert_eq!(outcomes(&app, outcome).await, 1, "{outcome}");
    }
    let token = provider.solve(&app, "register", &json!({ "score": null }));
    let _ = register(&app, "alice", &token).await.expect(201);
    // Whether a name is taken is told behind a CAPTCHA alone.
    for used in [&token, "invented", &"x".repeat(5000)] {
        let _ = register(&app, "alice", used).await.expect_error(403, "captcha_invalid");
    }
    let token = provider.solve(&app, "register", &json!({}));
    let _ = register(&app, "alice", &token).await.expect_error(409, "username_taken");
    assert_eq!(outcomes(&app, "passed").await, 2);
}

#[tokio::test]
async fn recaptcha_s_score_counts_too() {
    let provider = CaptchaStandIn::start().await;
    let app = provider.app("recaptcha", &[]).await;
    for score in [json!(0.4), Value::Null] {
        let token = provider.solve(&app, "register", &json!({ "score": score }));
        let _ = register(&app, "alice", &token).await.expect_error(403, "captcha_invalid");
    }
    assert_eq!(outcomes(&app, "low_score").await, 2);
    let token = provider.solve(&app, "register", &json!({ "score": 0.5 }));
    let _ = register(&app, "alice", &token).await.expect(201);
}

#[tokio::test]
async fn a_provider_that_is_away_closes_registration_or_opens_it_as_configured() {
    let provider = CaptchaStandIn::start().await;
    let closed = provider.app("turnstile", &[SHORT]).await;
    let open = provider.app("turnstile", &[SHORT, OPEN]).await;
    for (mood, name) in [(Mood::Status(503), "alice"), (Mood::Silent, "bob-b")] {
        provider.set_mood(mood);
        let refused = register(&closed, name, "any").await;
        let refused = refused.expect_error(503, "captcha_unavailable");
        assert_ne!(refused.header("retry-after"), "");
        let _ = register(&open, name, "any").await.expect(201);
        let _ = register(&open, "carol", "").await.expect_error(403, "captcha_required");
    }
    assert_eq!(outcomes(&closed, "away_closed").await, 2);
    assert_eq!(outcomes(&open, "away_open").await, 2);
}

#[tokio::test]
async fn a_provider_that_gives_no_verdict_lets_nobody_in_even_where_being_away_would() {
    let provider = CaptchaStandIn::start().await;
    let app = provider.app("turnstile", &[SHORT, OPEN]).await;
    for status in [400, 302, 200] {
        provider.set_mood(Mood::Status(status));
        let answer = register(&app, "alice", "any").await;
        let _ = answer.expect_error(503, "captcha_unavailable");
    }
    provider.set_mood(Mood::Well);
    let wrong = ("USER_SERVICE__CAPTCHA__SECRET", "another");
    let nobody = ("USER_SERVICE__CAPTCHA__URL", "http://127.0.0.1:9/verify");
    for setting in [wrong, nobody] {
        let app = provider.app("turnstile", &[SHORT, OPEN, setting]).await;
        let token = provider.solve(&app, "register", &json!({}));
        let answer = register(&app, "alice", &token).await;
        let _ = answer.expect_error(503, "captcha_unavailable");
        assert_eq!(outcomes(&app, "broken").await, 1);
    }
    assert_eq!(outcomes(&app, "broken").await, 3);
}

async fn guess(app: &TestApp, device: &TestDevice, username: &str) -> Answer {
    let body = device.login(username, "a wrong password", app.now().timestamp_millis());
    app.post("/api/auth/login", &body).await
}

#[tokio::test]
async fn after_failed_logins_of_a_username_devices_new_to_it_wait_and_its_own_do_not() {
    let provider = CaptchaStandIn::start().await;
    let stores =
        [("USER_SERVICE__LIMITS__STORE", "memory"), ("USER_SERVICE__LIMITS__STORE", "postgres")];
    for store in stores {
        let app = provider.app("turnstile", &[ES256, AFTER_TWO, store]).await;
        let token = provider.solve(&app, "register", &json!({}));
        let _ = register(&app, "alice", &token).await.expect(201);
        let (own, attacker) = (app.register_device().await, app.register_device().await);
        let _ = app.log_in(&own, "alice").await;
        for name in ["alice", "nobody-at-all"] {
            for spelt in [name.to_owned(), format!("  {}", name.to_uppercase())] {
                let _ = guess(&app, &attacker, &spelt).await.expect(401);
            }
            // The right password is worth no more than a wrong one now.
            let body = app.login_body(&attacker, name);
            let waits = app.post("/api/auth/login", &body).await.expect_error(429, "rate_limited");
            let wait: i64 = waits.header("retry-after").parse().unwrap();
            assert!((3500..=3600).contains(&wait), "{wait}");
        }
        let _ = app.log_in(&own, "alice").await;
        let limit = r#"user_service_rate_limited_total{limit="login_failure"}"#;
        assert_eq!(app.metric(limit).await, 2);
        app.clock.turn(TimeDelta::minutes(61));
        let _ = app.log_in(&attacker, "alice").await;
    }
}

#[tokio::test]
async fn wrong_passwords_of_a_step_up_count_like_those_of_logins() {
    let provider = CaptchaStandIn::start().await;
    let app = provider.app("turnstile", &[ES256, AFTER_TWO]).await;
    for (name, path) in [
        ("alice", "/api/v5/auth/reauthenticate"),
        ("bob-b", "/api/v5/auth/api-keys"),
        ("carol", "/api/auth/password"),
    ] {
        let token = provider.solve(&app, "register", &json!({}));
        let _ = register(&app, name, &token).await.expect(201);
        let session = app.log_in(&app.register_device().await, name).await;
        let wrong = json!({ "current_password": "a wrong password", "name": "a",
            "scopes": ["chat"], "new_password": "another horse battery" });
        for _ in 0..2 {
            let _ = app.post_as(&session, path, &wrong).await.expect(401);
        }
        // Elsewhere a login of that name waits, or needs a CAPTCHA.
        let unknown = app.register_device().await;
        let body = app.login_body(&unknown, name);
        let _ = app.post("/api/auth/login", &body).await.expect_error(429, "rate_limited");
        let browser = app.browser().await;
        let body = json!({ "username": name, "password": PASSWORD });
        let _ = browser.post(LOGIN, &body).await.expect_error(403, "captcha_required");
        // On the device that is theirs it does neither.
        let _ = app.log_in(&session.device, name).await;
    }
}

#[tokio::test]
async fn what_fails_before_the_password_is_judged_makes_nobody_wait() {
    let provider = CaptchaStandIn::start().await;
    let app = provider.app("turnstile", &[ES256, AFTER_TWO]).await;
    let token = provider.solve(&app, "register", &json!({}));
    let _ = register(&app, "alice", &token).await.expect(201);
    let device = app.register_device().await;
    for _ in 0..3 {
        let mut forged = app.login_body(&device, "alice");
        forged["device_signature"] = json!("00".repeat(32));
        let _ = app.post("/api/auth/login", &forged).await.expect(401);
    }
    let _ = app.log_in(&device, "alice").await;
}

#[tokio::test]
async fn browsers_need_a_captcha_to_register_and_after_failures_in_either_api_to_log_in() {
    let provider = CaptchaStandIn::start().await;
    let app = provider.app("turnstile", &[ES256, AFTER_TWO]).await;
    let browser = app.browser().await;
    let body =
        |token: &str| json!({ "username": "alice", "password": PASSWORD, "captcha_token": token });
    let register = "/api/v5/auth/register";
    let _ = browser.post(register, &body("")).await.expect_error(403, "captcha_required");
    let _ = browser.post(register, &body("invented")).await.expect_error(403, "captcha_invalid");
    let token = provider.solve(&app, "register", &json!({}));
    let _ = browser.post(register, &body(&token)).await.expect(201);

    // One failure with a device, one in a browser.
    let device = app.register_device().await;
    let _ = guess(&app, &device, "ALICE").await.expect(401);
    let mut wrong = body("");
    wrong["password"] = json!("a wrong password");
    let _ = browser.post(LOGIN, &wrong).await.expect(401);
    let asked = browser.post(LOGIN, &body("")).await.expect_error(403, "captcha_required");
    assert_eq!(asked.json["details"]["action"], "login");
    let other = provider.solve(&app, "register", &json!({}));
    let _ = browser.post(LOGIN, &body(&other)).await.expect_error(403, "captcha_invalid");
    let _ = guess(&app, &device, "alice").await.expect_error(429, "rate_limited");
    // A wrong password is no less wrong behind a CAPTCHA, and the right one goes on.
    wrong["captcha_token"] = json!(provider.solve(&app, "login", &json!({})));
    let _ = browser.post(LOGIN, &wrong).await.expect_error(401, "invalid_credentials");
    let token = provider.solve(&app, "login", &json!({}));
    let _ = browser.post(LOGIN, &body(&token)).await.expect(200);
    let name = "user_service_captcha_checks_total";
    let passed = format!(r#"{name}{{action="login",outcome="passed"}}"#);
    assert_eq!(app.metric(&passed).await, 2);
}

/// A login in a browser, with the CAPTCHA's token.
async fn log_in(browser: &TestBrowser, password: &str, token: &str) -> Answer {
    let body = json!({ "username": "alice", "password": password, "captcha_token": token });
    browser.post(LOGIN, &body).await
}

#[tokio::test]
async fn captchas_lift_a_name_s_limit_only_so_far_and_keep_no_owner_out_of_their_browser() {
    let provider = CaptchaStandIn::start().await;
    let after_one = ("USER_SERVICE__CAPTCHA__LOGIN_FAILURES", "1");
    let app = provider.app("turnstile", &[ES256, after_one, BY_NAME, SHORT, OPEN]).await;
    let _ = register(&app, "alice", &provider.solve(&app, "register", &json!({}))).await;
    let (owner, attacker) = (app.browser().await, app.browser().await);
    let _ = log_in(&owner, PASSWORD, "").await.expect(200);
    let _ = log_in(&attacker, "a wrong password", "").await.expect(401);
    // Where nobody can say who is there, the name's own limit stands; it is reached.
    provider.set_mood(Mood::Status(503));
    let _ = log_in(&attacker, "a wrong password", "any").await.expect_error(429, "rate_limited");
    provider.set_mood(Mood::Well);
    let solve = || provider.solve(&app, "login", &json!({}));
    for _ in 0..10 {
        let _ = log_in(&attacker, "a wrong password", &solve()).await.expect(401);
    }
    let _ = log_in(&attacker, PASSWORD, &solve()).await.expect_error(429, "rate_limited");
    let limit = r#"user_service_rate_limited_total{limit="solved_login"}"#;
    assert_eq!(app.metric(limit).await, 1);
    let _ = owner.post(LOGOUT, &json!({})).await.expect(200);
    let _ = owner.get_csrf().await.expect(200);
    let _ = log_in(&owner, PASSWORD, "").await.expect(200);
}
