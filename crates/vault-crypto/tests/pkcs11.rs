//! Wrapped keys against a real `SoftHSM`, which reads its configuration from the environment: each
//! test runs its body in a process of its own that has it.

#![expect(clippy::panic, reason = "a test that can't go on fails")]

use test_support::SoftHsm;
use vault_crypto::{Identity, Keyring, SigningKind, SigningToken, WrappingKey, WrappingKeyPlace};

fn place(module: &str) -> WrappingKeyPlace<'_> {
    WrappingKeyPlace { module, token: SoftHsm::TOKEN, pin: SoftHsm::PIN, key: SoftHsm::KEY }
}

fn refusal(place: &WrappingKeyPlace<'_>) -> String {
    let Err(error) = WrappingKey::find(place) else { panic!("it is not refused") };
    error.to_string()
}

#[test]
fn a_ring_of_wrapped_keys_seals_and_opens_with_the_token_alone() {
    let test = "a_ring_of_wrapped_keys_seals_and_opens_with_the_token_alone";
    let Some(module) = SoftHsm::module_of_child(test) else { return };
    let identity = Identity::new("t.c").field("1");
    let first = WrappingKey::find(&place(&module)).unwrap();
    let wrapped = first.wrap_new_key().unwrap();
    assert_eq!(wrapped.len(), 40);
    assert_ne!(first.wrap_new_key().unwrap(), wrapped);
    let keys = format!("hsm:pkcs11:{}, old:{}", hex::encode(&wrapped), "11".repeat(32));
    let ring = Keyring::parse_with(&keys, Some(&first)).unwrap();
    assert_eq!(ring.key_ids().collect::<Vec<_>>(), ["hsm", "old"]);
    let sealed = ring.seal(&identity, b"text").into_bytes();
    drop(first);
    let second = WrappingKey::find(&place(&module)).unwrap();
    let unnamed = format!("pkcs11:{}", hex::encode(&wrapped));
    let unnamed = Keyring::parse_with(&unnamed, Some(&second)).unwrap();
    assert_eq!(unnamed.writing_key_id().len(), 8);
    let again = Keyring::parse_with(&keys, Some(&second)).unwrap();
    assert_eq!(&**again.open(&identity, &sealed).unwrap(), b"text");
}

#[test]
fn users_of_one_module_leave_each_other_alone() {
    let test = "users_of_one_module_leave_each_other_alone";
    let Some(module) = SoftHsm::module_of_child(test) else { return };
    let first = WrappingKey::find(&place(&module)).unwrap();
    let second = WrappingKey::find(&place(&module)).unwrap();
    drop(first);
    let wrapped = second.wrap_new_key().unwrap();
    let third = WrappingKey::find(&place(&module)).unwrap();
    let keys = format!("a:pkcs11:{}", hex::encode(wrapped));
    drop(second);
    assert!(Keyring::parse_with(&keys, Some(&third)).is_ok());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (module, keys) = (module.clone(), keys.clone());
            std::thread::spawn(move || {
                let key = WrappingKey::find(&place(&module)).unwrap();
                Keyring::parse_with(&keys, Some(&key)).is_ok()
            })
        })
        .collect();
    assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
}

#[test]
fn what_the_token_did_not_wrap_is_refused_in_one_line() {
    let test = "what_the_token_did_not_wrap_is_refused_in_one_line";
    let Some(module) = SoftHsm::module_of_child(test) else { return };
    let key = WrappingKey::find(&place(&module)).unwrap();
    let mut damaged = key.wrap_new_key().unwrap();
    damaged[20] ^= 1;
    for wrapped in [hex::encode(damaged), "00".repeat(40), String::new()] {
        let keys = format!("a:pkcs11:{wrapped}");
        let told = Keyring::parse_with(&keys, Some(&key)).unwrap_err().to_string();
        let what = "keyring: key 1 can't be unwrapped: PKCS#11: the token does not unwrap it (";
        assert!(told.starts_with(what) && !told.contains('\n'), "{told}");
    }
    let told = Keyring::parse_with("a:pkcs11:zz", Some(&key)).unwrap_err().to_string();
    assert_eq!(told, "keyring: key 1 is wrapped, but not in hex");
}

#[test]
fn a_token_that_can_t_be_used_says_why_without_its_pin() {
    let test = "a_token_that_can_t_be_used_says_why_without_its_pin";
    let Some(module) = SoftHsm::module_of_child(test) else { return };
    let good = place(&module);
    for (place, what) in [
        (WrappingKeyPlace { module: "/no/such.so", ..good }, "/no/such.so can't be loaded"),
        (WrappingKeyPlace { token: "other", ..good }, "there is no token `other`"),
        (WrappingKeyPlace { pin: "9753", ..good }, "the token refuses the PIN (PinIncorrect)"),
        (WrappingKeyPlace { key: "other", ..good }, "the token has no AES-256 key `other`"),
    ] {
        let told = refusal(&place);
        assert!(told.starts_with("PKCS#11: ") && told.contains(what), "{told}");
        assert!(!told.contains("9753") && !told.contains(SoftHsm::PIN), "{told}");
    }
}

#[test]
fn a_wrapped_key_without_a_token_is_refused() {
    let error = Keyring::parse(&format!("a:pkcs11:{}", "00".repeat(40))).unwrap_err();
    assert_eq!(error.to_string(), "keyring: key 1 is wrapped, and no PKCS#11 token is configured");
}

#[test]
fn a_pair_that_is_removed_signs_no_more_and_the_others_do() {
    let test = "a_pair_that_is_removed_signs_no_more_and_the_others_do";
    let Some(module) = SoftHsm::module_of_child(test) else { return };
    let token = SigningToken::open(&module, SoftHsm::TOKEN, SoftHsm::PIN).unwrap();
    for label in ["one", "two"] {
        token.make(SigningKind::P256, label).unwrap();
        token.sign(SigningKind::P256, label, b"input").unwrap();
    }
    token.remove("one").unwrap();
    let refused = token.sign(SigningKind::P256, "one", b"input").unwrap_err().to_string();
    assert_eq!(refused, "PKCS#11: the token has no private key `one`");
    token.sign(SigningKind::P256, "two", b"input").unwrap();
    // Its label is free again, which that of a public key left behind would not be.
    token.make(SigningKind::P256, "one").unwrap();
    // Nothing else is called so, and nothing is left to remove.
    token.remove("three").unwrap();
}
