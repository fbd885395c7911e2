//! Of generated addresses, numbers and mailboxes none survives, wherever in a line it stands; and
//! what lines hold otherwise stands as it is.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use chrono::{DateTime, FixedOffset};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::http::ClientAddress;

/// What may stand before something personal.
fn before() -> impl Strategy<Value = String> {
    let label =
        prop_oneof!["", "[g-z]{1,8}[:=]", "[a-z]{1,8}://", "tel:", r"\\n", r"\\\\u0085", "%3A"];
    let text = prop_oneof!["", r#"\{"a":""#, "[a-z ]{0,20} ", r#""error":"(«|\()"#];
    (text, label).prop_map(|(text, label)| text + &label)
}

/// What may stand behind it.
fn behind() -> impl Strategy<Value = String> {
    prop_oneof![
        "",
        "[,;)>] [a-z]{0,8}",
        r#"""#,
        "&[a-z]=1",
        r"\\n[a-z]{0,8}",
        "%20[a-z]{0,8}",
        " [a-z]{1,8}"
    ]
}

fn name() -> impl Strategy<Value = String> {
    "[a-zа-я][a-z0-9а-я._+-]{0,20}"
}

fn host() -> impl Strategy<Value = String> {
    "([a-z][a-z0-9-]{0,8}\\.){1,3}[a-z]{2,4}"
}

fn sign() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("@"), Just("%40")]
}

fn number() -> impl Strategy<Value = String> {
    let group = "( |-|\\.|/|\\(| \\(|\\) )?[0-9]{1,4}";
    let groups = prop::collection::vec(group, 2..6);
    (prop_oneof![Just("+"), Just("%2B"), Just("%2b")], "[1-9][0-9]{0,2}", groups)
        .prop_map(|(plus, country, groups)| format!("{plus}{country}{}", groups.concat()))
        .prop_filter("too few digits or too many", |number| {
            (PHONE_DIGITS..16).contains(&digits(number).len())
        })
}

fn digits(number: &str) -> String {
    number.trim_start_matches("%2").chars().filter(char::is_ascii_digit).collect()
}

fn address() -> impl Strategy<Value = IpAddr> {
    // Within its range it is not the first.
    let v4 = any::<[u8; 3]>().prop_map(|[a, b, c]| Ipv4Addr::new(a.max(1), b, c, 77).into());
    let v6 = any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits | 1 << 64 | 1).into());
    prop_oneof![v4, v6]
}

/// A line's everyday parts.
fn everyday() -> impl Strategy<Value = String> {
    let time = (0..4_000_000_000_i64, -14..15_i32).prop_map(|(seconds, hours)| {
        let zone = FixedOffset::east_opt(hours * 3600).unwrap();
        DateTime::from_timestamp(seconds, 123_456_000).unwrap().with_timezone(&zone)
    });
    prop_oneof![
        "v?[0-9]{1,2}\\.[0-9]{1,2}\\.[0-9]{1,2}(-(rc|beta)(\\.[0-9])?)?(\\+[0-9]{8})?",
        any::<u128>().prop_map(|bits| Uuid::from_u128(bits).to_string()),
        (time, 0..5_usize).prop_map(|(time, form)| {
            let forms =
                ["%+", "%Y-%m-%d %H:%M:%S%.f%z (%Y)", "%H:%M:%S%:z %Y-%m-%d", "%c", "%s.%f"];
            time.format(forms[form]).to_string()
        }),
        "[0-9]{1,9}(\\.[0-9]{1,9})?(ns|us|ms|s|min| bytes|B|KiB|MB|%)",
        "(/[a-z][a-z0-9_.-]{0,8}){1,4}(:[0-9]{1,5})?",
        "[a-z]{1,8}(::[g-z][a-z_]{1,8}){1,3}",
        r#""[a-z_]{1,12}":-?[0-9]{1,12}"#,
    ]
}

proptest! {
    #[test]
    fn no_mailbox_survives_wherever_it_stands(
        before in before(), name in name(), sign in sign(), host in host(), behind in behind(),
    ) {
        let first = name.chars().next().unwrap();
        let masked = format!("{before}{first}***@{host}{behind}");
        let line = format!("{before}{name}{sign}{host}{behind}");
        prop_assert_eq!(mask(&line), masked);
    }

    #[test]
    fn no_number_survives_however_it_is_set_apart(before in before(), number in number(), behind in behind()) {
        let digits = digits(&number);
        let masked = format!("{before}***{}{behind}", &digits[digits.len() - 2..]);
        let line = format!("{before}{number}{behind}");
        prop_assert_eq!(mask(&line), masked);
    }

    #[test]
    fn no_network_address_survives_in_full(before in before(), address in address(), behind in behind()) {
        let range = ClientAddress(address).network();
        let shown = if address.is_loopback() { address.to_string() } else { range.to_string() };
        let masked = format!("{before}{shown}{behind}");
        let line = format!("{before}{address}{behind}");
        prop_assert_eq!(mask(&line), masked);
    }

    #[test]
    fn what_was_masked_stands_as_it_is(
        name in name(), host in host(), number in number(), address in address(),
    ) {
        let line = format!("{name}@{host} {number}, {address} {name}:{name}@{address}");
        let masked = mask(&line).into_owned();
        prop_assert_eq!(mask(&masked), masked.as_str());
    }

    #[test]
    fn everything_else_stands_as_it_is(parts in prop::collection::vec(everyday(), 1..8)) {
        let line = parts.join(" ");
        prop_assert!(matches!(mask(&line), Cow::Borrowed(_)), "{} became {}", line, mask(&line));
    }

    #[test]
    fn a_line_of_json_stays_one(text in prop_oneof![
        any::<String>(), "([a-z0-9+@:.%\"\\\\ é-]|%40|%2B|\n|\u{85}){0,40}",
    ]) {
        let line = serde_json::to_string(&text).unwrap();
        let masked = serde_json::from_str::<String>(&mask(&line));
        prop_assert!(masked.is_ok(), "{} became {}", line, mask(&line));
    }
}
