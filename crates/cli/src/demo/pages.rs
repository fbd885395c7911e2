//! A person in a browser: tokens in cookies, and what pages of others can't do with them.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use reqwest::header::{COOKIE, ORIGIN, SET_COOKIE, USER_AGENT};
use reqwest::{Client, Method, StatusCode, Url};
use serde_json::{Value, json};

use super::story::{PATIENCE, Story, text};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const ELSEWHERE: &str = "https://evil.example";

/// A page of user-service's own origin, and the browser's cookies.
struct Page {
    client: Client,
    base: String,
    origin: String,
    cookies: BTreeMap<String, String>,
    csrf: String,
}

impl Page {
    async fn load(base: &str) -> Result<Self> {
        let client = Client::builder().timeout(PATIENCE).build()?;
        let metadata = format!("{base}/.well-known/oauth-authorization-server");
        let metadata: Value = client.get(metadata).send().await?.json().await?;
        let origin = Url::parse(&text(&metadata, "issuer")?)?.origin().ascii_serialization();
        let (cookies, csrf) = (BTreeMap::new(), String::new());
        Ok(Self { client, base: base.to_owned(), origin, cookies, csrf })
    }

    /// Keeps what the answer sets, as a browser does, and the page its CSRF token.
    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        origin: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, String)> {
        let pairs: Vec<_> = self.cookies.iter().map(|(name, it)| format!("{name}={it}")).collect();
        let request = self.client.request(method, format!("{}/api/v5/auth/{path}", self.base));
        let request = request.header(USER_AGENT, FIREFOX).header(COOKIE, pairs.join("; "));
        let mut request = request.header(ORIGIN, origin).header("x-csrf-token", &self.csrf);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str()?;
            let (name, rest) = cookie.split_once('=').context("a cookie without a value")?;
            let value = rest.split(';').next().unwrap_or_default();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let (status, text) = (answer.status(), answer.text().await?);
        let json: Value = serde_json::from_str(&text).unwrap_or_default();
        if let Some(token) = json["csrf_token"].as_str() {
            token.clone_into(&mut self.csrf);
        }
        Ok((status, text))
    }

    /// A step that must end with `expected`.
    async fn step(
        &mut self,
        story: &mut Story,
        (what, expected): (&str, u16),
        (method, path): (Method, &str),
        body: Option<&Value>,
    ) -> Result<String> {
        let (started, origin) = (Instant::now(), self.origin.clone());
        let (status, text) = self.ask(method, path, &origin, body).await?;
        ensure!(status.as_u16() == expected, "{what}: {path} answered {status}: {text}");
        story.tell(what, started);
        Ok(text)
    }

    fn access_token(&self) -> Result<String> {
        let access = self.cookies.iter().find(|(name, _)| name.ends_with("_access"));
        Ok(access.context("no access cookie")?.1.clone())
    }
}

pub(super) async fn play(story: &mut Story) -> Result<()> {
    let mut page = Page::load(&story.user_service).await?;
    let name = format!("browser-{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
    let account = json!({ "username": name, "password": "correct horse battery" });
    let (get, post) = (Method::GET, Method::POST);
    page.step(story, ("a page gets a CSRF token", 200), (get.clone(), "csrf"), None).await?;
    let register = (post.clone(), "register");
    page.step(story, ("somebody registers in a browser", 201), register, Some(&account)).await?;
    let log_in = (post.clone(), "login");
    let what = ("logs in, with tokens in cookies alone", 200);
    let answer = page.step(story, what, log_in, Some(&account)).await?;
    let token = page.access_token()?;
    ensure!(!answer.contains(&token), "the answer's body has the token as well");
    page.step(
        story,
        ("a gateway asks whether the cookie is good", 204),
        (get, "verify-token"),
        None,
    )
    .await?;
    let refresh = (post.clone(), "refresh");
    page.step(story, ("refreshes, in cookies", 200), refresh, None).await?;
    let started = Instant::now();
    let (status, _) = page.ask(post.clone(), "logout", ELSEWHERE, None).await?;
    ensure!(status == StatusCode::FORBIDDEN, "another site's page got {status}");
    story.tell("a page of another site may not log out", started);
    log_out(story, &mut page).await
}

/// Until chat-service refuses what was in the cookie.
async fn log_out(story: &mut Story, page: &mut Page) -> Result<()> {
    let (token, rooms) = (page.access_token()?, format!("{}/api/rooms", story.chat_service));
    let (status, _) = story.send(Method::GET, &rooms, Some(&token), None).await?;
    ensure!(status.is_success(), "chat-service answered {status}");
    page.step(story, ("logs out of the browser", 200), (Method::POST, "logout"), None).await?;
    let started = Instant::now();
    while story.send(Method::GET, &rooms, Some(&token), None).await?.0.is_success() {
        ensure!(started.elapsed() < PATIENCE, "chat-service still takes the token");
    }
    story.tell("chat-service refuses the browser's token", started);
    ensure!(page.access_token().is_err(), "the cookies are still there");
    Ok(())
}
