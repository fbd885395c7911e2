//! Services that speak TLS, to each other as well, under an authority of one's own.

use reqwest::Client;
use test_support::{
    Answer, ServiceProcess, TestAuthority, TestCertificate, TestDatabase, eventually,
};

use super::client::{Session, log_out, sign_in};
use super::processes::{serve_chat_with, serve_users, serve_users_with};

const HOST: &str = "127.0.0.1";

struct Deployment {
    authority: TestAuthority,
    /// Plain, for who registers and signs in.
    plain: ServiceProcess,
    user_database: TestDatabase,
    chat_database: TestDatabase,
}

impl Deployment {
    async fn start() -> Self {
        let user_database = TestDatabase::create("user", || user_service::MIGRATIONS).await;
        let chat_database = TestDatabase::create("chat", || chat_service::MIGRATIONS).await;
        let plain = serve_users(&user_database, 0).await;
        Self { authority: TestAuthority::new(), plain, user_database, chat_database }
    }

    async fn users(&self, certificate: &TestCertificate) -> ServiceProcess {
        serve_users_with(&self.user_database, &paths(certificate)).await
    }

    /// One that trusts `authority` alone.
    async fn chat(&self, users: &ServiceProcess, authority: &TestAuthority) -> ServiceProcess {
        let certificate = self.authority.issue(HOST);
        let [one, other] = paths(&certificate);
        let more = [("__VERIFIER__CA_PATH", authority.ca_path()), one, other];
        serve_chat_with(&self.chat_database, &users.url(""), &more).await
    }

    fn client(&self) -> Client {
        Client::builder().tls_certs_only(self.authority.roots()).build().unwrap()
    }

    async fn get(&self, url: String, session: &Session) -> Answer {
        let request = self.client().get(url).bearer_auth(&session.access_token);
        Answer::read(request.send().await.unwrap()).await
    }
}

fn paths(certificate: &TestCertificate) -> [(&str, &str); 2] {
    [
        ("__TLS__CERTIFICATE_PATH", &certificate.certificate_path),
        ("__TLS__KEY_PATH", &certificate.key_path),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn services_speak_tls_to_each_other_and_hear_of_a_logout_over_it() {
    let deployment = Deployment::start().await;
    let certificate = deployment.authority.issue(HOST);
    let users = deployment.users(&certificate).await;
    let chat = deployment.chat(&users, &deployment.authority).await;
    let session = sign_in(&deployment.plain.url(""), "alice").await;
    let rooms = chat.url("/api/rooms");
    assert!(rooms.starts_with("https://"), "{rooms}");
    eventually("chat-service judges", || async {
        (deployment.get(rooms.clone(), &session).await.status == 200).then_some(())
    })
    .await;

    let upgrade = deployment.client().get(chat.url("/api/ws")).bearer_auth(&session.access_token);
    let upgrade = upgrade.header("connection", "upgrade").header("upgrade", "websocket");
    let upgrade = upgrade.header("sec-websocket-version", "13");
    let upgraded = upgrade.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==").send().await;
    assert_eq!(upgraded.unwrap().status(), 101);

    log_out(&deployment.plain.url(""), &session).await;
    eventually("chat-service has heard of it", || async {
        (deployment.get(rooms.clone(), &session).await.status == 401).then_some(())
    })
    .await;
    let _ = deployment.get(chat.admin_url("/ready"), &session).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_service_that_can_t_be_trusted_is_not_believed_and_readiness_says_what_to_do() {
    let deployment = Deployment::start().await;
    let session = sign_in(&deployment.plain.url(""), "alice").await;
    let (here, elsewhere) =
        (deployment.authority.issue(HOST), deployment.authority.issue("elsewhere.example"));
    let (good, misnamed) = (deployment.users(&here).await, deployment.users(&elsewhere).await);
    let other = TestAuthority::new();
    for (users, authority, advice) in [
        (&good, &other, "`verifier.ca_path` names the authorities"),
        (&misnamed, &deployment.authority, "call it by a name that is in its certificate"),
    ] {
        let chat = deployment.chat(users, authority).await;
        eventually(advice, || async {
            let ready = deployment.get(chat.admin_url("/ready"), &session).await.expect(503);
            ready.text.contains(advice).then_some(())
        })
        .await;
        let _ = deployment.get(chat.url("/api/rooms"), &session).await.expect(503);
    }
}
