//! Cookies as each environment sets and clears them.

use common::settings::Environment;

use super::Generation::{V4, V5};
use super::*;
use crate::config::SCHEMA;

const LIFE: Duration = Duration::from_mins(1);

pub(in crate::browser) fn policy(pairs: &[(&str, &str)]) -> Result<CookiePolicy, String> {
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

pub(in crate::browser) fn production() -> CookiePolicy {
    policy(&[("PUBLIC_URL", "https://id.example.com")]).unwrap()
}

fn with_a_domain() -> CookiePolicy {
    policy(&[("PUBLIC_URL", "https://id.example.com"), ("BROWSER__COOKIE_DOMAIN", "example.com")])
        .unwrap()
}

pub(in crate::browser) fn preview() -> CookiePolicy {
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
    let refused = production().with_planted(Vec::new(), &newer, "/api/v5/auth/csrf");
    assert!(refused.is_empty(), "browsers refuse them");
    let planted = with_a_domain().with_planted(Vec::new(), &[(V5, Kind::Access)], "/api/v5");
    let mut planted: Vec<String> = planted.iter().map(Cookie::to_string).collect();
    let access = |path: &str, rest: &str| {
        let name = "__Secure-latchkey_v5_access=; Max-Age=0";
        format!("{name}; Path={path}; SameSite=None; Secure{rest}")
    };
    let mut expected = vec![
        "__Host-latchkey_v5_access=; Max-Age=0; Path=/; SameSite=None; Secure".into(),
        access("/", "; Domain=id.example.com"),
        access("/", ""),
    ];
    for path in ["/api", "/api/", "/api/v5"] {
        let domains = ["; Domain=id.example.com", "; Domain=example.com", ""];
        expected.extend(domains.map(|domain| access(path, domain)));
    }
    planted.sort_unstable();
    expected.sort_unstable();
    assert_eq!(planted, expected);
    let older = production().with_planted(Vec::new(), &[(V4, Kind::Csrf)], "/api/v5");
    assert_eq!(older.len(), 4 * 3 - 1, "every place but our own");
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
