//! Nothing brings a revoked token back.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::TimeDelta;
use common::readiness::State;
use serde_json::{Value, json};
use token_verifier::{Reason, Refusal};

use crate::issuer::Issuer;
use crate::keys::read_whole_set_again;
use crate::tokens::{SESSION, Subject, UNTIL, jwk, until, until_verdict};

const REVOKED: Refusal = Refusal::Invalid(Reason::Revoked);

/// A revocation of the token `j` of key `k1`, by each of its names.
fn revocations() -> [(&'static str, Value); 3] {
    [
        ("key_revoked", json!({ "kid": "k1", "until": UNTIL })),
        ("session_revoked", json!({ "sid": SESSION, "until": UNTIL })),
        ("jti_revoked", json!({ "jti": "j", "until": UNTIL })),
    ]
}

#[actix_web::test]
async fn a_revocation_that_lands_while_the_key_is_fetched_is_heeded() {
    for (event, data) in revocations() {
        let issuer = Issuer::started(&[]);
        let subject = Subject::of(&issuer).ready().await;
        issuer.publish(jwk("k1"));
        let token = subject.token("k1", "j");
        let held = issuer.state.held.lock().await;
        let (verdict, ()) = tokio::join!(subject.verifier.verify(&token), async {
            let asked = || issuer.state.asked_for_one.load(Ordering::SeqCst) == 1;
            until("the key is asked for", asked).await;
            issuer.announce(event, &data);
            until("it is heard", || subject.metric("tombstones") == Some(1)).await;
            drop(held);
        });
        assert_eq!(verdict.unwrap_err(), REVOKED, "{event}");
        assert_eq!(subject.verifier.verify(&token).await.unwrap_err(), REVOKED, "{event}");
    }
}

#[actix_web::test]
async fn verifications_under_way_when_the_revocation_lands_accept_nothing_after_it() {
    let issuer = Issuer::started(&[jwk("k1")]);
    let subject = Arc::new(Subject::of(&issuer).ready().await);
    let token = subject.token("k1", "j");
    subject.verifier.verify(&token).await.unwrap();
    let mut checking = Vec::new();
    for _ in 0..8 {
        let (subject, token) = (Arc::clone(&subject), token.clone());
        checking.push(actix_web::rt::spawn(async move {
            let mut refused = false;
            for _ in 0..2000 {
                // Heard before it began: then it must not accept.
                let heard = subject.metric("tombstones") == Some(1);
                let accepted = subject.verifier.verify(&token).await.is_ok();
                assert!(!(heard && accepted));
                refused |= !accepted;
                tokio::task::yield_now().await;
                if refused {
                    break;
                }
            }
            refused
        }));
    }
    issuer.announce("session_revoked", &json!({ "sid": SESSION, "until": UNTIL }));
    for check in checking {
        check.await.unwrap();
    }
    until_verdict(&subject.verifier, &token, Err(REVOKED)).await;
}

#[actix_web::test]
async fn a_key_set_from_a_cache_that_still_has_the_key_changes_nothing() {
    for (event, data) in revocations() {
        let issuer = Issuer::started(&[jwk("k1")]);
        let subject = Subject::of(&issuer).ready().await;
        let token = subject.token("k1", "j");
        subject.verifier.verify(&token).await.unwrap();
        issuer.announce(event, &data);
        until_verdict(&subject.verifier, &token, Err(REVOKED)).await;
        // The set keeps the key, as one from a cache on the way would.
        read_whole_set_again(&subject).await;
        assert_eq!(subject.verifier.verify(&token).await.unwrap_err(), REVOKED, "{event}");
    }
}

#[actix_web::test]
async fn a_restarted_verifier_never_accepts_what_was_revoked_before() {
    for (event, data) in revocations() {
        let issuer = Issuer::started(&[jwk("k1")]);
        let first = Subject::of(&issuer).ready().await;
        let token = first.token("k1", "j");
        first.verifier.verify(&token).await.unwrap();
        issuer.announce(event, &data);
        until_verdict(&first.verifier, &token, Err(REVOKED)).await;
        drop(first);
        let second = Subject::of(&issuer);
        loop {
            match second.verifier.verify(&token).await.unwrap_err() {
                // Before the replay has ended.
                Refusal::CannotJudge => tokio::task::yield_now().await,
                refusal @ Refusal::Invalid(_) => break assert_eq!(refusal, REVOKED, "{event}"),
            }
        }
    }
}

#[actix_web::test]
async fn a_revoked_token_within_the_leeway_after_its_expiry_stays_refused() {
    let issuer = Issuer::started(&[jwk("k1")]);
    let subject = Subject::of(&issuer).ready().await;
    let token = subject.token("k1", "j");
    let exp = subject.verifier.verify(&token).await.unwrap().claims.exp;
    subject.clock.turn(TimeDelta::seconds(3600 + 30));
    issuer.say(":\n");
    until_verdict(&subject.verifier, &token, Ok(())).await;
    // As the issuer says it: until the largest leeway after the last expiry.
    issuer.announce("session_revoked", &json!({ "sid": SESSION, "until": exp + 300 }));
    until_verdict(&subject.verifier, &token, Err(REVOKED)).await;
    let restarted = Subject::of(&issuer);
    restarted.clock.turn(TimeDelta::seconds(3600 + 45));
    let restarted = restarted.ready().await;
    assert_eq!(restarted.verifier.verify(&token).await.unwrap_err(), REVOKED);
    assert_eq!(restarted.verifier.readiness(), State::Ready);
}
