//! Sealing and opening a token, against the same bytes through AES and HMAC alone.

use std::hint::black_box;

use aes::Aes256;
use anyhow::Result;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::RngExt as _;
use sha2::Sha256;
use vault_crypto::{Identity, Keyring};

use crate::figure::{Figure, Unit};
use crate::timing::{compare, us};

/// As long as an offline token of Keycloak's.
const TOKEN_BYTES: usize = 700;
const CALLS: u32 = 2_000;

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let ring = Keyring::parse(&format!("bench:{}", "5a".repeat(32)))?;
    let identity = Identity::new("auth_vault.token").field("keycloak").field("subject");
    let token = vec![b'x'; TOKEN_BYTES];
    let (key, mac_key) = ([1; 32], [2; 32]);
    let (seal, raw_seal) = compare(
        CALLS,
        || drop(black_box(ring.seal(&identity, &token))),
        || drop(black_box(encrypt(&key, &mac_key, &token))),
    );
    let sealed = ring.seal(&identity, &token).into_bytes();
    let (iv, ciphertext, tag) = encrypt(&key, &mac_key, &token);
    let (open, raw_open) = compare(
        CALLS,
        || drop(black_box(ring.open(&identity, &sealed))),
        || drop(black_box(decrypt(&key, &mac_key, &iv, &ciphertext, &tag))),
    );
    let figure = |what, ours: std::time::Duration, raw: std::time::Duration| Figure {
        what,
        value: ours.as_secs_f64() / raw.as_secs_f64(),
        unit: Unit::Ratio,
        goal: None,
        detail: format!("{:.2} µs against {:.2} µs", us(ours), us(raw)),
        limit: "SHA-256 and AES are four fifths of it; the rest is memory for the value and its \
                head",
    };
    Ok(vec![
        figure("seal a token, against AES-256-CBC and HMAC-SHA-256 alone", seal, raw_seal),
        figure("open a token, against AES-256-CBC and HMAC-SHA-256 alone", open, raw_open),
    ])
}

fn encrypt(key: &[u8; 32], mac_key: &[u8; 32], token: &[u8]) -> ([u8; 16], Vec<u8>, Vec<u8>) {
    let mut iv = [0; 16];
    rand::rng().fill(&mut iv);
    let ciphertext = cbc::Encryptor::<Aes256>::new(key.into(), (&iv).into());
    let ciphertext = ciphertext.encrypt_padded_vec::<Pkcs7>(token);
    let tag = tag(mac_key, &iv, &ciphertext).finalize().into_bytes().to_vec();
    (iv, ciphertext, tag)
}

fn decrypt(
    key: &[u8; 32],
    mac_key: &[u8; 32],
    iv: &[u8; 16],
    ciphertext: &[u8],
    expected: &[u8],
) -> Option<Vec<u8>> {
    tag(mac_key, iv, ciphertext).verify_slice(expected).ok()?;
    cbc::Decryptor::<Aes256>::new(key.into(), iv.into())
        .decrypt_padded_vec::<Pkcs7>(ciphertext)
        .ok()
}

fn tag(key: &[u8; 32], iv: &[u8; 16], ciphertext: &[u8]) -> Hmac<Sha256> {
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    let mut mac = Hmac::<Sha256>::new((&block).into());
    mac.update(iv);
    mac.update(ciphertext);
    mac
}
