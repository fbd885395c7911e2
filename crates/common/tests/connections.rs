//! What strangers may do with connections, and for how long.

use std::time::Duration;

use actix_web::web::Bytes;
use actix_web::{HttpResponse, get};
use common::service::HttpSettings;
use common::tls::trust;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use reqwest::Client;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use test_support::{Answer, RawConnection, TestAuthority, TestServer};
use tokio::time::sleep;

const HOST: &str = "127.0.0.1";
/// Longer than a connection may stay without a request.
const LONG: Duration = Duration::from_secs(11);

#[utoipa::path(responses((status = 200, description = "At last")))]
#[get("/slow")]
async fn slow() -> HttpResponse {
    sleep(LONG).await;
    HttpResponse::Ok().finish()
}

#[utoipa::path(responses((status = 200, description = "In two pieces")))]
#[get("/halting")]
async fn halting() -> HttpResponse {
    let pieces = stream::iter([(Duration::ZERO, "first"), (LONG, "last")]);
    HttpResponse::Ok().streaming(pieces.then(async |(pause, piece)| {
        sleep(pause).await;
        Ok::<_, std::io::Error>(Bytes::from_static(piece.as_bytes()))
    }))
}

async fn start(http: HttpSettings) -> TestServer {
    let blueprint = async || {
        Ok(TestServer::bare(|config| {
            config.service(slow).service(halting);
        }))
    };
    TestServer::start_with(http, blueprint).await
}

#[tokio::test]
async fn who_never_shakes_hands_keeps_nobody_from_tls() {
    // Fewer than are needed: the service allows itself more.
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(512), maximum }).unwrap();
    let authority = TestAuthority::new();
    let http = HttpSettings { workers: 1, ..TestServer::http() };
    let server = TestServer::start_tls_with(http, &authority.issue(HOST), async || {
        Ok(TestServer::bare(|_| {}))
    })
    .await;
    let client = Client::builder().no_proxy();
    let client = trust(client, "a.ca_path", Some(authority.ca_path())).unwrap().build().unwrap();
    let mut silent = join_all((0..1200).map(|_| RawConnection::open(server.address()))).await;
    let answer = client.get(server.url("/health")).timeout(Duration::from_secs(2)).send().await;
    let _ = Answer::read(answer.unwrap()).await.expect(200);
    for connection in &mut silent {
        connection.closed().await;
    }
}

#[tokio::test]
async fn a_later_request_whose_head_never_ends_does_not_keep_its_connection() {
    let server = start(TestServer::http()).await;
    let whole = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    let held = async |begun: &str, more: &str| {
        let mut connection = RawConnection::open(server.address()).await;
        let asked = format!("{whole}{begun}");
        assert_eq!(connection.ask(asked.as_bytes()).await.status, 200);
        connection.closed_though_sent(more.as_bytes(), Duration::from_millis(500)).await;
    };
    tokio::join!(held("", "G"), held("GET /health HTTP/1.1\r\nX-More: ", "a"));
}

#[tokio::test]
async fn an_answer_may_take_its_time() {
    let server = start(TestServer::http()).await;
    let ask = async |path: &str| {
        let url = server.url(path);
        Answer::read(reqwest::get(url).await.unwrap()).await.expect(200).text
    };
    let texts = tokio::join!(ask("/slow"), ask("/halting"));
    assert_eq!(texts, (String::new(), "firstlast".to_owned()));
}
