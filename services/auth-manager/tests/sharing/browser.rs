//! A browser, as far as Keycloak's pages need one.

use std::collections::BTreeMap;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Method, Response, redirect};
use url::Url;
use url::form_urlencoded::Serializer;

use crate::realm::{PASSWORD, PUBLIC_URL};

/// What it knows of who sits before it, and the cookies of one realm.
pub(crate) struct Browser {
    client: Client,
    user: String,
    cookies: BTreeMap<String, String>,
}

/// The parameters that it was sent back with.
pub(crate) type Parameters = BTreeMap<String, String>;

impl Browser {
    pub(crate) fn of(user: &str) -> Self {
        let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
        Self { client, user: user.to_owned(), cookies: BTreeMap::new() }
    }

    /// Who sits before it.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// Follows `url` through sign-in and consent, until it would be sent back to us.
    pub(crate) async fn follow(&mut self, url: &str) -> Parameters {
        self.answer(url, "accept").await
    }

    /// The same, but refuses consent.
    pub(crate) async fn refuse(&mut self, url: &str) -> Parameters {
        self.answer(url, "cancel").await
    }

    async fn answer(&mut self, url: &str, consent: &str) -> Parameters {
        let mut response = self.send(Method::GET, url, &[]).await;
        for _ in 0..10 {
            let here = response.url().clone();
            if let Some(location) = response.headers().get(LOCATION) {
                let location = location.to_str().unwrap().to_owned();
                if location.starts_with(PUBLIC_URL) {
                    let url = Url::parse(&location).unwrap();
                    return url.query_pairs().into_owned().collect();
                }
                let location = here.join(&location).unwrap().to_string();
                response = self.send(Method::GET, &location, &[]).await;
                continue;
            }
            let page = response.text().await.unwrap();
            let action = attribute(&page, "<form", "action").expect(&page);
            let action = here.join(&action).unwrap().to_string();
            let (code, user) = (attribute(&page, "name=\"code\"", "value"), self.user.clone());
            response = if let Some(code) = &code {
                self.send(Method::POST, &action, &[("code", code), (consent, "x")]).await
            } else {
                let form = [("username", &*user), ("password", PASSWORD), ("credentialId", "")];
                self.send(Method::POST, &action, &form).await
            };
        }
        panic!("it never ends");
    }

    async fn send(&mut self, method: Method, url: &str, form: &[(&str, &str)]) -> Response {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = self.client.request(method, url).header(COOKIE, cookies.join("; "));
        if !form.is_empty() {
            let body = Serializer::new(String::new()).extend_pairs(form).finish();
            let kind = "application/x-www-form-urlencoded";
            request = request.header("content-type", kind).body(body);
        }
        let response = request.send().await.unwrap();
        for cookie in response.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        response
    }
}

/// An attribute of the first element that `element` stands in.
fn attribute(page: &str, element: &str, name: &str) -> Option<String> {
    let at = page.find(element)?;
    let start = page[..=at].rfind('<')?;
    let tag = &page[start..start + page[start..].find('>')?];
    let value = tag.split_once(&format!("{name}=\""))?.1;
    Some(value.split('"').next()?.replace("&amp;", "&"))
}
