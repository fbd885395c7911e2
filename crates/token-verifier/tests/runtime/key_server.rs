//! A key server that misbehaves.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::settings::Period;
use token_verifier::{Reason, Refusal};

use crate::issuer::{Issuer, Manner};
use crate::keys::read_whole_set_again;
use crate::tokens::{Subject, jwk};

const UNKNOWN: Refusal = Refusal::Invalid(Reason::UnknownKey);

const MISBEHAVIOUR: [Manner; 9] = [
    Manner::Redirecting,
    Manner::Html,
    Manner::Huge,
    Manner::CutShort,
    Manner::HungUp,
    Manner::NoSet,
    Manner::Failing,
    Manner::Dripping,
    Manner::Silent,
];

async fn impatient(issuer: &Issuer, patience_ms: u64) -> Subject {
    let subject = Subject::with(issuer, |settings| {
        settings.fetch_retries = 1;
        settings.fetch_timeout = Period(Duration::from_millis(patience_ms));
    });
    subject.ready().await
}

#[actix_web::test]
async fn a_misbehaving_key_server_neither_hangs_nor_empties_the_cache() {
    let issuer = Issuer::started(&[jwk("k1")]);
    let subject = impatient(&issuer, 500).await;
    for (failed, manner) in (1..).zip(MISBEHAVIOUR) {
        issuer.behave(manner);
        let started = Instant::now();
        let refusal = subject.verify_new(&format!("{manner:?}")).await.unwrap_err();
        assert_eq!(refusal, Refusal::CannotJudge, "{manner:?}");
        assert!(started.elapsed() < Duration::from_secs(5), "{manner:?}");
        subject.verify_new("k1").await.unwrap();
        let count = subject.metric("key_fetches_total{outcome=\"failed\"}");
        assert_eq!(count, Some(failed), "{manner:?}");
    }
    // Nobody followed the redirect.
    assert!(!issuer.state.asked.lock().unwrap().iter().any(|asked| asked.contains("elsewhere")));
    issuer.behave(Manner::Proper);
    assert_eq!(subject.verify_new("Silent").await.unwrap_err(), UNKNOWN);
}

#[actix_web::test]
async fn a_whole_set_that_cannot_be_read_leaves_the_one_that_was() {
    let issuer = Issuer::started(&[jwk("k1"), jwk("k2")]);
    // Longer than the pause between two readings.
    let subject = impatient(&issuer, 2000).await;
    let old = subject.token("k1", "j");
    subject.verifier.verify(&old).await.unwrap();
    for manner in [Manner::Html, Manner::CutShort, Manner::NoSet, Manner::Dripping] {
        issuer.behave(manner);
        let before = issuer.state.asked_for_all.load(Ordering::SeqCst);
        read_whole_set_again(&subject).await;
        assert!(issuer.state.asked_for_all.load(Ordering::SeqCst) > before, "{manner:?}");
        subject.verifier.verify(&old).await.unwrap();
        subject.verify_new("k2").await.unwrap();
    }
}

#[actix_web::test]
async fn more_keys_than_memory_may_hold_are_asked_for_one_by_one() {
    let kids: Vec<String> = (0..20).map(|number| format!("k{number}")).collect();
    let issuer = Issuer::started(&kids.iter().map(|kid| jwk(kid)).collect::<Vec<_>>());
    let subject = Subject::with(&issuer, |settings| settings.max_keys = 4).ready().await;
    for kid in kids.iter().chain(&kids) {
        subject.verify_new(kid).await.unwrap();
    }
    // Of forty verifications at most the four keys kept can have saved a fetch the first time.
    assert!(issuer.state.asked_for_one.load(Ordering::SeqCst) >= 16);
    read_whole_set_again(&subject).await;
    assert!(subject.metric("keys_cached").is_some_and(|count| (1..=4).contains(&count)));
}

#[actix_web::test]
async fn tokens_kept_are_bounded_too() {
    let issuer = Issuer::started(&[jwk("k1")]);
    let subject = Subject::with(&issuer, |settings| settings.max_tokens = 0).ready().await;
    let token = subject.token("k1", "j");
    for _ in 0..3 {
        subject.verifier.verify(&token).await.unwrap();
    }
    assert_eq!(subject.metric("token_cache_lookups_total{result=\"hit\"}"), Some(0));
}
