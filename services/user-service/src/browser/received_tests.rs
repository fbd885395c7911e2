//! Which of the cookies that a request brings are believed.

use super::Generation::{V4, V5};
use super::*;
use crate::browser::cookies::tests::{policy, preview, production};
use crate::browser::guard::{PreSession, RefreshCookie};

fn read(lines: &[&[u8]]) -> ReceivedCookies {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(header::COOKIE, HeaderValue::from_bytes(line).unwrap());
    }
    // Of one family, as far as their numbers go.
    production().read(&headers, |token| {
        let (family, counter) = (Uuid::nil(), token.parse().ok()?);
        Some(Position { family, counter })
    })
}

fn refresh_cookies(newer: &str, older: &str) -> ReceivedCookies {
    let newer = format!("__Host-latchkey_v5_refresh={newer}");
    let older = format!("__Secure-latchkey_v4_refresh={older}");
    read(&[newer.as_bytes(), older.as_bytes()])
}

#[test]
fn of_two_refresh_cookies_the_higher_number_wins_and_in_doubt_the_newer_generation() {
    for (newer, older, winner) in
        [("7", "8", V4), ("8", "7", V5), ("7", "7", V5), ("forged", "7", V4), ("7", "forged", V5)]
    {
        let cookies = refresh_cookies(newer, older);
        assert_eq!(cookies.generation(), winner, "{newer} {older}");
        let won = if winner == V4 { older } else { newer };
        assert_eq!(cookies.single(Kind::Refresh), Some(won));
    }
    let mut headers = HeaderMap::new();
    let both = "__Host-latchkey_v5_refresh=1; __Secure-latchkey_v4_refresh=9";
    headers.append(header::COOKIE, HeaderValue::from_static(both));
    let cookies = production().read(&headers, |token| {
        Some(Position { family: Uuid::new_v4(), counter: token.parse().ok()? })
    });
    assert_eq!(cookies.generation(), V5, "another host may plant the older one");
}

#[test]
fn two_older_cookies_put_nothing_of_the_newer_in_doubt_unless_one_is_later() {
    let older = |value: &str| format!("__Secure-latchkey_v4_refresh={value}");
    for (newer, planted, generation) in [
        ("7", ["6", "forged"], V5),
        ("7", ["forged", "7"], V5),
        ("forged", ["forged", ""], V5),
        ("7", ["forged", "8"], V4),
        ("forged", ["1", "forged"], V4),
    ] {
        let newer = format!("__Host-latchkey_v5_refresh={newer}; __Host-latchkey_v5_browser=b");
        let lines = [newer, older(planted[0]), older(planted[1])];
        let cookies = read(&lines.each_ref().map(String::as_bytes));
        assert_eq!(cookies.generation(), generation, "{lines:?}");
        assert_eq!(cookies.in_doubt(), generation == V4, "{lines:?}");
        assert_eq!(cookies.doubtful(), [(V4, Kind::Refresh)]);
    }
}

#[test]
fn two_older_cookies_are_in_doubt_beside_no_newer_session_and_the_browser_stays_known() {
    for (beside, doubtful) in [
        ("__Host-latchkey_v5_browser=b", vec![(V4, Kind::Csrf)]),
        ("__Host-latchkey_v5_csrf=c; __Host-latchkey_v5_browser=b", vec![(V4, Kind::Csrf)]),
        ("__Secure-latchkey_v4_refresh=7", vec![(V4, Kind::Csrf), (V4, Kind::Refresh)]),
        // With a domain another host could set it.
        ("__Host-latchkey_v5_access=a", vec![(V4, Kind::Csrf)]),
    ] {
        let older = b"__Secure-latchkey_v4_csrf=a; __Secure-latchkey_v4_csrf=b";
        let cookies = read(&[beside.as_bytes(), older]);
        assert!(cookies.in_doubt(), "{beside}");
        assert_eq!(cookies.doubtful(), doubtful);
        let cleared = production().clear_doubtful(&doubtful, "/api/v5");
        assert!(cleared.iter().all(|cookie| cookie.name != "__Host-latchkey_v5_browser"));
    }
    // One of the newer names is enough, whatever else came.
    let cookies = read(&[
        b"__Host-latchkey_v5_csrf=c; __Host-latchkey_v5_csrf=d; __Host-latchkey_v5_refresh=7",
        b"__Host-latchkey_v5_browser=b; __Secure-latchkey_v4_browser=b",
    ]);
    assert!(cookies.in_doubt());
    let others = [(V5, Kind::Refresh), (V5, Kind::Browser), (V4, Kind::Browser)];
    assert_eq!(cookies.doubtful(), [&[(V5, Kind::Csrf)][..], &others].concat());
}

