use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Flags of authenticator data (`WebAuthn`, section 6.1): a person was there, was verified; a new
/// credential follows.
const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const ATTESTED: u8 = 0x40;

/// An authenticator in software with one passkey (ES256, no attestation), and the browser in front
/// of it. What it says may be made a lie of.
pub struct TestPasskey {
    id: [u8; 16],
    key: EcdsaKeyPair,
    /// The page that the browser says it shows.
    pub origin: String,
    /// Whether the browser says that another site's page has ours in a frame.
    pub cross_origin: bool,
    /// The relying party that the authenticator says it signs for, where not the one that asks.
    pub rp_id: Option<String>,
    /// Whether it says that it verified its user.
    pub verifies: bool,
    /// What it says next time.
    pub counter: u32,
    /// What each use adds; 0 for an authenticator that does not count.
    pub counts_by: u32,
}

impl TestPasskey {
    /// A new one, in a browser that shows a page of `origin`.
    pub fn new(origin: &str) -> Self {
        Self {
            id: rand::random(),
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(),
            origin: origin.to_owned(),
            cross_origin: false,
            rp_id: None,
            verifies: true,
            counter: 1,
            counts_by: 1,
        }
    }

    /// Takes back every lie but the counter's.
    pub fn tell_the_truth(&mut self, origin: &str) {
        origin.clone_into(&mut self.origin);
        (self.cross_origin, self.rp_id, self.verifies) = (false, None, true);
    }

    /// Answers `navigator.credentials.create`.
    pub fn register(&mut self, options: &Value) -> Value {
        let client_data = self.client_data("webauthn.create", options);
        let rp_id = &options["publicKey"]["rp"]["id"];
        let data = [self.data(rp_id, ATTESTED), self.attested()].concat();
        let length = u8::try_from(data.len()).unwrap();
        // CBOR: { "fmt": "none", "attStmt": {}, "authData": data }.
        let attestation =
            [b"\xa3cfmtdnonegattStmt\xa0hauthData\x58", &[length][..], &data].concat();
        self.credential(&json!({
            "clientDataJSON": encode(client_data.as_bytes()),
            "attestationObject": encode(&attestation),
        }))
    }

    /// Answers `navigator.credentials.get`.
    pub fn assert(&mut self, options: &Value) -> Value {
        let client_data = self.client_data("webauthn.get", options);
        let data = self.data(&options["publicKey"]["rpId"], 0);
        let signed = [&data[..], &Sha256::digest(&client_data)].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        self.credential(&json!({
            "clientDataJSON": encode(client_data.as_bytes()),
            "authenticatorData": encode(&data),
            "signature": encode(signature.as_ref()),
        }))
    }

    /// Text, because what is signed are its bytes.
    fn client_data(&self, kind: &str, options: &Value) -> String {
        json!({
            "type": kind,
            "challenge": options["publicKey"]["challenge"],
            "origin": self.origin,
            "crossOrigin": self.cross_origin,
        })
        .to_string()
    }

    /// `WebAuthn`, section 6.1, without what follows the counter.
    fn data(&mut self, asked_for: &Value, flags: u8) -> Vec<u8> {
        let rp_id = self.rp_id.as_deref().or(asked_for.as_str()).expect("a relying party");
        let flags = flags | PRESENT | if self.verifies { VERIFIED } else { 0 };
        let counter = self.counter.to_be_bytes();
        self.counter += self.counts_by;
        [&Sha256::digest(rp_id)[..], &[flags], &counter].concat()
    }

    /// `WebAuthn`, section 6.5.1: no model, the id, and the key as COSE has it.
    fn attested(&self) -> Vec<u8> {
        let point = self.key.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        let (id_length, of_key) = ([0, 16], b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20");
        [&[0; 16], &id_length[..], &self.id, of_key, x, b"\x22\x58\x20", y].concat()
    }

    fn credential(&self, response: &Value) -> Value {
        let id = encode(&self.id);
        json!({
            "id": id,
            "rawId": id,
            "type": "public-key",
            "response": response,
            "clientExtensionResults": {},
        })
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
