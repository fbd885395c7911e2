use std::sync::{Arc, Mutex};

use reqwest::cookie::{CookieStore as _, Jar};
use reqwest::{Client, ClientBuilder, Method, RequestBuilder, Url};
use serde_json::Value;

use crate::Answer;

/// A browser on a page of user-service's own origin: it keeps cookies, names its origin, and its
/// page sends the CSRF token that it was given last.
pub struct TestBrowser {
    client: Client,
    jar: Arc<Jar>,
    base: Url,
    origin: String,
    csrf: Mutex<String>,
}

impl TestBrowser {
    /// Of the service at `base`, which calls itself `origin`.
    #[must_use]
    pub fn new(base: &str, origin: &str, user_agent: &str) -> Self {
        Self::with_client(base, origin, Client::builder().user_agent(user_agent))
    }

    /// One that does not say what it is.
    #[must_use]
    pub fn without_agent(base: &str, origin: &str) -> Self {
        Self::with_client(base, origin, Client::builder())
    }

    /// One that trusts and says what `client` does.
    #[must_use]
    pub fn with_client(base: &str, origin: &str, client: ClientBuilder) -> Self {
        let jar = Arc::new(Jar::default());
        let client = client.cookie_provider(Arc::clone(&jar));
        Self {
            client: client.build().expect("a client"),
            jar,
            base: base.parse().expect("a URL"),
            origin: origin.to_owned(),
            csrf: Mutex::default(),
        }
    }

    /// A request as its page makes it.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = self.base.join(path).expect("a path");
        let safe = method == Method::GET || method == Method::HEAD;
        let request = self.client.request(method, url);
        if safe {
            return request;
        }
        let csrf = self.csrf.lock().expect("no panic").clone();
        request.header("origin", &self.origin).header("x-csrf-token", csrf)
    }

    /// Sends a request, and keeps the CSRF token that an answer brings.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let answer = Answer::read(request.send().await.expect("an answer")).await;
        if let Some(token) = answer.json["csrf_token"].as_str() {
            token.clone_into(&mut self.csrf.lock().expect("no panic"));
        }
        answer
    }

    /// Asks for a CSRF token, as a page does when it loads.
    pub async fn get_csrf(&self) -> Answer {
        self.get("/api/v5/auth/csrf").await
    }

    /// A GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// A POST.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// A DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// The value of the cookie whose name ends with `kind`, as the browser would send it.
    #[must_use]
    pub fn cookie(&self, kind: &str) -> Option<String> {
        let suffix = format!("_{kind}");
        self.cookies().into_iter().find(|(name, _)| name.ends_with(&suffix)).map(|(_, value)| value)
    }

    /// Names and values of all cookies, as the browser would send them to the cookie API.
    #[must_use]
    pub fn cookies(&self) -> Vec<(String, String)> {
        let url = self.base.join("/api/v5/auth/").expect("a path");
        let Some(header) = self.jar.cookies(&url) else { return Vec::new() };
        let header = header.to_str().expect("text");
        let pairs = header.split("; ").filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// What its unsafe requests say beside the rest, as lines of a request's head.
    #[must_use]
    pub fn head_lines(&self) -> String {
        let cookies = self.cookies();
        let cookies: Vec<_> =
            cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let (origin, csrf) = (&self.origin, self.csrf.lock().expect("no panic").clone());
        format!("Cookie: {cookies}\r\nOrigin: {origin}\r\nX-CSRF-Token: {csrf}\r\n")
    }

    /// Puts a cookie in as a `Set-Cookie` header would.
    pub fn plant(&self, cookie: &str) {
        self.jar.add_cookie_str(cookie, &self.base);
    }
}
