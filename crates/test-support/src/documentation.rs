use std::process::Stdio;

use reqwest::{Client, Method, Url};
use tempfile::tempdir;
use tokio::process::Command;

use crate::{Answer, TestServer};

const PAGES: [&str; 6] =
    ["/docs", "/docs/", "/docs/swagger-ui.css", "/redoc", "/redoc/redoc.js", "/openapi.json"];

/// Checks a service's documentation: no page asks another host for anything, HEAD is answered as
/// GET without the body, and every file that a page names is there.
///
/// # Panics
/// If any of that is different.
pub async fn check_documentation(server: &TestServer) {
    let client = Client::builder().build().unwrap();
    let ask = async |method: Method, path: &str| {
        Answer::read(client.request(method, server.url(path)).send().await.unwrap()).await
    };
    for path in PAGES {
        let get = ask(Method::GET, path).await.expect(200);
        let head = ask(Method::HEAD, path).await.expect(200);
        assert!(!get.text.is_empty() && head.text.is_empty(), "{path}");
        for name in ["content-type", "content-encoding", "content-length", "cache-control"] {
            assert_eq!(head.header(name), get.header(name), "{name} of {path}");
        }
    }
    for page in ["/docs/", "/redoc"] {
        let page = Url::parse(&server.url(page)).unwrap();
        let html = client.get(page.clone()).send().await.unwrap().text().await.unwrap();
        let named = html.split([' ', '>']).filter_map(|member| {
            member.strip_prefix("src=").or(member.strip_prefix("href="))?.split('"').nth(1)
        });
        let named: Vec<Url> = named.map(|url| page.join(url).unwrap()).collect();
        assert!(named.len() >= 2, "{html}");
        for url in named {
            assert_eq!(url.origin(), page.origin(), "{url}");
            assert_eq!(client.get(url.clone()).send().await.unwrap().status(), 200, "{url}");
        }
    }
    // Redoc's script would fetch a logo from its authors.
    let redoc = ask(Method::GET, "/redoc").await;
    let policy = redoc.header("content-security-policy");
    assert!(policy.contains("default-src 'self'") && !policy.contains("http"), "{policy}");
    let _ = ask(Method::HEAD, "/docs/nothing").await.expect(404);
    let _ = ask(Method::POST, "/redoc").await.expect(404);
    // Each draws the document itself, under the policy that it is served with.
    for (page, drawn) in [("/docs/", "class=\"opblock-tag"), ("/redoc", "data-section-id=")] {
        let (html, said) = open_in_browser(&server.url(page)).await;
        assert!(html.contains(drawn) && html.contains("/health/ready"), "{page}: {html}");
        assert!(!said.contains("Content Security Policy"), "{page}: {said}");
    }
}

/// The page as it stands once its scripts have run, and what the browser said of it.
async fn open_in_browser(url: &str) -> (String, String) {
    let profile = tempdir().unwrap();
    let mut browser = Command::new("chromium");
    browser
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"])
        .args(["--virtual-time-budget=20000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(url)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = browser.output().await;
    let output = output.expect("Chromium is not installed; `cargo xtask test` installs it");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}
