//! The service as it is deployed, a process that is killed as any process can be (SIGKILL): none of
//! its destructors run, and whatever it was about to send or to close stays as it is.

use auth_manager::models::account::{self, Account};
use reqwest::Client;
use test_support::ServiceProcess;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::process::DEFAULTS;
use crate::realm::LOGIN;
use crate::world::World;

pub(crate) struct Service {
    process: ServiceProcess,
    client: Client,
    /// Alice's, whose grant it is.
    token: String,
}

impl Service {
    pub(crate) async fn start(world: &World) -> Self {
        let (issuer, now) = (world.realm.issuer(), world.clock.now());
        let account = Account::new(world.user_id, "keycloak", &issuer, &world.subject, now);
        account::upsert(&mut world.database.connect().await, &account).await.unwrap();
        let file = world.providers_file();
        let own = [
            ("AUTH_MANAGER__DATABASE__URL", world.database.url()),
            ("AUTH_MANAGER__PROVIDERS__FILE", file.as_str()),
        ];
        let program = env!("CARGO_BIN_EXE_auth-manager");
        let process = ServiceProcess::start(program, &[&DEFAULTS[..], &own].concat()).await;
        let alice = world.realm.sign_in(LOGIN, &world.realm.alice, "openid").await;
        let token = alice["access_token"].as_str().unwrap().to_owned();
        Self { process, client: Client::builder().build().unwrap(), token }
    }

    /// Draws by `id`, in the background, for whom nobody may be left to answer.
    pub(crate) fn begin(&self, id: Uuid) -> JoinHandle<()> {
        let path = format!("/api/auth/manager/access-token?persistent_token_id={id}");
        let request = self.client.post(self.process.url(&path)).bearer_auth(&self.token);
        tokio::spawn(async move { drop(request.send().await) })
    }

    /// As `kill -9` does.
    pub(crate) async fn kill(self) {
        self.process.kill().await;
    }
}
