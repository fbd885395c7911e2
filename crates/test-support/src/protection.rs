use reqwest::{Client, Method};

use crate::{Answer, TestServer};

const ALWAYS: [(&str, &str); 5] = [
    ("x-frame-options", "DENY"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("permissions-policy", "geolocation=(), microphone=(), camera=()"),
    ("cross-origin-opener-policy", "same-origin"),
];

/// Checks that an answer of the API, whatever its status, says what browsers must not do with it,
/// and nothing of the server.
///
/// # Panics
/// If it does not.
#[track_caller]
pub fn assert_protected(answer: &Answer) {
    assert_marked(answer);
    assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
    let policy = answer.header("content-security-policy");
    assert_eq!(policy, "default-src 'none'; frame-ancestors 'none'");
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[track_caller]
fn assert_marked(answer: &Answer) {
    for (name, value) in ALWAYS {
        let found: Vec<_> = answer.headers.get_all(name).iter().collect();
        assert_eq!(found, [value], "{name} of {answer:?}");
    }
    // The test's listeners speak plain HTTP.
    for name in ["strict-transport-security", "server", "x-powered-by"] {
        assert_eq!(answer.header(name), "", "{name} of {answer:?}");
    }
}

/// Checks the same of what every service answers on both its ports, and that `public` paths and
/// the documentation's alone may be kept and, the former, read by all.
///
/// # Panics
/// If any of that is different.
pub async fn check_protection(server: &TestServer, public: &[&str]) {
    let client = Client::builder().build().unwrap();
    let ask = async |method: &str, url: String, status: u16| {
        let request = client.request(method.parse::<Method>().unwrap(), url);
        let request = request.header("origin", "https://stranger.example");
        let request = request.header("access-control-request-method", "POST");
        Answer::read(request.send().await.unwrap()).await.expect(status)
    };
    for (method, path, status) in [
        ("GET", "/health", 200),
        ("HEAD", "/nowhere", 404),
        ("DELETE", "/health", 405),
        ("BREW", "/health", 405),
        ("GET", "/nowhere", 404),
        ("OPTIONS", "/health", 204),
        ("OPTIONS", "/nowhere", 204),
    ] {
        let answer = ask(method, server.url(path), status).await;
        assert_protected(&answer);
        let granted = answer.headers.keys().any(|name| name.as_str().starts_with("access-control"));
        assert!(!granted && answer.header("vary") == "Origin", "{method} {path}: {answer:?}");
    }
    for (path, status) in [("/metrics", 200), ("/live", 200), ("/nowhere", 404)] {
        assert_protected(&ask("GET", server.admin_url(path), status).await);
    }
    for path in public {
        let answer = ask("GET", server.url(path), 200).await;
        assert_marked(&answer);
        assert_eq!(answer.header("cross-origin-resource-policy"), "cross-origin");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("access-control-allow-credentials"), "");
        assert!(answer.header("cache-control").starts_with("public, max-age="), "{path}");
    }
    for path in ["/docs/", "/redoc", "/redoc/redoc.js"] {
        let answer = ask("GET", server.url(path), 200).await;
        assert_marked(&answer);
        assert!(answer.header("cache-control").starts_with("public, max-age="), "{path}");
    }
}
