use std::sync::atomic::Ordering;

use common::metrics::Metrics;
use common::readiness::State;
use futures_util::future::join_all;
use serde_json::json;
use token_verifier::{Key, Reason, Refusal, Verifier};

use crate::issuer::Issuer;
use crate::tokens::{PAIR, Subject, jwk, token};

const UNKNOWN: Refusal = Refusal::Invalid(Reason::UnknownKey);

#[actix_web::test]
async fn one_broken_key_never_costs_its_siblings() {
    let mut broken = jwk("broken");
    broken["n"] = "AQAB".into();
    let issuer = Issuer::started(&[json!(7), broken, json!({ "kid": "odd" }), jwk("good")]);
    let subject = Subject::of(&issuer).ready().await;
    subject.verify_new("good").await.unwrap();
    assert_eq!(issuer.state.asked_for_one.load(Ordering::SeqCst), 0);
    assert_eq!(subject.verify_new("broken").await.unwrap_err(), UNKNOWN);
    assert_eq!(subject.metric("key_fetches_total{outcome=\"broken_key\"}"), Some(3));
}

#[actix_web::test]
async fn a_kid_is_asked_for_once_however_many_ask() {
    let issuer = Issuer::started(&[jwk("old")]);
    let subject = Subject::of(&issuer).ready().await;
    issuer.publish(jwk("new"));
    let asked = || issuer.state.asked_for_one.load(Ordering::SeqCst);
    let verdicts = join_all((0..50).map(|_| subject.verify_new("new"))).await;
    assert!(verdicts.iter().all(Result::is_ok));
    assert_eq!(asked(), 1);
    for _ in 0..2 {
        let verdicts = join_all((0..50).map(|_| subject.verify_new("bogus"))).await;
        assert!(verdicts.iter().all(|verdict| verdict.as_ref().is_err_and(|r| *r == UNKNOWN)));
        assert_eq!(asked(), 2);
    }
}

#[actix_web::test]
async fn bogus_kids_do_not_starve_a_good_one() {
    let issuer = Issuer::started(&[jwk("old")]);
    let subject = Subject::of(&issuer).ready().await;
    issuer.publish(jwk("new"));
    for wave in 0..2 {
        let bogus: Vec<String> = (0..1000).map(|n| format!("bogus-{wave}-{n}")).collect();
        let flood = join_all(bogus.iter().map(|kid| subject.verify_new(kid)));
        let (flood, good) = tokio::join!(flood, subject.verify_new("new"));
        assert!(flood.iter().all(Result::is_err));
        good.unwrap();
    }
    assert!(issuer.state.asked_for_one.load(Ordering::SeqCst) < 1000);
    assert!(issuer.state.asked_for_all.load(Ordering::SeqCst) < 20);
    assert!(issuer.state.unmodified.load(Ordering::SeqCst) > 0);
}

/// More new ids than may be asked for one by one make it read the whole set again.
pub async fn read_whole_set_again(subject: &Subject) {
    let bogus: Vec<String> = (0..300).map(|_| rand::random::<u64>().to_string()).collect();
    join_all(bogus.iter().map(|kid| subject.verify_new(kid))).await;
}

#[actix_web::test]
async fn a_key_taken_back_is_trusted_until_the_set_is_read_again() {
    let issuer = Issuer::started(&[jwk("old"), jwk("kept")]);
    let mut cut = jwk("cut");
    cut["cut"] = true.into();
    issuer.publish(cut);
    let subject = Subject::of(&issuer).ready().await;
    let (old, kept, cut) =
        (subject.token("old", "1"), subject.token("kept", "2"), subject.token("cut", "3"));
    for token in [&old, &kept, &cut] {
        subject.verifier.verify(token).await.unwrap();
    }
    issuer.take_back("old");
    read_whole_set_again(&subject).await;
    assert_eq!(subject.verifier.verify(&old).await.unwrap_err(), UNKNOWN);
    // What the issuer leaves out of a set that is too large is still good by its id.
    subject.verifier.verify(&kept).await.unwrap();
    subject.verifier.verify(&cut).await.unwrap();
    issuer.take_back("cut");
    read_whole_set_again(&subject).await;
    assert_eq!(subject.verifier.verify(&cut).await.unwrap_err(), UNKNOWN);
}

#[actix_web::test]
async fn a_failed_fetch_is_tried_again() {
    let mut issuer = Issuer::started(&[jwk("k1")]);
    let subject = Subject::of(&issuer).ready().await;
    issuer.publish(jwk("new"));
    issuer.stop().await;
    let (verdict, ()) = tokio::join!(subject.verify_new("new"), async { issuer.start() });
    verdict.unwrap();
}

#[actix_web::test]
async fn pem_files_serve_without_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    std::fs::write(&path, PAIR.to_pem_public_key()).unwrap();
    let start = |file: &str| {
        Verifier::of_public_keys(&[file], "http://issuer.example").start(&Metrics::new("test"))
    };
    let verifier = start(path.to_str().unwrap()).unwrap();
    assert_eq!(verifier.readiness(), State::Ready);
    let key = Key::from_pem(&PAIR.to_pem_public_key()).unwrap();
    let good = token("http://issuer.example", key.kid(), "j");
    assert_eq!(verifier.verify(&good).await.unwrap().kid, key.kid());
    let other = token("http://issuer.example", "other", "j");
    assert_eq!(verifier.verify(&other).await.unwrap_err(), UNKNOWN);
    let error = start("/no/such/file").err().unwrap();
    assert!(error.contains("verifier.public_key_files"), "{error}");
}
