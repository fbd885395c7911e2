//! The token endpoint and its neighbours.

use reqwest::header::ACCEPT;
use serde_json::Value;

use super::answer::text;
use super::client_form::post;
use super::settings::ProviderKind;
use super::verdict::unusable;
use super::{Call, Fault, IdClaims, Introspection, Provider, TokenAnswer};

impl Provider {
    /// Trades a code for tokens (RFC 6749, section 4.1.3, RFC 7636, section 4.5). Never repeated:
    /// a code is good once.
    pub async fn exchange_code(
        &self,
        client_id: &str,
        code: &str,
        verifier: &str,
        redirect_uri: &str,
    ) -> Result<TokenAnswer, Fault> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", verifier),
            ("redirect_uri", redirect_uri),
        ];
        self.ask_for_tokens(Call::CodeExchange, client_id, &form, "").await
    }

    /// Presents a refresh or offline token once (RFC 6749, section 6). `Away` with `sent` means
    /// that nobody knows whether it rotated, answers that can't be read included.
    pub async fn refresh(
        &self,
        client_id: &str,
        token: &str,
        scope: Option<&str>,
    ) -> Result<TokenAnswer, Fault> {
        let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
        form.extend(scope.map(|scope| ("scope", scope)));
        self.ask_for_tokens(Call::Refresh, client_id, &form, scope.unwrap_or_default()).await
    }

    async fn ask_for_tokens(
        &self,
        call: Call,
        client_id: &str,
        form: &[(&str, &str)],
        scope: &str,
    ) -> Result<TokenAnswer, Fault> {
        let deadline = self.http.deadline();
        let client = self.client(client_id)?;
        // Of a token that was never sent nobody may believe that it was.
        let endpoints = self.endpoints(deadline).await.map_err(Fault::before_sending)?;
        let (url, in_form) = (endpoints.token()?, endpoints.client_in_form);
        let answer =
            self.http.call(call, deadline, |http| post(http, url, client, in_form, form)).await;
        let members = self.learn(answer).await?;
        TokenAnswer::parse(&members, scope, self.clock.now()).ok_or_else(|| {
            unusable(call, "no usable access token in its answer", self.http.pause())
        })
    }

    /// Asks about an access token (RFC 7662) as the login client; none: not active. Keycloak calls
    /// a token inactive that does not have the asking client in its audience.
    pub async fn introspect(&self, token: &str) -> Result<Option<Introspection>, Fault> {
        let deadline = self.http.deadline();
        let endpoints = self.endpoints(deadline).await?;
        let (url, in_form) = (endpoints.introspection()?, endpoints.client_in_form);
        let form = [("token", token), ("token_type_hint", "access_token")];
        let request = |http: &_| post(http, url, self.login_client(), in_form, &form);
        let answer = self.http.call(Call::Introspection, deadline, request).await;
        let members = self.learn(answer).await?;
        let broken = |why| unusable(Call::Introspection, why, self.http.pause());
        match members.get("active").and_then(Value::as_bool) {
            None => Err(broken("`active` is missing")),
            Some(false) => Ok(None),
            Some(true) if text(&members, "iss").is_some_and(|issuer| issuer != self.issuer()) => {
                Ok(None)
            }
            Some(true) => Introspection::parse(&members)
                .map(Some)
                .ok_or_else(|| broken("an active token without sub, client or exp")),
        }
    }

    /// Revokes a token of one of our clients (RFC 7009). One that is unknown or revoked already is
    /// success, and so is a provider that has no such endpoint. At Keycloak this ends every token
    /// of the same session and client.
    pub async fn revoke(&self, client_id: &str, token: &str) -> Result<(), Fault> {
        let deadline = self.http.deadline();
        let client = self.client(client_id)?;
        let endpoints = self.endpoints(deadline).await?;
        let Some(url) = endpoints.revocation() else {
            tracing::warn!(provider = self.name(), "provider_cannot_revoke");
            return Ok(());
        };
        let form = [("token", token), ("token_type_hint", "refresh_token")];
        let in_form = endpoints.client_in_form;
        let request = |http: &_| post(http, url, client, in_form, &form);
        let answer = self.http.call(Call::Revocation, deadline, request).await;
        self.learn(answer).await.map(drop)
    }

    /// Who an access token belongs to (OpenID Connect Core 1.0, section 5.3); of a plain OAuth 2.0
    /// provider the configured member.
    pub async fn userinfo(&self, access_token: &str) -> Result<IdClaims, Fault> {
        let deadline = self.http.deadline();
        let endpoints = self.endpoints(deadline).await?;
        let url = endpoints.userinfo()?;
        let request = |http: &reqwest::Client| {
            http.get(url.clone()).bearer_auth(access_token).header(ACCEPT, "application/json")
        };
        let answer = self.http.call(Call::Userinfo, deadline, request).await;
        let members = self.learn(answer).await?;
        let name = match self.kind() {
            ProviderKind::Oauth2 => self.settings.subject_member.as_deref().unwrap_or("sub"),
            ProviderKind::Keycloak | ProviderKind::Openid => "sub",
        };
        // Some number their users.
        let number = || members.get(name)?.as_u64().map(|number| number.to_string());
        let subject = text(&members, name).or_else(number);
        let subject = subject.ok_or_else(|| {
            Fault::Misconfigured(format!("userinfo: no subject in its member `{name}`"))
        })?;
        Ok(IdClaims { subject, session_state_id: text(&members, "sid") })
    }
}
