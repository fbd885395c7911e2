use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::TimeDelta;
use common::clock::Clock;
use common::readiness::State;
use common::settings::{Period, Secret};
use serde_json::json;
use token_verifier::{Ended, Reason, Refusal};

use crate::issuer::Issuer;
use crate::tokens::{SESSION, Subject, UNTIL, jwk, until, until_verdict};

const REVOKED: Result<(), Refusal> = Err(Refusal::Invalid(Reason::Revoked));
const CANNOT_JUDGE: Result<(), Refusal> = Err(Refusal::CannotJudge);

#[actix_web::test]
async fn it_starts_before_its_issuer_and_catches_up() {
    let mut issuer = Issuer::absent();
    issuer.publish(jwk("k1"));
    issuer.announce("jti_revoked", &json!({ "jti": "gone", "until": UNTIL }));
    let subject = Subject::of(&issuer);
    let (good, gone) = (subject.token("k1", "good"), subject.token("k1", "gone"));
    assert!(matches!(subject.verifier.readiness(), State::NotReady(_)));
    assert_eq!(subject.verifier.verify(&good).await.unwrap_err(), Refusal::CannotJudge);
    issuer.start();
    let subject = subject.ready().await;
    assert_eq!(subject.verifier.verify(&good).await.unwrap().claims.jti, "good");
    until_verdict(&subject.verifier, &gone, REVOKED).await;
    assert_eq!(subject.metric("feed_connected"), Some(1));
    assert_eq!(subject.metric("tombstones"), Some(1));
}

#[actix_web::test]
async fn it_is_not_ready_before_the_replay_has_ended() {
    let issuer = Issuer::started(&[jwk("k1")]);
    issuer.state.catches_up.store(false, Ordering::SeqCst);
    let subject = Subject::of(&issuer);
    let token = subject.token("k1", "j");
    until("the feed is read", || issuer.open_streams() == 1).await;
    issuer.say(": still replaying\n");
    assert_eq!(subject.verifier.verify(&token).await.unwrap_err(), Refusal::CannotJudge);
    issuer.say("event: caught_up\ndata: {}\n\n");
    until_verdict(&subject.verifier, &token, Ok(())).await;
}

#[actix_web::test]
async fn a_revocation_refuses_a_cached_token_and_ends_its_live_connection() {
    for (event, data) in [
        ("key_revoked", json!({ "kid": "k1", "until": UNTIL })),
        ("session_revoked", json!({ "sid": SESSION, "until": UNTIL })),
        ("jti_revoked", json!({ "jti": "j", "until": UNTIL })),
    ] {
        let issuer = Issuer::started(&[jwk("k1")]);
        let subject = Subject::of(&issuer).ready().await;
        let token = subject.token("k1", "j");
        let verified = subject.verifier.verify(&token).await.unwrap();
        subject.verifier.verify(&token).await.unwrap();
        assert_eq!(subject.metric("token_cache_lookups_total{result=\"hit\"}"), Some(1));
        let (ended, ()) = tokio::join!(subject.verifier.until_refused(&verified), async {
            issuer.announce(event, &data);
        });
        assert_eq!(ended, Ended::Revoked, "{event}");
        let refusal = subject.verifier.verify(&token).await.unwrap_err();
        assert_eq!(refusal, Refusal::Invalid(Reason::Revoked), "{event}");
    }
}

#[actix_web::test]
async fn a_token_ends_at_its_expiry_and_the_leeway_cached_or_live() {
    let issuer = Issuer::started(&[jwk("k1")]);
    let subject = Subject::of(&issuer).ready().await;
    let token = subject.token("k1", "j");
    let verified = subject.verifier.verify(&token).await.unwrap();
    subject.clock.turn(TimeDelta::seconds(3600 + 30));
    issuer.say(":\n");
    until_verdict(&subject.verifier, &token, Ok(())).await;
    subject.clock.turn(TimeDelta::seconds(31));
    assert_eq!(subject.verifier.until_refused(&verified).await, Ended::Expired);
    issuer.say(":\n");
    until_verdict(&subject.verifier, &token, Err(Refusal::Invalid(Reason::Expired))).await;
}

#[actix_web::test]
async fn a_reset_refuses_until_caught_up_and_brings_nothing_back() {
    let issuer = Issuer::started(&[jwk("k1")]);
    let subject = Subject::of(&issuer).ready().await;
    let (good, gone) = (subject.token("k1", "good"), subject.token("k1", "gone"));
    subject.verifier.verify(&good).await.unwrap();
    issuer.announce("jti_revoked", &json!({ "jti": "gone", "until": UNTIL }));
    until_verdict(&subject.verifier, &gone, REVOKED).await;
    issuer.say("event: reset\ndata: {}\n\n");
    until_verdict(&subject.verifier, &good, CANNOT_JUDGE).await;
    issuer.say(":\n");
    assert!(matches!(subject.verifier.readiness(), State::NotReady(_)));
    issuer.say("event: caught_up\ndata: {}\n\n");
    until_verdict(&subject.verifier, &good, Ok(())).await;
    assert_eq!(subject.verifier.verify(&gone).await.map(|_| ()), REVOKED);
}

