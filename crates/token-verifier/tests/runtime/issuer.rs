//! A small issuer: key set and change feed over real HTTP, with levers for everything that can go
//! wrong.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::dev::{ServerHandle, Service as _};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::tokens::until;

pub const CLIENT: &str = "chat-service";
pub const SECRET: &str = "feed-secret";
/// `chat-service:feed-secret`.
const CREDENTIALS: &str = "Basic Y2hhdC1zZXJ2aWNlOmZlZWQtc2VjcmV0";

/// How the key set's address answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Proper,
    Redirecting,
    Html,
    Huge,
    CutShort,
    /// Says how long its answer is and hangs up before the end.
    HungUp,
    /// JSON, and no key set.
    NoSet,
    /// A byte now and then, for ever.
    Dripping,
    Failing,
    Silent,
}

pub struct State {
    pub manner: Mutex<Manner>,
    pub keys: Mutex<Vec<Value>>,
    /// What a stream begins with, by the id that it resumes from.
    log: Mutex<Vec<String>>,
    /// Streams end their replay with `caught_up`.
    pub catches_up: AtomicBool,
    streams: Mutex<Vec<UnboundedSender<Bytes>>>,
    /// The `Last-Event-ID` of each stream so far.
    pub resumed_from: Mutex<Vec<Option<String>>>,
    /// Path and query of all that was asked for.
    pub asked: Mutex<Vec<String>>,
    pub asked_for_one: AtomicUsize,
    pub asked_for_all: AtomicUsize,
    pub unmodified: AtomicUsize,
    /// While held, no single key is answered.
    pub held: tokio::sync::Mutex<()>,
}

pub struct Issuer {
    pub state: Arc<State>,
    pub address: SocketAddr,
    /// Holds the address while nobody listens there: connections are refused, others kept out.
    socket: Option<TcpSocket>,
    server: Option<ServerHandle>,
}

impl Issuer {
    /// An issuer at an address of its own, not listening yet.
    pub fn absent() -> Self {
        let socket = hold(([127, 0, 0, 1], 0).into()).unwrap();
        let address = socket.local_addr().unwrap();
        let state = State {
            manner: Mutex::new(Manner::Proper),
            keys: Mutex::default(),
            log: Mutex::default(),
            catches_up: AtomicBool::new(true),
            streams: Mutex::default(),
            resumed_from: Mutex::default(),
            asked: Mutex::default(),
            asked_for_one: AtomicUsize::new(0),
            asked_for_all: AtomicUsize::new(0),
            unmodified: AtomicUsize::new(0),
            held: tokio::sync::Mutex::default(),
        };
        Self { state: Arc::new(state), address, socket: Some(socket), server: None }
    }

    pub fn started(keys: &[Value]) -> Self {
        let mut issuer = Self::absent();
        keys.clone_into(&mut issuer.state.keys.lock().unwrap());
        issuer.start();
        issuer
    }

    pub fn start(&mut self) {
        let state = web::Data::from(Arc::clone(&self.state));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(state.clone())
                .route("/.well-known/jwks.json", web::get().to(key_set))
                .route("/.well-known/jwks/changes", web::get().to(changes))
                .wrap_fn(|request, service| {
                    let asked = request.uri().to_string();
                    let state = request.app_data::<web::Data<State>>().unwrap();
                    state.asked.lock().unwrap().push(asked);
                    service.call(request)
                })
        });
        let socket = self.socket.take().unwrap().listen(64).unwrap().into_std().unwrap();
        let server = server.workers(1).disable_signals().listen(socket).unwrap().run();
        self.server = Some(server.handle());
        actix_web::rt::spawn(server);
    }

    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop(false).await;
        }
        self.cut_streams();
        until("the address is free", || hold(self.address).is_ok()).await;
        self.socket = hold(self.address).ok();
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn behave(&self, manner: Manner) {
        *self.state.manner.lock().unwrap() = manner;
    }

    pub fn take_back(&self, kid: &str) {
        self.state.keys.lock().unwrap().retain(|jwk| jwk["kid"] != kid);
    }

    pub fn publish(&self, jwk: Value) {
        self.state.keys.lock().unwrap().push(jwk);
    }

    /// Enters an event and sends it to all streams.
    pub fn announce(&self, name: &str, data: &Value) {
        let mut log = self.state.log.lock().unwrap();
        let event = format!("id: {}\nevent: {name}\ndata: {data}\n\n", log.len() + 1);
        log.push(event.clone());
        drop(log);
        self.say(&event);
    }

    /// Sends `text` to all streams as it is.
    pub fn say(&self, text: &str) {
        for stream in &*self.state.streams.lock().unwrap() {
            let _ = stream.send(Bytes::copy_from_slice(text.as_bytes()));
        }
    }

    pub fn cut_streams(&self) {
        self.state.streams.lock().unwrap().clear();
    }

    pub fn open_streams(&self) -> usize {
        let mut streams = self.state.streams.lock().unwrap();
        streams.retain(|stream| !stream.is_closed());
        streams.len()
    }

    pub fn streams_so_far(&self) -> usize {
        self.state.resumed_from.lock().unwrap().len()
    }
}

