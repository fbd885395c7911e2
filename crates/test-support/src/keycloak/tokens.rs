use serde_json::Value;
use url::Url;

use super::browser::Browser;
use super::realm::{TestRealm, TestUser};

/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

const LOGIN: &str = "latchkey-login";
const REDIRECT_URI: &str = "http://localhost/api/auth/manager/callback";

impl TestRealm {
    /// What the token endpoint gives `client` for a form, or the error that it answers.
    pub async fn tokens(&self, client: &str, form: &[(&str, &str)]) -> Result<Value, Value> {
        let secret = Self::secret(client);
        let mut pairs = vec![("client_id", client), ("client_secret", secret.as_str())];
        pairs.extend(form);
        let answer = self.admin.post_form(self.name(), &pairs).await;
        if answer.status.is_success() { Ok(answer.json) } else { Err(answer.json) }
    }

    /// What it gives for a refresh or offline token of `client`, if it still honours it.
    pub async fn refresh(&self, client: &str, token: &str) -> Result<Value, Value> {
        self.tokens(client, &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    /// The tokens of somebody who signs in through `latchkey-login`, past auth-manager.
    pub async fn sign_in(&self, browser: &Browser, user: &TestUser) -> Value {
        let parameters = [
            ("client_id", LOGIN),
            ("response_type", "code"),
            ("scope", "openid"),
            ("redirect_uri", REDIRECT_URI),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        let url = format!("{}/protocol/openid-connect/auth", self.issuer());
        let url = Url::parse_with_params(&url, parameters).unwrap();
        let back = Url::parse(&browser.sign_in(url.as_str(), user).await).unwrap();
        let (_, code) = back.query_pairs().find(|(name, _)| name == "code").expect("a code");
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &*code),
            ("redirect_uri", REDIRECT_URI),
            ("code_verifier", VERIFIER),
        ];
        self.tokens(LOGIN, &form).await.expect("tokens")
    }
}
