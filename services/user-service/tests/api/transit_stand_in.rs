//! A transit service that really signs, as `HashiCorp` Vault and `OpenBao` answer.

use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use actix_web::body::BoxBody;
use actix_web::dev::{ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use serde_json::{Map, Value, json};
use tempfile::NamedTempFile;
use tokio::sync::watch;

const TOKEN: &str = "hvs.of-a-test";

pub(crate) struct TransitStandIn {
    address: SocketAddr,
    url: String,
    token_file: NamedTempFile,
    shared: Arc<Shared>,
    handle: Mutex<ServerHandle>,
}

#[derive(Default)]
struct Shared {
    /// Versions of each, the oldest first.
    keys: Mutex<HashMap<String, Vec<PKey<Private>>>>,
    /// Names of keys that may be deleted.
    deletable: Mutex<HashSet<String>>,
    /// Whether calls that make a key wait.
    hanging: watch::Sender<bool>,
    /// Names of keys that were to be made when they had to wait.
    waited: Mutex<Vec<String>>,
    /// So many calls that a request caused are answered 503 before the next good one.
    failing: AtomicU32,
    /// Calls that a request caused: those of readiness and of keeping the ring come as they like.
    calls: AtomicU32,
    /// `X-Request-Id` and `traceparent` of the last call to sign that a request caused.
    named: Mutex<[Option<String>; 2]>,
}

impl TransitStandIn {
    pub(crate) fn start() -> Self {
        Self::start_with(Arc::default(), "127.0.0.1:0")
    }

    fn start_with(shared: Arc<Shared>, address: &str) -> Self {
        let data = web::Data::from(Arc::clone(&shared));
        let server = HttpServer::new(move || {
            App::new()
                .wrap(from_fn(refuse))
                .app_data(data.clone())
                .route("/v1/transit/keys/{name}", web::post().to(make))
                .route("/v1/transit/keys/{name}", web::get().to(show))
                .route("/v1/transit/keys/{name}", web::delete().to(remove))
                .route("/v1/transit/keys/{name}/config", web::post().to(configure))
                .route("/v1/transit/sign/{name}/sha2-256", web::post().to(sign))
        });
        let server = server.workers(1).disable_signals().shutdown_timeout(0);
        let server = server.bind(address).unwrap();
        let address = server.addrs()[0];
        let server = server.run();
        let handle = Mutex::new(server.handle());
        tokio::spawn(server);
        let mut token_file = NamedTempFile::new().unwrap();
        writeln!(token_file, "{TOKEN}").unwrap();
        Self { address, url: format!("http://{address}"), token_file, shared, handle }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Those of a service whose keys are here.
    pub(crate) fn settings(&self) -> [(&'static str, &str); 4] {
        [
            ("USER_SERVICE__SIGNING__MODE", "service"),
            ("USER_SERVICE__SIGNING__SERVICE_KEYS", "transit"),
            ("USER_SERVICE__SIGNING__TRANSIT_URL", &self.url),
            ("USER_SERVICE__SIGNING__TRANSIT_TOKEN_PATH", self.token_file.path().to_str().unwrap()),
        ]
    }

    pub(crate) fn fail_next(&self, calls: u32) {
        self.shared.failing.store(calls, Ordering::SeqCst);
    }

    pub(crate) fn calls(&self) -> u32 {
        self.shared.calls.load(Ordering::SeqCst)
    }

    /// `X-Request-Id` and `traceparent` of the last call to sign that a request caused.
    pub(crate) fn named(&self) -> [Option<String>; 2] {
        self.shared.named.lock().unwrap().clone()
    }

    /// Lets calls that make a key wait, or no more.
    pub(crate) fn hang_when_making(&self, hang: bool) {
        self.shared.hanging.send_replace(hang);
    }

    /// Names of keys that were to be made when calls that make one had to wait.
    pub(crate) fn waited(&self) -> Vec<String> {
        self.shared.waited.lock().unwrap().clone()
    }

    /// Whether there is a key of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.shared.keys.lock().unwrap().contains_key(name)
    }

    /// Somebody rotates every key within the service: the newest version signs by default.
    pub(crate) fn rotate_within(&self) {
        for versions in self.shared.keys.lock().unwrap().values_mut() {
            let kind = if versions[0].rsa().is_ok() { "rsa-2048" } else { "ecdsa-p256" };
            versions.push(fresh(kind).unwrap());
        }
    }

    /// Nobody answers at its address any more, until it is back.
    pub(crate) async fn go_away(&self) {
        let handle = self.handle.lock().unwrap().clone();
        handle.stop(false).await;
    }

    /// The same service again, at its address and with its keys.
    pub(crate) fn come_back(&self) {
        let again = Self::start_with(Arc::clone(&self.shared), &self.address.to_string());
        *self.handle.lock().unwrap() = again.handle.into_inner().unwrap();
    }
}

/// Whether a request at user-service caused the call.
fn is_caused(request: &HttpRequest) -> bool {
    request.headers().contains_key("x-request-id")
}

/// Answers with what stands against the call, if anything does.
async fn refuse(
    shared: web::Data<Shared>,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse, Error> {
    if is_caused(request.request()) {
        shared.calls.fetch_add(1, Ordering::SeqCst);
        let failing = shared.failing.load(Ordering::SeqCst);
        if failing > 0 {
            shared.failing.store(failing - 1, Ordering::SeqCst);
            return Ok(request.into_response(HttpResponse::ServiceUnavailable()));
        }
    }
    if request.headers().get("x-vault-token").is_none_or(|token| token != TOKEN) {
        return Ok(request.into_response(HttpResponse::Forbidden()));
    }
    next.call(request).await
}

async fn make(
    shared: web::Data<Shared>,
    name: web::Path<String>,
    body: web::Json<Value>,
) -> HttpResponse {
    let mut hanging = shared.hanging.subscribe();
    if *hanging.borrow_and_update() {
        shared.waited.lock().unwrap().push((*name).clone());
        hanging.wait_for(|hangs| !hangs).await.unwrap();
    }
    let Some(key) = fresh(body["type"].as_str().unwrap()) else {
        return HttpResponse::BadRequest().finish();
    };
    shared.keys.lock().unwrap().entry(name.into_inner()).or_insert_with(|| vec![key]);
    HttpResponse::NoContent().finish()
}

async fn configure(
    shared: web::Data<Shared>,
    name: web::Path<String>,
    body: web::Json<Value>,
) -> HttpResponse {
    if body["deletion_allowed"] == true {
        shared.deletable.lock().unwrap().insert(name.into_inner());
    }
    HttpResponse::NoContent().finish()
}

async fn remove(shared: web::Data<Shared>, name: web::Path<String>) -> HttpResponse {
    if !shared.deletable.lock().unwrap().contains(&*name) {
        return HttpResponse::BadRequest().finish();
    }
    shared.keys.lock().unwrap().remove(&*name);
    HttpResponse::NoContent().finish()
}

fn fresh(kind: &str) -> Option<PKey<Private>> {
    Some(match kind {
        "rsa-2048" => PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap(),
        "ecdsa-p256" => {
            let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
            PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
        }
        _ => return None,
    })
}

async fn show(shared: web::Data<Shared>, name: web::Path<String>) -> HttpResponse {
    let keys = shared.keys.lock().unwrap();
    let Some(key) = keys.get(&*name) else { return HttpResponse::NotFound().finish() };
    let versions = key.iter().zip(1..).map(|(key, version)| {
        let pem = String::from_utf8(key.public_key_to_pem().unwrap()).unwrap();
        (version.to_string(), json!({ "public_key": pem }))
    });
    HttpResponse::Ok().json(json!({ "data": { "keys": versions.collect::<Map<_, _>>() } }))
}

async fn sign(
    shared: web::Data<Shared>,
    name: web::Path<String>,
    body: web::Json<Value>,
    request: HttpRequest,
) -> HttpResponse {
    let header = |name| Some(request.headers().get(name)?.to_str().ok()?.to_owned());
    if is_caused(&request) {
        *shared.named.lock().unwrap() = ["x-request-id", "traceparent"].map(header);
    }
    let keys = shared.keys.lock().unwrap();
    let Some(versions) = keys.get(&*name) else { return HttpResponse::BadRequest().finish() };
    let version =
        body["key_version"].as_u64().map_or(versions.len(), |one| one.try_into().unwrap());
    let key = &versions[version - 1];
    let input = STANDARD.decode(body["input"].as_str().unwrap()).unwrap();
    let mut signer = Signer::new(MessageDigest::sha256(), key).unwrap();
    let signature = STANDARD.encode(signer.sign_oneshot_to_vec(&input).unwrap());
    HttpResponse::Ok()
        .json(json!({ "data": { "signature": format!("vault:v{version}:{signature}") } }))
}