fn hold(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn key_set(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    let kid = request.query_string().strip_prefix("kid=").map(str::to_owned);
    if kid.is_some() {
        state.asked_for_one.fetch_add(1, Ordering::SeqCst);
        drop(state.held.lock().await);
    } else {
        state.asked_for_all.fetch_add(1, Ordering::SeqCst);
    }
    let manner = *state.manner.lock().unwrap();
    let mut answer = HttpResponse::Ok();
    answer.content_type("application/jwk-set+json");
    match manner {
        Manner::Proper => proper(&request, &state, kid.as_deref()),
        Manner::Redirecting => {
            HttpResponse::Found().insert_header(("location", "/elsewhere")).finish()
        }
        Manner::Html => HttpResponse::Ok().content_type("text/html").body("<html></html>"),
        Manner::Huge => answer.body(vec![b' '; 17 * 1024 * 1024]),
        Manner::CutShort => answer.body(r#"{"keys":[{"kty":"RSA","kid""#),
        Manner::HungUp => answer.no_chunking(1000).streaming(futures_util::stream::iter([Ok::<
            _,
            actix_web::Error,
        >(
            Bytes::from_static(br#"{"keys":["#),
        )])),
        Manner::NoSet => answer.body(r#"{"keys":{"kid":"k1"}}"#),
        Manner::Dripping => answer.streaming(futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some((Ok::<_, actix_web::Error>(Bytes::from_static(b" ")), ()))
        })),
        Manner::Failing => HttpResponse::InternalServerError().finish(),
        Manner::Silent => {
            tokio::time::sleep(Duration::from_mins(1)).await;
            answer.finish()
        }
    }
}

fn proper(request: &HttpRequest, state: &State, kid: Option<&str>) -> HttpResponse {
    let keys = state.keys.lock().unwrap();
    let shown: Vec<&Value> =
        keys.iter().filter(|jwk| kid.map_or(jwk["cut"] != true, |kid| jwk["kid"] == kid)).collect();
    let etag = format!("\"{}\"", shown.len());
    if request.headers().get("if-none-match").is_some_and(|tag| tag == etag.as_str()) {
        state.unmodified.fetch_add(1, Ordering::SeqCst);
        return HttpResponse::NotModified().finish();
    }
    HttpResponse::Ok()
        .content_type("application/jwk-set+json")
        .insert_header(("etag", etag))
        .body(json!({ "keys": shown }).to_string())
}

async fn changes(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    let header = |name: &str| request.headers().get(name)?.to_str().ok().map(str::to_owned);
    if header("authorization").as_deref() != Some(CREDENTIALS) {
        return HttpResponse::Unauthorized().finish();
    }
    let (sender, receiver) = unbounded_channel::<Bytes>();
    let from = header("last-event-id");
    let skipped = from.as_ref().and_then(|id| id.parse().ok()).unwrap_or(0);
    for event in state.log.lock().unwrap().iter().skip(skipped) {
        let _ = sender.send(Bytes::copy_from_slice(event.as_bytes()));
    }
    if state.catches_up.load(Ordering::SeqCst) {
        let _ = sender.send(Bytes::from_static(b"event: caught_up\ndata: {}\n\n"));
    }
    state.streams.lock().unwrap().push(sender);
    state.resumed_from.lock().unwrap().push(from);
    let body = futures_util::stream::unfold(receiver, |mut receiver| async {
        let piece = receiver.recv().await?;
        Some((Ok::<_, actix_web::Error>(piece), receiver))
    });
    HttpResponse::Ok().content_type("text/event-stream").streaming(body)
}