#[actix_web::test]
async fn without_the_feed_it_goes_on_to_the_stale_limit_and_then_misses_nothing() {
    let mut issuer = Issuer::started(&[jwk("k1")]);
    let subject = Subject::of(&issuer).ready().await;
    let (good, gone) = (subject.token("k1", "good"), subject.token("k1", "gone"));
    issuer.announce("jti_revoked", &json!({ "jti": "other", "until": UNTIL }));
    until("it is heard", || subject.metric("tombstones") == Some(1)).await;
    issuer.stop().await;
    until("the loss is noticed", || subject.metric("feed_connected") == Some(0)).await;
    let verified = subject.verifier.verify(&good).await.unwrap();
    subject.verifier.verify(&gone).await.unwrap();
    assert!(matches!(subject.verifier.readiness(), State::Degraded(_)));
    subject.clock.turn(TimeDelta::seconds(31));
    assert_eq!(subject.verifier.verify(&good).await.map(|_| ()), CANNOT_JUDGE);
    assert_eq!(subject.verifier.until_refused(&verified).await, Ended::CannotJudge);
    let State::NotReady(reason) = subject.verifier.readiness() else { panic!("it is ready") };
    assert!(reason.contains("stale limit"), "{reason}");
    issuer.announce("jti_revoked", &json!({ "jti": "gone", "until": UNTIL }));
    issuer.start();
    until_verdict(&subject.verifier, &good, Ok(())).await;
    assert_eq!(subject.verifier.readiness(), State::Ready);
    assert_eq!(subject.verifier.verify(&gone).await.map(|_| ()), REVOKED);
    let resumed = issuer.state.resumed_from.lock().unwrap().clone();
    assert_eq!(resumed, [None, Some("1".to_owned())]);
}

#[actix_web::test]
async fn a_silent_connection_counts_as_lost() {
    let issuer = Issuer::started(&[jwk("k1")]);
    let _subject = Subject::with(&issuer, |settings| {
        settings.stale_limit = Period(Duration::from_secs(10));
    });
    until("it connects again", || issuer.streams_so_far() > 1).await;
}

#[actix_web::test]
async fn an_event_that_cannot_be_read_comes_again() {
    let issuer = Issuer::started(&[jwk("k1")]);
    let subject = Subject::of(&issuer).ready().await;
    issuer.announce("of_next_year", &json!({}));
    issuer.say("id: 7\nevent: key_revoked\ndata: {\"kid\n\n");
    until("it connects again", || issuer.streams_so_far() == 2).await;
    assert_eq!(issuer.state.resumed_from.lock().unwrap()[1].as_deref(), Some("1"));
    subject.verify_new("k1").await.unwrap();
}

#[actix_web::test]
async fn a_wrong_secret_never_gets_it_ready() {
    let issuer = Issuer::started(&[jwk("k1")]);
    let subject = Subject::with(&issuer, |settings| {
        settings.client_secret = Some(Secret::from("wrong".to_owned()));
    });
    until("keys are there", || subject.metric("key_fetches_total{outcome=\"listed\"}") == Some(1))
        .await;
    let State::NotReady(reason) = subject.verifier.readiness() else { panic!("it is ready") };
    assert!(reason.contains("replayed"), "{reason}");
    assert_eq!(issuer.streams_so_far(), 0);
}

#[actix_web::test]
async fn the_feed_is_left_with_the_last_clone() {
    let issuer = Issuer::started(&[jwk("k1")]);
    let subject = Subject::of(&issuer).ready().await;
    let clone = subject.verifier.clone();
    drop(subject);
    assert_eq!(clone.readiness(), State::Ready);
    assert_eq!(issuer.open_streams(), 1);
    drop(clone);
    until("the feed is left", || {
        issuer.say(":\n");
        issuer.open_streams() == 0
    })
    .await;
}

#[actix_web::test]
async fn how_long_revocations_take_is_measured_but_for_those_before_the_start() {
    let issuer = Issuer::started(&[jwk("k1")]);
    let revoke = |jti: &str, age_ms: i64| {
        let at = Clock::default().now().timestamp_millis() - age_ms;
        issuer.announce("jti_revoked", &json!({ "jti": jti, "until": UNTIL, "at": at }));
    };
    revoke("before", 3_600_000);
    let subject = Subject::of(&issuer).ready().await;
    assert_eq!(subject.metric("tombstones"), Some(1));
    assert_eq!(subject.metric("revocation_delay_seconds_count"), Some(0));
    revoke("live", 0);
    until("it is heard", || subject.metric("tombstones") == Some(2)).await;
    assert_eq!(subject.metric("revocation_delay_seconds_bucket{le=\"2.5\"}"), Some(1));
    // What was missed while the feed was away took that long.
    issuer.cut_streams();
    until("the loss is noticed", || subject.metric("feed_connected") == Some(0)).await;
    revoke("missed", 5000);
    until("it is heard", || subject.metric("tombstones") == Some(3)).await;
    assert_eq!(subject.metric("revocation_delay_seconds_bucket{le=\"2.5\"}"), Some(1));
    assert_eq!(subject.metric("revocation_delay_seconds_count"), Some(2));
}
