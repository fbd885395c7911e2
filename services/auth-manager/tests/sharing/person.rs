use std::collections::BTreeMap;

use auth_manager::providers::TokenFacts;
use test_support::{Browser, TestRealm, TestUser};
use url::Url;

/// The parameters that a browser is sent back with.
pub(crate) type Parameters = BTreeMap<String, String>;

/// Somebody who is signed in at Keycloak.
pub(crate) struct Person {
    pub(crate) browser: Browser,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    pub(crate) subject: String,
    pub(crate) session: String,
    user: TestUser,
}

impl Person {
    /// Somebody new.
    pub(crate) async fn sign_in(realm: &TestRealm) -> Self {
        let (browser, user) = (Browser::new(), realm.create_user().await);
        let tokens = realm.sign_in(&browser, &user).await;
        let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
        let facts = TokenFacts::decode(&text("refresh_token")).unwrap();
        Self {
            browser,
            access_token: text("access_token"),
            refresh_token: text("refresh_token"),
            subject: facts.subject.unwrap(),
            session: facts.session_state_id.unwrap(),
            user,
        }
    }

    /// Follows `url` through sign-in and consent, until they would be sent back to us.
    pub(crate) async fn follow(&self, url: &str) -> Parameters {
        parameters(&self.browser.sign_in(url, &self.user).await)
    }

    /// The same, but refuses consent.
    pub(crate) async fn refuse(&self, url: &str) -> Parameters {
        parameters(&self.browser.refuse_consent(url, &self.user).await)
    }
}

fn parameters(back: &str) -> Parameters {
    Url::parse(back).unwrap().query_pairs().into_owned().collect()
}
