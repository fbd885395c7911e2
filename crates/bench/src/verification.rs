//! Checking a token: one not seen before against the bare signature, and one seen before.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use common::metrics::Metrics;
use common::readiness::State;
use common::settings::Secret;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Public};
use openssl::rsa::Rsa;
use openssl::sign::Verifier as Signature;
use serde_json::Value;
use token_verifier::Verifier;

use crate::figure::{Figure, Goal, Unit};
use crate::house::House;
use crate::timing::us;

const TOKENS: usize = 2_000;
/// Tokens checked one after another by each side in turn.
const ROUND: usize = 50;

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let house = House::start(0).await?;
    let mut session = house.join().await?;
    let mut tokens = vec![session.access_token.clone()];
    while tokens.len() < TOKENS {
        house.refresh(&mut session).await?;
        tokens.push(session.access_token.clone());
    }
    let verifier = start_verifier(&house).await?;
    let key = public_key(&house).await?;
    // The key is fetched before anything is timed.
    accept(&verifier, &tokens[0]).await?;
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for round in tokens[1..].chunks_exact(ROUND) {
        let started = Instant::now();
        for token in round {
            accept(&verifier, token).await?;
        }
        ours.push(started.elapsed());
        let started = Instant::now();
        for token in round {
            check_signature(&key, token)?;
        }
        raw.push(started.elapsed());
    }
    let again = seen_before(&verifier, &tokens).await?;
    let [ours, raw] = [ours, raw].map(each);
    Ok(vec![
        Figure {
            what: "verify a token not seen before, against OpenSSL's RSA-2048 verify alone",
            value: ours.as_secs_f64() / raw.as_secs_f64(),
            unit: Unit::Ratio,
            goal: Some(Goal::AtMost(1.10)),
            detail: format!("{:.1} µs against {:.1} µs", us(ours), us(raw)),
            limit: "the signature, two thirds; then JSON read strictly, the digest and the cache",
        },
        Figure {
            what: "verify a token seen before",
            value: us(again),
            unit: Unit::Microseconds,
            goal: Some(Goal::AtMost(2.0)),
            detail: format!("{} tokens in turn", tokens.len()),
            limit: "SHA-256 of the token, half of it",
        },
    ])
}

async fn start_verifier(house: &House) -> Result<Verifier> {
    let secret = Secret::from("development-feed-secret".to_owned());
    let url = house.users.url("");
    let verifier = Verifier::builder(&url, "chat-service", secret)
        .start(&Metrics::new("bench"))
        .map_err(anyhow::Error::msg)?;
    while !matches!(verifier.readiness(), State::Ready) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(verifier)
}

async fn accept(verifier: &Verifier, token: &str) -> Result<()> {
    let verdict = verifier.verify(token).await;
    verdict.map_err(|refusal| anyhow::anyhow!("the verifier refuses: {refusal:?}"))?;
    Ok(())
}

async fn seen_before(verifier: &Verifier, tokens: &[String]) -> Result<Duration> {
    let mut rounds = Vec::new();
    for _ in 0..21 {
        let started = Instant::now();
        for token in tokens {
            accept(verifier, token).await?;
        }
        rounds.push(started.elapsed() / u32::try_from(tokens.len())?);
    }
    rounds.sort_unstable();
    Ok(rounds[rounds.len() / 2])
}

/// The median round's share of one token.
fn each(mut rounds: Vec<Duration>) -> Duration {
    rounds.sort_unstable();
    rounds[rounds.len() / 2] / u32::try_from(ROUND).unwrap_or(1)
}

async fn public_key(house: &House) -> Result<PKey<Public>> {
    let url = house.users.url("/.well-known/jwks.json");
    let set: Value = house.http.get(url).send().await?.json().await?;
    let keys = set["keys"].as_array().context("keys")?;
    // The only person's; those of the pool are published before they sign.
    let kid = keys.iter().find(|key| key["kty"] == "RSA").context("an RSA key")?;
    let number = |name: &str| {
        let text = kid[name].as_str().context("a number")?;
        anyhow::Ok(BigNum::from_slice(&BASE64URL.decode(text)?)?)
    };
    let rsa = Rsa::from_public_components(number("n")?, number("e")?)?;
    Ok(PKey::from_rsa(rsa)?)
}

/// As costly with a key that did not sign it as with the one that did.
fn check_signature(key: &PKey<Public>, token: &str) -> Result<bool> {
    let (signed, signature) = token.rsplit_once('.').context("a compact JWS")?;
    let signature = BASE64URL.decode(signature)?;
    let mut verifier = Signature::new(MessageDigest::sha256(), key)?;
    verifier.update(signed.as_bytes())?;
    Ok(verifier.verify(&signature)?)
}
