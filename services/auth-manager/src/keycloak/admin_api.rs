use std::time::Duration;

use common::settings::Secret;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use crate::providers::{
    Call, ClientCredentials, Deadline, Endpoints, Fault, Http, ProviderKind, ProviderSettings,
    TokenAnswer, post,
};

/// A service token is renewed so long before its end.
const MARGIN: Duration = Duration::from_secs(10);

/// A realm's admin API, as a service account that may end sessions.
pub(crate) struct AdminApi {
    realm: Url,
    client: ClientCredentials,
    token: Mutex<Option<ServiceToken>>,
}

#[derive(Clone)]
struct ServiceToken {
    token: Secret,
    until: Instant,
}

impl AdminApi {
    /// None where the provider is no Keycloak or has no client for it.
    pub(crate) fn new(settings: &ProviderSettings) -> Result<Option<Self>, String> {
        let (ProviderKind::Keycloak, Some(client)) = (settings.kind, &settings.admin_client) else {
            return Ok(None);
        };
        let of_issuer = || settings.issuer.replacen("/realms/", "/admin/realms/", 1);
        let realm = settings.endpoints.admin.clone().unwrap_or_else(of_issuer);
        let realm = Url::parse(&realm).map_err(|error| format!("{realm} is no URL: {error}"))?;
        Ok(Some(Self { realm, client: client.clone(), token: Mutex::default() }))
    }

    /// Deletes a session; one that is not there is success.
    pub(crate) async fn end_session(
        &self,
        session_state_id: &str,
        http: &Http,
        endpoints: &Endpoints,
        deadline: Deadline,
    ) -> Result<(), Fault> {
        let url = self.session(session_state_id)?;
        let token = self.service_token(None, http, endpoints, deadline).await?;
        match self.delete(&url, &token, http, deadline).await {
            // Keycloak may have been restarted, or the account's sessions ended, since the token
            // was given.
            Err(Fault::Refused { code, .. }) if code == Call::UNAUTHORIZED => {
                let token = self.service_token(Some(&token), http, endpoints, deadline).await?;
                self.delete(&url, &token, http, deadline).await.map_err(|fault| match fault {
                    Fault::Refused { .. } => {
                        Fault::Misconfigured("end_session: the service account is refused".into())
                    }
                    other => other,
                })
            }
            outcome => outcome,
        }
    }

    async fn delete(
        &self,
        url: &Url,
        token: &ServiceToken,
        http: &Http,
        deadline: Deadline,
    ) -> Result<(), Fault> {
        let request =
            |http: &reqwest::Client| http.delete(url.clone()).bearer_auth(token.token.expose());
        http.call(Call::EndSession, deadline, request).await.map(drop)
    }

    /// The cached token, unless it is `refused` or near its end; one asks for all who wait.
    async fn service_token(
        &self,
        refused: Option<&ServiceToken>,
        http: &Http,
        endpoints: &Endpoints,
        deadline: Deadline,
    ) -> Result<ServiceToken, Fault> {
        let mut cached = self.token.lock().await;
        let good = |token: &&ServiceToken| {
            token.until > Instant::now()
                && refused.is_none_or(|refused| refused.token.expose() != token.token.expose())
        };
        if let Some(token) = cached.as_ref().filter(good) {
            return Ok(token.clone());
        }
        let token = self.ask(http, endpoints, deadline).await?;
        *cached = Some(token.clone());
        Ok(token)
    }

    async fn ask(
        &self,
        http: &Http,
        endpoints: &Endpoints,
        deadline: Deadline,
    ) -> Result<ServiceToken, Fault> {
        let (url, in_form) = (endpoints.token()?, endpoints.client_in_form);
        let form = [("grant_type", "client_credentials")];
        let request = |http: &_| post(http, url, &self.client, in_form, &form);
        let members = http.call(Call::ServiceToken, deadline, request).await?;
        let asked_at = chrono::DateTime::UNIX_EPOCH;
        let answer = TokenAnswer::parse(&members, "", asked_at).ok_or_else(|| {
            Fault::Misconfigured("service_token: no usable access token".to_owned())
        })?;
        let life = (answer.expires_at - asked_at).to_std().unwrap_or_default();
        let until = Instant::now() + life.saturating_sub(MARGIN);
        Ok(ServiceToken { token: answer.access_token, until })
    }

    fn session(&self, session_state_id: &str) -> Result<Url, Fault> {
        let mut url = self.realm.clone();
        let no_base = |()| Fault::Misconfigured("the admin API's URL has no path".to_owned());
        url.path_segments_mut()
            .map_err(no_base)?
            .pop_if_empty()
            .push("sessions")
            .push(session_state_id);
        Ok(url)
    }
}
