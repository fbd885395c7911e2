//! What a provider gives for a code, looked at before anything is believed.

use actix_web::http::StatusCode;
use common::http::Problem;
use common::settings::Secret;
use serde_json::json;

use crate::error::Error;
use crate::providers::{Fault, IdClaims, Provider, ProviderKind, TokenAnswer, TokenFacts};
use crate::sessions::states::RedeemedState;

/// Of what the provider says, no more than this is repeated.
const MAX_ERROR: usize = 256;

/// A token answer that was looked at.
pub(super) struct Given {
    pub(super) claims: IdClaims,
    pub(super) answer: TokenAnswer,
    pub(super) token: Secret,
    facts: Option<TokenFacts>,
}

impl Given {
    /// Whose the token itself says it is.
    pub(super) fn subject(&self) -> &str {
        let own = self.facts.as_ref().and_then(|facts| facts.subject.as_deref());
        own.unwrap_or(&self.claims.subject)
    }

    /// The grant's own sid; that of the session which asked for it where the provider says none.
    pub(super) fn session_state_id<'a>(&'a self, asked_from: &'a str) -> &'a str {
        let own = self.facts.as_ref().and_then(|facts| facts.session_state_id.as_deref());
        own.or(self.claims.session_state_id.as_deref()).unwrap_or(asked_from)
    }

    /// Whether it is good while the user is away. Only Keycloak's tokens say so themselves.
    pub(super) fn is_offline(&self, provider: &Provider) -> bool {
        match (&self.facts, provider.kind()) {
            (Some(facts), _) if !facts.typ.is_empty() => facts.is_offline(),
            (_, ProviderKind::Keycloak) => false,
            (_, ProviderKind::Openid | ProviderKind::Oauth2) => true,
        }
    }
}

/// Trades the code through the offline client; something to keep must have come.
pub(super) async fn exchange(
    provider: &Provider,
    code: &str,
    redeemed: &RedeemedState,
    redirect_uri: &str,
) -> Result<Given, Error> {
    let client_id = offline_client(provider)?;
    let (claims, answer) = trade(provider, client_id, code, redeemed, redirect_uri).await?;
    let token = answer.refresh_token.clone().ok_or_else(not_offline)?;
    let facts = TokenFacts::decode(token.expose());
    Ok(Given { claims, answer, token, facts })
}

/// Trades the code and checks what comes back: id token and nonce, or userinfo where the protocol
/// knows no id tokens.
pub(crate) async fn trade(
    provider: &Provider,
    client_id: &str,
    code: &str,
    redeemed: &RedeemedState,
    redirect_uri: &str,
) -> Result<(IdClaims, TokenAnswer), Error> {
    let verifier = redeemed.verifier.expose();
    let answer = provider
        .exchange_code(client_id, code, verifier, redirect_uri)
        .await
        .map_err(refused_code)?;
    let claims = match &answer.id_token {
        Some(id_token) => {
            provider.check_id_token(id_token.expose(), client_id, &redeemed.nonce).await?
        }
        None if provider.kind() == ProviderKind::Oauth2 => {
            provider.userinfo(answer.access_token.expose()).await?
        }
        None => return Err(Fault::Misconfigured("no id token with the code".to_owned()).into()),
    };
    Ok((claims, answer))
}

/// A code that is not taken is the browser's trouble, not a dead grant's.
fn refused_code(fault: Fault) -> Error {
    match fault {
        Fault::GrantDead { description, .. } => Error::ProviderRefused {
            code: "invalid_grant".to_owned(),
            description: Some(cut(&description)),
        },
        fault @ (Fault::Refused { .. } | Fault::Misconfigured(_) | Fault::Away { .. }) => {
            fault.into()
        }
    }
}

/// What came is no offline token.
pub(super) fn not_offline() -> Error {
    Error::ProviderRefused {
        code: "offline_access_not_granted".to_owned(),
        description: Some("the provider answered no offline token".to_owned()),
    }
}

/// The client that consent goes to.
pub(super) fn offline_client(provider: &Provider) -> Result<&str, Error> {
    let client = provider.offline_client().map(|client| client.id.as_str());
    client.ok_or_else(|| {
        Error::from(
            Problem::new(
                StatusCode::CONFLICT,
                "offline_use_not_offered",
                "no client for offline use is configured at this provider",
            )
            .with_details(json!({ "provider": provider.name() })),
        )
    })
}

/// What the provider says, short and on one line.
pub(crate) fn cut(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(MAX_ERROR).collect()
}
