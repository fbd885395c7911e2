use reqwest::{Client, Method, Response, StatusCode};
use serde_json::Value;

use crate::TestServer;

/// Checks that a service answers HEAD wherever it answers GET, with the same status and headers and
/// without a body, on both its ports; a handshake alone is refused.
///
/// # Panics
/// If any of that is different.
pub async fn check_head(server: &TestServer) {
    let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let ask = async |method: Method, url: String| client.request(method, url).send().await.unwrap();
    let document: Value = ask(Method::GET, server.url("/openapi.json")).await.json().await.unwrap();
    let mut urls: Vec<String> =
        ["/metrics", "/live"].map(|path| server.admin_url(path)).into_iter().collect();
    for (path, item) in document["paths"].as_object().unwrap() {
        let url = server.url(&path.replace(['{', '}'], ""));
        if item["get"]["responses"]["101"].is_object() {
            let refused = ask(Method::HEAD, url).await;
            assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
            assert_eq!(refused.headers()["allow"], "GET");
        } else if path != "/health/ready" {
            urls.push(url);
        }
    }
    for url in urls {
        let (get, head) = (ask(Method::GET, url.clone()).await, ask(Method::HEAD, url).await);
        assert_eq!(headers(&head), headers(&get));
        assert_eq!(head.status(), get.status(), "{}", get.url());
        assert!(head.text().await.unwrap().is_empty());
    }
    // A dependency may come between the two.
    for url in [server.url("/health/ready"), server.admin_url("/ready")] {
        assert!([200, 503].contains(&ask(Method::HEAD, url).await.status().as_u16()));
    }
    let refused = ask(Method::PUT, server.url("/health")).await;
    assert_eq!(refused.headers()["allow"], "GET, HEAD");
}

/// Those that are not each request's own.
fn headers(answer: &Response) -> Vec<(String, String)> {
    let own = ["date", "x-request-id", "set-cookie", "location", "content-length"];
    let headers = answer.headers().iter().filter(|(name, _)| !own.contains(&name.as_str()));
    let mut headers: Vec<_> = headers
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
        .collect();
    headers.sort();
    headers
}