#[test]
fn of_the_other_generation_nothing_is_believed() {
    let cookies = read(&[b"__Host-latchkey_v5_csrf=a; __Secure-latchkey_v4_refresh=7"]);
    assert_eq!((cookies.generation(), cookies.single(Kind::Csrf)), (V4, None));
    assert!(cookies.has(V5, Kind::Csrf) && !cookies.has(V4, Kind::Csrf));
    let cookies = read(&[b"__Host-latchkey_v5_access=a; __Secure-latchkey_v4_csrf=b"]);
    assert_eq!((cookies.generation(), cookies.single(Kind::Csrf)), (V5, None));
    assert_eq!(read(&[b"a=b"]).generation(), V5);
}

#[test]
fn our_cookies_are_found_among_others_however_malformed() {
    let lines: &[&[u8]] = &[
        b"a=b; ;; =; x; \xff\xfe=\xff; __Host-latchkey_v5_access=token ;q=\"a;b",
        b"__host-latchkey_v5_refresh=no; latchkey_v5_refresh=no; __Host-latchkey_v5_csrf=a=b",
    ];
    let cookies = read(lines);
    assert_eq!(cookies.get(Kind::Access), Ok(Some("token")));
    assert_eq!(cookies.get(Kind::Refresh), Ok(None));
    assert_eq!(cookies.get(Kind::Csrf), Ok(Some("a=b")));
    assert!(cookies.doubtful().is_empty() && !cookies.in_doubt());
    let unreadable = read(&[b"__Host-latchkey_v5_access=\xff\xfe"]);
    assert_eq!(unreadable.get(Kind::Access), Ok(Some("")));
}

#[test]
fn where_the_older_cookies_are_good_for_nothing_none_is_read_or_set() {
    let url = ("PUBLIC_URL", "https://id.example.com");
    let over = policy(&[url, ("BROWSER__ACCEPT_V4", "false")]).unwrap();
    for policy in [preview(), over] {
        let mut headers = HeaderMap::new();
        let line = "__Secure-latchkey_v4_refresh=9; __Secure-latchkey_v4_refresh=9; \
                    __Secure-latchkey_v4_access=a; __Host-latchkey_v5_refresh=1";
        headers.append(header::COOKIE, HeaderValue::from_static(line));
        let cookies = policy.read(&headers, |token| {
            Some(Position { family: Uuid::nil(), counter: token.parse().ok()? })
        });
        assert_eq!((cookies.generation(), cookies.single(Kind::Refresh)), (V5, Some("1")));
        assert!(Kind::ALL.into_iter().all(|kind| !cookies.has(V4, kind)));
        assert!(cookies.doubtful().is_empty() && !cookies.in_doubt());
        assert_eq!(policy.usable(V4), V5);
    }
}

#[test]
fn two_cookies_of_one_name_are_neither() {
    let one = b"__Host-latchkey_v5_access=a";
    let both = b"__Host-latchkey_v5_access=a; __Host-latchkey_v5_access=a";
    for lines in [&[&one[..], &one[..]][..], &[&both[..]]] {
        let cookies = read(lines);
        assert_eq!(cookies.get(Kind::Access), Err(Duplicate));
        assert_eq!(cookies.single(Kind::Access), None);
        assert_eq!(cookies.doubtful(), [(V5, Kind::Access)]);
        assert!(cookies.in_doubt());
    }
}

#[test]
fn what_holds_a_cookie_s_token_shows_nothing_of_it() {
    let cookies = read(&[b"__Host-latchkey_v5_refresh=token"]);
    let token = "token".to_owned();
    let refresh =
        RefreshCookie { token: token.clone(), family: Uuid::nil(), cookies: cookies.clone() };
    let before = PreSession { former: Some(token), cookies: cookies.clone() };
    let shown = format!("{cookies:?} {refresh:?} {before:?}");
    assert_eq!(shown, "ReceivedCookies { .. } RefreshCookie { .. } PreSession { .. }");
}
