use actix_web::http::header::HeaderMap;
use common::settings::Environment;
use uuid::Uuid;

use super::Generation::{V4, V5};
use super::*;
use crate::browser::guard::{PreSession, RefreshCookie};
use crate::browser::received::{Duplicate, Position, ReceivedCookies};
use crate::config::SCHEMA;

const LIFE: Duration = Duration::from_mins(1);

fn policy(pairs: &[(&str, &str)]) -> Result<CookiePolicy, String> {
    let key = format!("1:{}", "ab".repeat(32));
    let secrets = [
        ("DATABASE__URL", "postgres://a:b@c/d"),
        ("VAULT__KEYS", key.as_str()),
        ("REFRESH__MAC_KEYS", &key),
        ("BROWSER__CSRF_KEYS", &key),
        ("FEED__CLIENTS", "a:0123456789abcdef0123456789abcdef"),
    ];
    let variables = secrets.iter().chain(pairs);
    let variables = variables.map(|(name, value)| (format!("USER_SERVICE__{name}"), *value));
    let environment: Environment = variables.collect();
    let (settings, _) = SCHEMA.read::<Settings>(&environment).unwrap();
    CookiePolicy::new(&settings)
}

fn production() -> CookiePolicy {
    policy(&[("PUBLIC_URL", "https://id.example.com")]).unwrap()
}

fn with_a_domain() -> CookiePolicy {
    policy(&[("PUBLIC_URL", "https://id.example.com"), ("BROWSER__COOKIE_DOMAIN", "example.com")])
        .unwrap()
}

fn preview() -> CookiePolicy {
    let url = ("PUBLIC_URL", "https://id-42.preview.example");
    policy(&[("ENVIRONMENT", "preview"), url]).unwrap()
}

fn development(url: &str) -> CookiePolicy {
    policy(&[("ENVIRONMENT", "development"), ("PUBLIC_URL", url)]).unwrap()
}

/// Every cookie of a policy as it is set, values left out.
fn all(policy: &CookiePolicy) -> Vec<String> {
    set(policy, V5).iter().map(|it| it.replace("=x; Max-Age=60; Path=/; HttpOnly", "")).collect()
}

fn set(policy: &CookiePolicy, generation: Generation) -> Vec<String> {
    Kind::ALL.map(|kind| policy.set(generation, kind, "x", LIFE).to_string()).to_vec()
}

#[test]
fn older_cookies_have_a_path_of_their_own_and_go_with_links_of_other_sites() {
    let older = |policy: &CookiePolicy| -> Vec<String> {
        set(policy, V4).iter().map(|it| it.replace("=x; Max-Age=60", "")).collect()
    };
    let mut expected = ["access", "refresh", "presession", "csrf", "browser"].map(|kind| {
        format!("__Secure-latchkey_v4_{kind}; Path=/api; HttpOnly; SameSite=Lax; Secure")
    });
    assert_eq!(older(&production()), expected);
    expected[0].push_str("; Domain=example.com");
    assert_eq!(older(&with_a_domain()), expected);
    let local = older(&development("http://localhost:3000/base/"));
    assert_eq!(local[1], "latchkey_v4_refresh; Path=/base/api; HttpOnly; SameSite=Lax");
    assert_eq!((production().usable(V4), production().usable(V5)), (V4, V5));
    assert_eq!(preview().usable(V4), V5, "pages of other sites would get none");
}

#[test]
fn production_cookies_are_of_this_host_and_site_alone() {
    let expected = ["access", "refresh", "presession", "csrf", "browser"]
        .map(|kind| format!("__Host-latchkey_v5_{kind}; SameSite=Strict; Secure"));
    assert_eq!(all(&production()), expected);
}

#[test]
fn a_configured_domain_is_for_the_access_cookie_alone() {
    let mut expected = all(&production());
    expected[0] =
        "__Secure-latchkey_v5_access; SameSite=None; Secure; Domain=example.com".to_owned();
    assert_eq!(all(&with_a_domain()), expected);
}

