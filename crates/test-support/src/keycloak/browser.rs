use std::sync::Mutex;

use reqwest::redirect::Policy;
use reqwest::{Client, Method};
use url::Url;

use super::cookies::Cookies;
use super::page::Form;
use super::realm::TestUser;
use super::{FORM, form};
use crate::Answer;

/// More pages than a sign-in with consent has.
const MAX_STEPS: usize = 10;

/// A browser, as far as sign-in needs one: it keeps cookies, so that a second authorization
/// request finds the session of the first, and never follows a redirect by itself.
pub struct Browser {
    http: Client,
    cookies: Mutex<Cookies>,
}

impl Browser {
    /// One that has been nowhere yet.
    #[expect(clippy::new_without_default, reason = "it opens a client")]
    pub fn new() -> Self {
        let http = Client::builder().redirect(Policy::none()).build().unwrap();
        Self { http, cookies: Mutex::default() }
    }

    /// Opens a page.
    pub async fn get(&self, url: &str) -> Answer {
        self.send(Method::GET, url, None).await
    }

    /// Opens the authorization URL, signs in where asked, consents where asked, and answers the
    /// URL that the provider then sends the browser to, unopened.
    pub async fn sign_in(&self, authorization_url: &str, user: &TestUser) -> String {
        self.walk(authorization_url, user, "accept").await
    }

    /// The same, but consent is refused.
    pub async fn refuse_consent(&self, authorization_url: &str, user: &TestUser) -> String {
        self.walk(authorization_url, user, "cancel").await
    }

    async fn walk(&self, authorization_url: &str, user: &TestUser, choice: &str) -> String {
        let provider = Url::parse(authorization_url).unwrap();
        let mut answer = self.get(authorization_url).await;
        for _ in 0..MAX_STEPS {
            answer = if answer.status.is_redirection() {
                let next = provider.join(answer.header("location")).unwrap();
                if next.origin() != provider.origin() {
                    return next.into();
                }
                self.get(next.as_str()).await
            } else {
                self.fill_in(&provider, &answer, user, choice).await
            };
        }
        panic!("{authorization_url} leads nowhere: {}", answer.text)
    }

    async fn fill_in(&self, at: &Url, page: &Answer, user: &TestUser, choice: &str) -> Answer {
        let (action, pairs) = match Form::find(&page.text) {
            Some(Form::Login(action)) => {
                let (name, password) = (user.username.clone(), user.password.clone());
                let credential = ("credentialId", String::new());
                (action, vec![("username", name), ("password", password), credential])
            }
            Some(Form::Consent { action, code }) => {
                (action, vec![("code", code), (choice, choice.to_owned())])
            }
            None => panic!("a page without a form: {} {}", page.status, page.text),
        };
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.send(Method::POST, at.join(&action).unwrap().as_str(), Some(form(&pairs))).await
    }

    async fn send(&self, method: Method, url: &str, body: Option<String>) -> Answer {
        let url = Url::parse(url).unwrap();
        let mut request = self.http.request(method, url.clone());
        let cookies = self.cookies.lock().unwrap().header(&url);
        if !cookies.is_empty() {
            request = request.header("cookie", cookies);
        }
        if let Some(body) = body {
            request = request.header(FORM.0, FORM.1).body(body);
        }
        let answer = Answer::read(request.send().await.expect("an answer")).await;
        for cookie in answer.headers.get_all("set-cookie") {
            self.cookies.lock().unwrap().set(&url, cookie.to_str().unwrap());
        }
        answer
    }
}
