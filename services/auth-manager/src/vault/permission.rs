//! Who may draw what.

use std::time::Duration;

use uuid::Uuid;

use super::scope::Scope;
use crate::error::Error;
use crate::models::grant::{GrantHead, GrantState};
use crate::providers::ServiceClient;

/// One draw.
#[derive(Clone, Debug)]
pub struct Draw {
    /// By which id.
    pub persistent_token_id: Uuid,
    /// The scope asked for.
    pub scope: Scope,
    /// How long the access token must live on at least.
    pub min_ttl: Duration,
    /// Who asks.
    pub by: DrawnBy,
}

/// Who asks for an access token.
#[derive(Clone, Debug)]
pub enum DrawnBy {
    /// A person, through the login client.
    User {
        /// Their id.
        user_id: Uuid,
        /// That client.
        client_id: String,
    },
    /// A service client that configuration names.
    Service {
        /// The provider that it is a client of.
        provider: String,
        /// What it may draw on.
        client: ServiceClient,
    },
}

impl DrawnBy {
    /// What is drawn where no scope is named: a person draws the grant's own, a service client no
    /// more than is configured for it.
    pub(super) fn own_scope(&self) -> Scope {
        match self {
            Self::User { .. } => Scope::default(),
            Self::Service { client, .. } => Scope::of(client.scopes.iter().map(String::as_str)),
        }
    }

    /// Through which client.
    pub(super) fn client_id(&self) -> &str {
        match self {
            Self::User { client_id, .. } => client_id,
            Self::Service { client, .. } => &client.client_id,
        }
    }
}

/// Nothing is given of a grant that is dead or about to be revoked, though it be stored.
pub(super) fn refuse_ended(head: &GrantHead) -> Result<(), Error> {
    match head.state() {
        GrantState::Live | GrantState::OutcomeUnknown => Ok(()),
        GrantState::Dead | GrantState::Revoking => Err(Error::TokenNotActive),
    }
}

/// The grant's own user may; and a service client, within what is configured for it.
pub(super) fn may_draw(by: &DrawnBy, head: &GrantHead, scope: &Scope) -> bool {
    match by {
        DrawnBy::User { user_id, .. } => *user_id == head.user_id,
        DrawnBy::Service { provider, client } => {
            *provider == head.provider
                && client.consent_clients.contains(&head.client_id)
                // No scope would be the grant's whole one.
                && scope.asked().is_some()
                && scope.is_within(client.scopes.iter().map(String::as_str))
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn head(user_id: Uuid, state: &str) -> GrantHead {
        let time = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        GrantHead {
            id: Uuid::new_v4(),
            user_id,
            provider: "keycloak".to_owned(),
            subject: "s".to_owned(),
            client_id: "offline".to_owned(),
            session_state_id: "sid".to_owned(),
            token_type: "offline".to_owned(),
            scope: "openid offline_access email".to_owned(),
            grant_expires_at: None,
            state: state.to_owned(),
            version: 3,
            lease_until: None,
            call_deadline: None,
            updated_at: time,
        }
    }

    fn service(provider: &str, consent_client: &str) -> DrawnBy {
        let client = ServiceClient {
            client_id: "job".to_owned(),
            subject: "job".to_owned(),
            consent_clients: vec![consent_client.to_owned()],
            scopes: vec!["openid".to_owned()],
        };
        DrawnBy::Service { provider: provider.to_owned(), client }
    }

    #[test]
    fn a_grants_own_user_may_draw_and_nobody_elses() {
        let own = Uuid::new_v4();
        let user = |user_id| DrawnBy::User { user_id, client_id: "login".to_owned() };
        let (head, scope) = (head(own, "live"), Scope::parse("email").unwrap());
        assert!(may_draw(&user(own), &head, &scope));
        assert!(!may_draw(&user(Uuid::new_v4()), &head, &scope));
    }

    #[test]
    fn a_service_client_may_draw_within_its_provider_consent_clients_and_scopes() {
        let head = head(Uuid::new_v4(), "live");
        let scope = |text| Scope::parse(text).unwrap();
        assert!(!may_draw(&service("keycloak", "offline"), &head, &scope("")));
        assert!(may_draw(&service("keycloak", "offline"), &head, &scope("openid")));
        assert!(!may_draw(&service("keycloak", "offline"), &head, &scope("openid email")));
        assert!(!may_draw(&service("partner", "offline"), &head, &scope("openid")));
        assert!(!may_draw(&service("keycloak", "login"), &head, &scope("openid")));
    }

    #[test]
    fn nothing_is_served_of_a_grant_that_is_dead_or_to_be_revoked() {
        let refused = |state| refuse_ended(&head(Uuid::nil(), state)).is_err();
        assert!(!refused("live") && !refused("outcome_unknown"));
        assert!(refused("dead") && refused("revoking"));
    }
}
