use proptest::prelude::*;

use super::*;
use crate::key_id_of;

fn ring(text: &str) -> Keyring {
    Keyring::parse(text).unwrap()
}

fn old() -> String {
    format!("old:{}", "11".repeat(32))
}

fn new() -> String {
    format!("new:{}", "22".repeat(32))
}

#[test]
fn the_first_key_writes_and_all_read() {
    let identity = Identity::new("t.c").field("1");
    let before = ring(&old()).seal(&identity, b"text").into_bytes();
    let rotated = ring(&format!("{},{}", new(), old()));
    assert_eq!(&**rotated.open(&identity, &before).unwrap(), b"text");
    let after = rotated.seal(&identity, b"text");
    assert_eq!((after.key_id(), key_id_of(after.as_bytes())), ("new", Some("new")));
    assert_eq!(ring(&old()).open(&identity, after.as_bytes()), Err(OpenError));
    assert!(rotated.contains("old") && !rotated.contains("older"));
}

#[test]
fn what_version_1_sealed_opens_for_ever() {
    // Made apart from this crate, with Python's `cryptography`, from the layout in the docs.
    let sealed = hex::decode(concat!(
        "01036f6c64000102030405060708090a0b0c0d0e0fc347a3d64c2bf8ca69f2625d64b7e3fd",
        "dcb2a76566f528857143b7d0a899cbe9d092ebea11435797b8f0b9e5c8dd839d",
    ))
    .unwrap();
    let opened = ring(&old()).open(&Identity::new("t.c").field("1"), &sealed);
    assert_eq!(&**opened.unwrap(), b"text");
    assert_eq!(ring(&"ab".repeat(32)).writing_key_id(), "b32630b7");
}

#[test]
fn another_key_under_the_same_id_is_the_one_error() {
    let identity = Identity::new("t.c");
    let sealed = ring(&old()).seal(&identity, b"text");
    let other = ring(&format!("old:{}", "33".repeat(32)));
    assert_eq!(other.open(&identity, sealed.as_bytes()), Err(OpenError));
}

#[test]
fn only_a_key_id_is_ever_told_of_a_stored_value() {
    let mut sealed = ring(&old()).seal(&Identity::new("t.c"), b"text").into_bytes();
    sealed[2] = b'\n';
    assert_eq!(key_id_of(&sealed), None);
    assert_eq!(key_id_of(&sealed[..20]), None);
    assert_eq!(key_id_of(b""), None);
}

#[test]
fn a_value_moved_to_another_place_does_not_open() {
    let ring = ring(&old());
    let sealed = ring.seal(&Identity::new("devices.key").field("a"), b"text");
    let elsewhere = Identity::new("devices.key").field("b");
    assert_eq!(ring.open(&elsewhere, sealed.as_bytes()), Err(OpenError));
}

#[test]
fn unusable_rings_are_refused_without_showing_a_key() {
    let good = "ab".repeat(32);
    for (text, what) in [
        (String::new(), "key 1 is not 64 hex"),
        ("zz".repeat(32), "key 1 has a character that is not hex"),
        ("ab".repeat(31), "key 1 is not 64 hex"),
        (format!("A:{good}"), "key 1 has an id"),
        (format!(":{good}"), "key 1 has an id"),
        (format!("{}:{good}", "a".repeat(33)), "key 1 has an id"),
        (format!("a:{good},a:{good}"), "key 2 repeats an id"),
        (format!("a:{good},"), "key 2 is not 64 hex"),
    ] {
        let error = Keyring::parse(&text).unwrap_err().to_string();
        assert!(error.contains(what), "{text}: {error}");
        assert!(!error.contains("abab"));
    }
    let named = ring(&good);
    assert_eq!(named.writing_key_id().len(), 8);
    assert!(!format!("{named:?}").contains("abab"));
}

proptest! {
    #[test]
    fn what_is_sealed_opens_and_no_two_seals_are_the_same(text: Vec<u8>, field: String) {
        let (ring, identity) = (ring(&old()), Identity::new("t.c").field(field));
        let (one, two) = (ring.seal(&identity, &text), ring.seal(&identity, &text));
        prop_assert_ne!(&one, &two);
        prop_assert_eq!(&**ring.open(&identity, one.as_bytes()).unwrap(), &text);
    }

    #[test]
    fn any_other_identity_is_the_one_error(
        fields in prop::collection::vec("[ab]{0,2}", 0..4),
        others in prop::collection::vec("[ab]{0,2}", 0..4),
    ) {
        prop_assume!(fields != others);
        let named = |fields: Vec<String>| fields.iter().fold(Identity::new("t.c"), Identity::field);
        let ring = ring(&old());
        let sealed = ring.seal(&named(fields), b"text");
        prop_assert_eq!(ring.open(&named(others), sealed.as_bytes()), Err(OpenError));
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_the_one_error(text: Vec<u8>, at: prop::sample::Index, bit in 0..8_u8) {
        let (ring, identity) = (ring(&old()), Identity::new("t.c"));
        let sealed = ring.seal(&identity, &text).into_bytes();
        let mut flipped = sealed.clone();
        flipped[at.index(sealed.len())] ^= 1_u8 << bit;
        prop_assert_eq!(ring.open(&identity, &flipped), Err(OpenError));
        prop_assert_eq!(ring.open(&identity, &sealed[..at.index(sealed.len())]), Err(OpenError));
    }
}
