//! Sign-in at Keycloak, consent to offline use, a job that draws, and its end.

use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use url::form_urlencoded::Serializer;

use super::browser::Browser;
use super::story::{Story, text};

/// Somebody in `deploy/keycloak/realm.json`, and a job there.
const USER: &str = "alice";
const PASSWORD: &str = "alice-development-password";
const JOB: &str = "latchkey-job";
const JOB_SECRET: &str = "latchkey-job-development-secret";
const API: &str = "/api/auth/manager";

/// Whether auth-manager runs.
pub(super) async fn is_there(story: &Story) -> bool {
    let url = format!("{}/health", story.auth_manager);
    story.send(Method::GET, &url, None, None).await.is_ok_and(|(status, _)| status.is_success())
}

/// From signing in to the refusal.
pub(super) async fn play(story: &mut Story) -> Result<()> {
    let mut browser = Browser::new()?;
    let url = format!("{}{API}", story.auth_manager);
    let started = Instant::now();
    let signed_in = browser.follow(&format!("{url}/login"), USER, PASSWORD).await?;
    let token = text(&signed_in["data"], "access_token")?;
    story.tell(&format!("{USER} signs in at Keycloak"), started);

    let request = story.manage("offline use is asked for", Method::GET, "/offline-token", &token);
    let consent_url = text(&request.await?, "consent_url")?;
    let started = Instant::now();
    let consented = browser.follow(&consent_url, USER, PASSWORD).await?;
    let id = text(&consented["data"], "persistent_token_id")?;
    story.tell(&format!("{USER} consents, and the vault has the grant"), started);

    let started = Instant::now();
    let job = job_token(story, &consent_url).await?;
    story.tell("a job signs in as itself", started);
    let draw = format!("/access-token?persistent_token_id={id}");
    let drawn = story.manage("and draws an access token by its id", Method::POST, &draw, &job);
    text(&drawn.await?, "access_token")?;
    story.manage("again, from the vault alone", Method::POST, &draw, &job).await?;

    let revoke = format!("/offline-token-id?id={id}");
    let what = format!("{USER} takes the consent back");
    let revoked = story.manage(&what, Method::DELETE, &revoke, &token).await?;
    if revoked["token_revoked"] != true {
        bail!("the grant was not revoked: {revoked}");
    }
    let started = Instant::now();
    let (status, answer) =
        story.send(Method::POST, &format!("{url}{draw}"), Some(&job), None).await?;
    if status != StatusCode::NOT_FOUND {
        bail!("the job still draws: {status} {answer}");
    }
    story.tell("and the job is refused", started);
    Ok(())
}

impl Story {
    /// A step at auth-manager that must succeed; answers its `data`.
    async fn manage(
        &mut self,
        what: &str,
        method: Method,
        path: &str,
        token: &str,
    ) -> Result<Value> {
        let url = format!("{}{API}{path}", self.auth_manager);
        let started = Instant::now();
        let (status, mut answer) = self.send(method, &url, Some(token), None).await?;
        if !status.is_success() {
            bail!("{what}: {path} answered {status}: {answer}");
        }
        self.tell(what, started);
        Ok(answer["data"].take())
    }
}

/// Client credentials, from the realm that the consent went to.
async fn job_token(story: &Story, consent_url: &str) -> Result<String> {
    let (realm, _) = consent_url.split_once("/auth?").context("a Keycloak's consent URL")?;
    let body = Serializer::new(String::new())
        .extend_pairs([("grant_type", "client_credentials"), ("client_id", JOB)])
        .extend_pairs([("client_secret", JOB_SECRET)])
        .finish();
    let answer = story.post_form(&format!("{realm}/token"), body).await?;
    text(&answer, "access_token")
}
