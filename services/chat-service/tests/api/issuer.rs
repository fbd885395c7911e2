//! Who signs the tests' tokens: a key in a file, or behind a key set and a change feed.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};

use actix_web::{App, HttpResponse, HttpServer, web};
use chrono::Utc;
use common::claims::{ACCESS_TOKEN_TYPE, AccessClaims, Audience};
use futures_util::stream;
use josekit::jwk::alg::rsa::RsaKeyPair;
use josekit::jws::{JwsHeader, RS256};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::sync::broadcast;
use uuid::Uuid;

/// The issuer's name where tests have none of their own.
pub(crate) const ISSUER: &str = "http://127.0.0.1:8080";

struct TestKey {
    private_pem: Vec<u8>,
    public_jwk: Value,
    public_file: NamedTempFile,
}

/// One key for all tests of the process.
fn key() -> &'static TestKey {
    static KEY: OnceLock<TestKey> = OnceLock::new();
    KEY.get_or_init(|| {
        let pair = RsaKeyPair::generate(2048).unwrap();
        let public_pem = pair.to_pem_public_key();
        let mut public_file = NamedTempFile::new().unwrap();
        public_file.write_all(&public_pem).unwrap();
        let public_jwk = token_verifier::public_jwk(&public_pem).unwrap();
        TestKey { private_pem: pair.to_pem_private_key(), public_jwk, public_file }
    })
}

/// Where the public key is.
pub(crate) fn public_key_file() -> String {
    key().public_file.path().to_str().unwrap().to_owned()
}

/// Somebody with an access token.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) id: Uuid,
    pub(crate) device_id: Uuid,
    pub(crate) session_id: Uuid,
    pub(crate) token: String,
}

impl User {
    pub(crate) fn new() -> Self {
        Self::with(ISSUER, 3600)
    }

    /// From another issuer, with a token that lives for so many seconds.
    pub(crate) fn with(issuer: &str, life: i64) -> Self {
        let (id, device_id, session_id) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
        let now = wall_clock();
        let claims = AccessClaims {
            iss: issuer.to_owned(),
            sub: id.to_string(),
            aud: Audience::One("latchkey".to_owned()),
            exp: now + life,
            iat: now,
            nbf: now,
            jti: Uuid::new_v4().to_string(),
            client_id: "latchkey-app".to_owned(),
            user_id: id,
            device_id,
            sid: session_id,
            auth_time: now,
            amr: vec!["pwd".to_owned()],
            acr: None,
            scope: "chat".to_owned(),
        };
        Self { id, device_id, session_id, token: sign(&claims) }
    }
}

#[expect(clippy::disallowed_methods, reason = "an issuer of its own, apart from any test clock")]
fn wall_clock() -> i64 {
    Utc::now().timestamp()
}

fn sign(claims: &AccessClaims) -> String {
    let mut header = JwsHeader::new();
    header.set_token_type(ACCESS_TOKEN_TYPE);
    header.set_key_id(key().public_jwk["kid"].as_str().unwrap());
    let signer = RS256.signer_from_pem(&key().private_pem).unwrap();
    let payload = serde_json::to_vec(claims).unwrap();
    josekit::jws::serialize_compact(&payload, &header, &signer).unwrap()
}

/// An issuer that revokes.
pub(crate) struct Issuer {
    address: SocketAddr,
    feed: Arc<Feed>,
}

struct Feed {
    log: Mutex<String>,
    live: broadcast::Sender<String>,
}

impl Issuer {
    pub(crate) fn start() -> Self {
        let feed = Arc::new(Feed { log: Mutex::default(), live: broadcast::channel(16).0 });
        let shared = web::Data::from(Arc::clone(&feed));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .route("/.well-known/jwks.json", web::get().to(jwks))
                .route("/.well-known/jwks/changes", web::get().to(changes))
        });
        let server = server.workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
        let address = server.addrs()[0];
        tokio::spawn(server.run());
        Self { address, feed }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn revoke(&self, user: &User) {
        let data = json!({ "sid": user.session_id, "until": wall_clock() + 7200 });
        let event = format!("event: session_revoked\ndata: {data}\n\n");
        let mut log = self.feed.log.lock().unwrap();
        log.push_str(&event);
        let _nobody_listens = self.feed.live.send(event);
    }
}

async fn jwks() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "keys": [key().public_jwk] }))
}

async fn changes(feed: web::Data<Feed>) -> HttpResponse {
    let log = feed.log.lock().unwrap();
    let (replay, live) = (log.clone(), feed.live.subscribe());
    drop(log);
    let replay = format!("{replay}event: caught_up\ndata: {{}}\n\n");
    let events = stream::unfold((Some(replay), live), async |(replay, mut live)| {
        let event = match replay {
            Some(replay) => replay,
            None => live.recv().await.ok()?,
        };
        Some((Ok::<_, actix_web::Error>(web::Bytes::from(event)), (None, live)))
    });
    HttpResponse::Ok().content_type("text/event-stream").streaming(Box::pin(events))
}