#[test]
fn preview_cookies_go_with_requests_of_other_sites_and_stay_on_their_host() {
    let expected: Vec<String> =
        all(&production()).iter().map(|it| it.replace("Strict", "None")).collect();
    assert_eq!(all(&preview()), expected);
    assert!(preview().cross_site() && !production().cross_site() && !with_a_domain().cross_site());
}

#[test]
fn development_cookies_are_relaxed_on_localhost_only() {
    let expected = ["access", "refresh", "presession", "csrf", "browser"]
        .map(|kind| format!("latchkey_v5_{kind}; SameSite=Lax"));
    for local in ["http://localhost:3000", "http://127.0.0.1:8080", "http://[::1]:8080"] {
        assert_eq!(all(&development(local)), expected, "{local}");
    }
    for other in ["https://dev.example.com", "http://127.0.0.1.example.com", "http://10.0.0.1"] {
        assert_eq!(all(&development(other)), all(&production()), "{other}");
    }
}

#[test]
fn cookies_are_cleared_with_the_attributes_they_were_set_with() {
    for policy in [production(), with_a_domain(), preview(), development("http://localhost")] {
        let of = |generation| Kind::ALL.map(|kind| (generation, kind));
        let all: Vec<_> = Generation::ALL.into_iter().flat_map(of).collect();
        let cleared = policy.clear_doubtful(&all, "/api");
        let cleared: Vec<String> = cleared.iter().map(Cookie::to_string).collect();
        for set in Generation::ALL.into_iter().flat_map(|generation| set(&policy, generation)) {
            let clear = set.replace("=x; Max-Age=60;", "=; Max-Age=0;");
            assert_ne!(set, clear);
            assert!(cleared.contains(&clear), "{clear} in {cleared:?}");
        }
    }
}

#[test]
fn planted_variants_are_cleared_wherever_they_may_have_been_planted() {
    let newer = Kind::ALL.map(|kind| (V5, kind));
    let refused = production().clear_planted(&newer, "/api/v5/auth/csrf");
    assert!(refused.is_empty(), "browsers refuse them");
    let planted = with_a_domain().clear_planted(&[(V5, Kind::Access)], "/api/v5");
    let planted: Vec<String> = planted.iter().map(Cookie::to_string).collect();
    let access = |path: &str, rest: &str| {
        let name = "__Secure-latchkey_v5_access=; Max-Age=0";
        format!("{name}; Path={path}; HttpOnly; SameSite=None; Secure{rest}")
    };
    let mut expected = vec![
        "__Host-latchkey_v5_access=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict; Secure".into(),
        access("/", "; Domain=id.example.com"),
        access("/", ""),
    ];
    for path in ["/api", "/api/", "/api/v5"] {
        let domains = ["; Domain=id.example.com", "; Domain=example.com", ""];
        expected.extend(domains.map(|domain| access(path, domain)));
    }
    assert_eq!(planted, expected);
    let older = production().clear_planted(&[(V4, Kind::Csrf)], "/api/v5");
    assert_eq!(older.len(), 4 * 3 - 1, "every place but our own");
    let head: usize = production()
        .clear_doubtful(&[(V4, Kind::Refresh)], "/api/v5/auth/sessions")
        .iter()
        .map(|cookie| "Set-Cookie: \r\n".len() + cookie.to_string().len())
        .sum();
    assert!(head < 4096, "{head}");
}

#[test]
fn a_domain_that_is_not_above_this_host_is_refused() {
    let with = |environment: &str, domain: &str| {
        let url = ("PUBLIC_URL", "https://id.example.com");
        policy(&[("ENVIRONMENT", environment), url, ("BROWSER__COOKIE_DOMAIN", domain)]).map(drop)
    };
    assert_eq!(with("production", "id.example.com"), Ok(()));
    for bad in ["com", ".example.com", "other.com", "d.example.com", "ample.com", "example.com; x"]
    {
        let error = with("production", bad).unwrap_err();
        assert!(error.starts_with("`browser.cookie_domain`"), "{bad}: {error}");
    }
    assert!(with("preview", "example.com").is_err());
    assert!(with("development", "example.com").is_err());
}

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
