//! The keys that a realm signs with: another one, none of the old ones, or one that we hold too.

use josekit::jwk::alg::rsa::RsaKeyPair;
use josekit::jws::{JwsHeader, RS256, serialize_compact};
use reqwest::Method;
use serde_json::{Value, json};
use test_support::TestRealm;

const KEY_PROVIDER: &str = "org.keycloak.keys.KeyProvider";

/// A key of the realm whose private half is here, so that tokens can say what Keycloak would not.
pub(crate) struct SharedKey {
    kid: String,
    pair: RsaKeyPair,
}

impl SharedKey {
    /// Gives one to the realm, which signs with it from now on.
    pub(crate) async fn import(realm: &TestRealm) -> Self {
        let pair = RsaKeyPair::generate(2048).unwrap();
        let pem = String::from_utf8(pair.to_pem_private_key()).unwrap();
        add(realm, "rsa", &json!({ "privateKey": [pem] })).await;
        Self { kid: active(realm).await, pair }
    }

    /// Another of the same name that the realm does not have.
    pub(crate) fn forged(&self) -> Self {
        Self { kid: self.kid.clone(), pair: RsaKeyPair::generate(2048).unwrap() }
    }

    /// A token with these claims.
    pub(crate) fn sign(&self, token_type: &str, claims: &Value) -> String {
        let mut header = JwsHeader::new();
        header.set_key_id(&self.kid);
        header.set_token_type(token_type);
        let signer = RS256.signer_from_pem(self.pair.to_pem_private_key()).unwrap();
        serialize_compact(claims.to_string().as_bytes(), &header, &signer).unwrap()
    }
}

/// The realm signs with a new key from now on, and publishes the old ones too.
pub(crate) async fn rotate(realm: &TestRealm) {
    let before = active(realm).await;
    add(realm, "rsa-generated", &json!({ "keySize": ["2048"] })).await;
    assert_ne!(active(realm).await, before);
}

/// Takes all keys away but the one that it signs with.
pub(crate) async fn retire(realm: &TestRealm) {
    let active = active(realm).await;
    let keys = realm.call(Method::GET, "/keys", None).await.json;
    let keys = keys["keys"].as_array().unwrap();
    let kept = keys.iter().find(|key| key["kid"] == active.as_str()).unwrap();
    let of_rsa = |key: &&Value| key["type"] == "RSA" && key["use"] == "SIG";
    for key in keys.iter().filter(of_rsa).filter(|key| key["providerId"] != kept["providerId"]) {
        let id = key["providerId"].as_str().unwrap();
        realm.call(Method::DELETE, &format!("/components/{id}"), None).await;
    }
}

async fn add(realm: &TestRealm, provider: &str, more: &Value) {
    let path = format!("/components?type={KEY_PROVIDER}");
    let components = realm.call(Method::GET, &path, None).await.json;
    // Each goes before all that are there.
    let priority = 1000 + components.as_array().unwrap().len();
    let mut config = json!({
        "priority": [priority.to_string()], "algorithm": ["RS256"], "enabled": ["true"],
        "active": ["true"],
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let body = json!({
        "name": format!("{provider}-{priority}"), "providerId": provider,
        "providerType": KEY_PROVIDER, "config": config,
    });
    realm.call(Method::POST, "/components", Some(&body)).await;
}

async fn active(realm: &TestRealm) -> String {
    let keys = realm.call(Method::GET, "/keys", None).await.json;
    keys["active"]["RS256"].as_str().unwrap().to_owned()
}
