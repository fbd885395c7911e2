//! Keycloak itself stops, goes on, dies, comes back, and comes back without anything that it knew.
//! One of its own, since others use the one that the tests share; realms that do not rotate, that
//! allow no reuse and that allow one.

use std::time::{Duration, Instant};

use auth_manager::models::grant::{Grant, GrantState};
use auth_manager::vault::token_identity;
use futures_util::future::join_all;
use serde_json::json;
use test_support::{OwnKeycloak, TestRealm, eventually};

use crate::service::{App, Consented, data, text};
use crate::world::{OFFLINE, settings};

const SETTINGS: [(&str, &str); 3] = [
    ("AUTH_MANAGER__PROVIDERS__TIMEOUT", "2s"),
    ("AUTH_MANAGER__PROVIDERS__BREAKER_FAILURES", "2"),
    ("AUTH_MANAGER__PROVIDERS__BREAKER_PAUSE", "1s"),
];
/// The timeout, what a database and a busy machine take, and no more.
const WITHIN: Duration = Duration::from_secs(5);
/// How often a realm allows a token to be used again, where it rotates.
const REUSE: [Option<u16>; 3] = [None, Some(0), Some(1)];
/// How many grants are drawn on while it is away; one more is not.
const SENT: usize = 3;

/// A service on a realm, and people's grants there.
struct Vault {
    app: App,
    reuse: Option<u16>,
    grants: Vec<Consented>,
    /// A token that the service does not use.
    spare: String,
}

fn token_of(grant: &Grant) -> String {
    let identity = token_identity(&grant.key(), grant.token_type());
    let keyring = settings(&[]).vault.keyring().unwrap();
    let opened = keyring.open(&identity, &grant.encrypted_token).unwrap();
    String::from_utf8(opened.to_vec()).unwrap()
}

impl Vault {
    async fn start(keycloak: &OwnKeycloak, reuse: Option<u16>) -> Self {
        let realm = json!({
            "accessTokenLifespan": 36_000,
            "revokeRefreshToken": reuse.is_some(),
            "refreshTokenMaxReuse": reuse.unwrap_or_default(),
        });
        let realm = TestRealm::create_on(&keycloak.url(), &realm).await;
        let lines = reuse.map(|reuse| format!("refresh_token_max_reuse = {reuse}"));
        let lines = lines.unwrap_or_default();
        let app = App::start_on(&keycloak.url(), realm, &lines, "", &SETTINGS).await;
        let spare = app.consent().await;
        let spare = token_of(&app.grant_of(&spare.id).await);
        let mut grants = Vec::new();
        for _ in 0..=SENT {
            grants.push(app.consent().await);
        }
        Self { app, reuse, grants, spare }
    }

    /// What Keycloak does for the first time may take it longer than a call of ours.
    async fn warm_up(&mut self) {
        let tokens = self.app.realm.refresh(OFFLINE, &self.spare).await.unwrap();
        self.spare = text(&tokens, "refresh_token");
    }

    /// Every draw is told to come back later, in time, and the grant stays as good as it is.
    async fn expect_away(&self) {
        self.app.forget_drawn().await;
        for consented in self.grants.iter().take(SENT) {
            let started = Instant::now();
            let answer = self.app.draw(&consented.id).await;
            let answer = answer.expect_error(503, "provider_unavailable");
            assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0));
            assert!(started.elapsed() < WITHIN, "{:?}", started.elapsed());
            let state = self.app.grant_of(&consented.id).await.state();
            assert!(matches!(state, GrantState::Live | GrantState::OutcomeUnknown), "{state:?}");
        }
    }

    async fn expect_breaker(&self, open: u64) {
        let name = &self.app.name;
        let line = format!(r#"auth_manager_provider_breaker_open{{provider="{name}"}}"#);
        eventually(&line, async || (self.app.metric(&line).await == open).then_some(())).await;
    }

    /// And by itself it is well again, but for what a call whose answer never came has used up: that
    /// is said, and such a grant is kept no longer.
    async fn expect_well(&mut self, may_be_lost: usize) {
        let (mut kept, mut lost) = (Vec::new(), 0);
        for consented in std::mem::take(&mut self.grants) {
            let status = eventually("an answer", async || {
                let answer = self.app.draw(&consented.id).await;
                if answer.status == 200 {
                    assert!(text(&data(&answer), "access_token").starts_with("eyJ"));
                }
                [200, 401].iter().find(|status| answer.status == **status).copied()
            })
            .await;
            let grant = self.app.grant_of(&consented.id).await;
            if status == 200 {
                assert_eq!(grant.state(), GrantState::Live);
                kept.push(consented);
                continue;
            }
            assert_eq!(grant.dead_reason.as_deref(), Some("outcome_unknown"));
            assert!(self.app.realm.refresh(OFFLINE, &token_of(&grant)).await.is_err());
            lost += 1;
        }
        assert!(lost <= may_be_lost, "{lost} lost where reuse is {:?}", self.reuse);
        self.grants = kept;
        self.expect_breaker(0).await;
    }

    /// Its sessions are gone, and its keys with them: each draw says that the grant is dead.
    async fn expect_dead(&self) {
        for consented in &self.grants {
            let answer = self.app.draw(&consented.id).await;
            answer.expect_error(401, "token_not_active");
            let grant = self.app.grant_of(&consented.id).await;
            assert_eq!(grant.state(), GrantState::Dead);
            assert_eq!(grant.dead_reason.as_deref(), Some("invalid_token"));
        }
    }
}

#[tokio::test]
async fn no_grant_is_lost_while_keycloak_stands_still_dies_and_comes_back() {
    let mut keycloak = OwnKeycloak::start().await;
    let mut vaults = Vec::new();
    for reuse in REUSE {
        vaults.push(Vault::start(&keycloak, reuse).await);
    }
    join_all(vaults.iter_mut().map(|vault| vault.expect_well(0))).await;

    keycloak.freeze();
    join_all(vaults.iter().map(Vault::expect_away)).await;
    join_all(vaults.iter().map(|vault| vault.expect_breaker(1))).await;
    keycloak.thaw();
    // Keycloak may still take what was sent to it, and a realm that allows no reuse has then used it
    // up.
    let lost = |vault: &Vault| if vault.reuse == Some(0) { SENT } else { 0 };
    join_all(vaults.iter_mut().map(|vault| vault.expect_well(lost(vault)))).await;

    keycloak.kill();
    join_all(vaults.iter().map(|vault| vault.app.proxy.go_away())).await;
    join_all(vaults.iter().map(Vault::expect_away)).await;
    keycloak.restart().await;
    join_all(vaults.iter_mut().map(Vault::warm_up)).await;
    join_all(vaults.iter().map(|vault| vault.app.proxy.come_back())).await;
    join_all(vaults.iter_mut().map(|vault| vault.expect_well(0))).await;

    keycloak.kill();
    keycloak.restart_empty().await;
    for vault in &mut vaults {
        vault.app.realm.create_anew().await;
        assert!(vault.app.realm.refresh(OFFLINE, &vault.spare).await.is_err());
        vault.app.forget_drawn().await;
        vault.expect_dead().await;
        // And whoever consents now is served as ever.
        vault.grants = vec![vault.app.consent().await];
        vault.expect_well(0).await;
    }
}
