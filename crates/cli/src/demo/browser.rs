//! As much of a browser as signing in at Keycloak takes.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Method};
use serde_json::Value;
use url::Url;
use url::form_urlencoded::Serializer;

use super::story::PATIENCE;

/// More pages than there are.
const MAX_STEPS: usize = 15;
const FORM: &str = "application/x-www-form-urlencoded";

/// Follows redirects and fills in Keycloak's forms.
pub(super) struct Browser {
    client: Client,
    /// By path and name. Keycloak's are `Secure`, which a real browser sends to localhost too.
    cookies: BTreeMap<(String, String), String>,
}

struct Page {
    location: Option<Url>,
    good: bool,
    text: String,
}

impl Browser {
    pub(super) fn new() -> Result<Self> {
        let client = Client::builder().timeout(PATIENCE).redirect(Policy::none()).build()?;
        Ok(Self { client, cookies: BTreeMap::new() })
    }

    /// Goes where `url` leads, signs in and consents where asked, to the first page of JSON.
    pub(super) async fn follow(&mut self, url: &str, user: &str, password: &str) -> Result<Value> {
        let mut at = Url::parse(url)?;
        let mut page = self.open(Method::GET, &at, None).await?;
        for _ in 0..MAX_STEPS {
            if let Some(location) = page.location {
                at = location;
                page = self.open(Method::GET, &at, None).await?;
            } else if let Ok(json) = serde_json::from_str(&page.text) {
                if page.good {
                    return Ok(json);
                }
                bail!("{} answered {json}", at.path());
            } else {
                let (action, body) = fill_in(&page.text, user, password)
                    .with_context(|| format!("{} shows no form that is known", at.path()))?;
                let action = at.join(&action)?;
                page = self.open(Method::POST, &action, Some(body)).await?;
            }
        }
        bail!("{} does not let {user} in", at.path())
    }

    async fn open(&mut self, method: Method, url: &Url, body: Option<String>) -> Result<Page> {
        let sent = self.cookies.iter().filter(|((path, _), _)| url.path().starts_with(path));
        let sent: Vec<_> = sent.map(|((_, name), value)| format!("{name}={value}")).collect();
        let mut request = self.client.request(method, url.clone());
        if !sent.is_empty() {
            request = request.header(COOKIE, sent.join("; "));
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, FORM).body(body);
        }
        let answer = request.send().await?;
        for cookie in answer.headers().get_all(SET_COOKIE) {
            self.keep(cookie.to_str()?);
        }
        let location = answer.headers().get(LOCATION);
        let location = location.map(|to| anyhow::Ok(url.join(to.to_str()?)?)).transpose()?;
        Ok(Page { location, good: answer.status().is_success(), text: answer.text().await? })
    }

    fn keep(&mut self, cookie: &str) {
        let mut parts = cookie.split(';').map(str::trim).filter_map(|part| part.split_once('='));
        let Some((name, value)) = parts.next() else { return };
        let path = parts.find(|(name, _)| name.eq_ignore_ascii_case("path"));
        let path = path.map_or("/", |(_, path)| path);
        self.cookies.insert((path.to_owned(), name.to_owned()), value.to_owned());
    }
}

/// Where a form of Keycloak's goes, and with what: the sign-in's, or the consent's.
fn fill_in(page: &str, user: &str, password: &str) -> Option<(String, String)> {
    let (tag, content) = page.split_once("<form")?.1.split_once('>')?;
    let mut body = Serializer::new(String::new());
    if tag.contains("kc-form-login") {
        body.extend_pairs([("username", user), ("password", password), ("credentialId", "")]);
    } else {
        let code = content.split("<input").find(|input| input.contains("name=\"code\""))?;
        body.extend_pairs([("code", attribute(code, "value")?.as_str()), ("accept", "Yes")]);
    }
    Some((attribute(tag, "action")?, body.finish()))
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!("{name}=\""))?;
    Some(rest.split_once('"')?.0.replace("&amp;", "&"))
}
