//! TLS on both listeners, and what clients make of it.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::fs;
use std::time::Duration;

use actix_web::{HttpResponse, post};
use common::http::{Body as Json, Hsts, HstsSettings};
use common::metrics::Metrics;
use common::readiness::State;
use common::redis::RedisSettings;
use common::service::{Blueprint, HttpSettings};
use common::settings::DeploymentEnvironment::{Development, Preview, Production};
use common::settings::{List, Period, Secret};
use common::tls::{describe, trust};
use futures_util::stream;
use openssl::ssl::{SslConnector, SslMethod, SslVersion};
use reqwest::header::HeaderMap;
use reqwest::{Body, Client};
use serde_json::Value;
use test_support::{
    Answer, RawConnection, TestAuthority, TestCertificate, TestRedis, TestServer, TlsFront,
    eventually,
};
use tokio::sync::oneshot;

const HOST: &str = "127.0.0.1";
const KEEP_TO_IT: &str = "max-age=63072000";

#[utoipa::path(request_body = Value, responses((status = 200, description = "It came")))]
#[post("/echo")]
async fn echo(Json(body): Json<Value>) -> HttpResponse {
    HttpResponse::Ok().json(body)
}

async fn start(certificate: &TestCertificate) -> TestServer {
    let blueprint = async || {
        let blueprint = TestServer::bare(|config| {
            config.service(echo);
        });
        Ok(Blueprint { hsts: Hsts::new(DEFAULT, Production, None), ..blueprint })
    };
    TestServer::start_tls(certificate, blueprint).await
}

/// Every request of it shakes hands anew.
fn client(authority: Option<&TestAuthority>) -> Client {
    let client = Client::builder().no_proxy().pool_max_idle_per_host(0);
    let client = trust(client, "a.ca_path", authority.map(TestAuthority::ca_path)).unwrap();
    client.build().unwrap()
}

async fn get(client: &Client, url: &str) -> Answer {
    Answer::read(client.get(url).send().await.unwrap()).await
}

/// How often the server has taken or refused a change of its certificate.
async fn changes(server: &TestServer, client: &Client, outcome: &str) -> u32 {
    let name = format!("a_service_tls_certificate_changes_total{{outcome=\"{outcome}\"}} ");
    let text = get(client, &server.admin_url("/metrics")).await.text;
    let value = text.lines().find_map(|line| line.strip_prefix(&name));
    value.map_or(0, |value| value.parse().unwrap())
}

/// As operators have it who set nothing.
const DEFAULT: HstsSettings =
    HstsSettings { max_age: Period(Duration::from_hours(2 * 365 * 24)), include_subdomains: false };

/// What an answer to a request for `host` tells browsers of keeping to TLS.
async fn told(client: &Client, url: String, host: &str) -> String {
    let answer = Answer::read(client.get(url).header("host", host).send().await.unwrap()).await;
    answer.header("strict-transport-security").to_owned()
}

#[tokio::test]
async fn both_listeners_speak_tls_and_tell_browsers_to_keep_to_it() {
    let authority = TestAuthority::new();
    let server = start(&authority.issue(HOST)).await;
    let client = client(Some(&authority));
    for (url, status) in [
        (server.url("/health"), 200),
        (server.url("/nowhere"), 404),
        (server.admin_url("/live"), 200),
        (server.admin_url("/nowhere"), 404),
    ] {
        let _ = get(&client, &url).await.expect(status);
        for host in ["id.example.com", "ID.example.com:8443", "localhost.example.com"] {
            assert_eq!(told(&client, url.clone(), host).await, KEEP_TO_IT, "{url} {host}");
        }
        // What browsers would not heed, or heed at every port of somebody's own machine.
        for host in
            ["localhost", "LocalHost.:8443", "app.localhost", "127.0.0.1:8443", "127.1", "[::1]"]
        {
            assert_eq!(told(&client, url.clone(), host).await, "", "{url} {host}");
        }
    }
}

#[tokio::test]
async fn how_long_browsers_keep_to_tls_and_what_beneath_is_as_configured_and_nothing_in_development()
 {
    let authority = TestAuthority::new();
    let (certificate, client) = (authority.issue(HOST), client(Some(&authority)));
    let hour = Period(Duration::from_hours(1));
    for (environment, max_age, include_subdomains, said) in [
        (Production, hour, true, "max-age=3600; includeSubDomains"),
        (Preview, hour, false, "max-age=3600"),
        (Production, Period(Duration::ZERO), false, "max-age=0"),
        (Development, hour, true, ""),
    ] {
        let settings = HstsSettings { max_age, include_subdomains };
        let public_url = Some("https://id.example.com");
        let blueprint = Blueprint {
            hsts: Hsts::new(settings, environment, public_url),
            ..TestServer::bare(|_| {})
        };
        let server = TestServer::start_tls(&certificate, async || Ok(blueprint)).await;
        for url in [server.url("/health"), server.admin_url("/live")] {
            assert_eq!(told(&client, url.clone(), "id.example.com").await, said, "{url}");
        }
    }
}

#[tokio::test]
async fn a_service_behind_a_proxy_that_ends_tls_tells_browsers_so_and_no_other_does() {
    let proxies = |network: &str| List(vec![network.parse().unwrap()]);
    let (ours, here, public) = ("127.0.0.0/8", "127.0.0.1:8080", "https://id.example.com");
    for (public_url, network, protocol, host, forwarded_host, said) in [
        // Where browsers reach it is known, whatever the proxy calls it.
        (public, "10.0.0.0/8", "http", here, "", KEEP_TO_IT),
        ("https://localhost:8443", "10.0.0.0/8", "https", "id.example.com", "", ""),
        ("", ours, "http, https", "id.example.com", "", KEEP_TO_IT),
        ("", ours, "https", here, "a.example.com, id.example.com", KEEP_TO_IT),
        ("", ours, "https", "id.example.com", "localhost:8443", ""),
        ("", ours, "https", here, "", ""),
        ("", ours, "https, http", "id.example.com", "", ""),
        ("", "10.0.0.0/8", "https", "id.example.com", "", ""),
    ] {
        let public_url = Some(public_url).filter(|url| !url.is_empty());
        let hsts = Hsts::new(DEFAULT, Production, public_url);
        let blueprint = Blueprint { hsts, ..TestServer::bare(|_| {}) };
        let http = HttpSettings { trusted_proxies: proxies(network), ..TestServer::http() };
        let server = TestServer::start_with(http, async || Ok(blueprint)).await;
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-proto", protocol.parse().unwrap());
        if !forwarded_host.is_empty() {
            headers.insert("x-forwarded-host", forwarded_host.parse().unwrap());
        }
        let client = Client::builder().no_proxy().default_headers(headers).build().unwrap();
        for path in ["/health", "/nowhere"] {
            let found = told(&client, server.url(path), host).await;
            assert_eq!(found, said, "{public_url:?} {network} {protocol} {host} {forwarded_host}");
        }
        assert_eq!(told(&client, server.admin_url("/live"), "id.example.com").await, "");
    }
}

#[tokio::test]
async fn whoever_speaks_no_tls_or_never_shakes_hands_is_let_go_and_disturbs_nobody() {
    let authority = TestAuthority::new();
    let server = start(&authority.issue(HOST)).await;
    let mut silent = RawConnection::open(server.address()).await;
    let mut plain = RawConnection::open(server.address()).await;
    let answer = plain.ask(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!((answer.status, answer.head.as_str()), (0, ""));
    plain.closed().await;
    let _ = get(&client(Some(&authority)), &server.url("/health")).await.expect(200);
    silent.closed().await;
}

fn shake_hands(server: &TestServer, ca: &str, version: SslVersion) -> Result<(), String> {
    let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
    connector.set_min_proto_version(Some(version)).unwrap();
    connector.set_max_proto_version(Some(version)).unwrap();
    // Else OpenSSL itself would not offer what is older than TLS 1.2.
    connector.set_cipher_list("ALL:@SECLEVEL=0").unwrap();
    connector.set_ca_file(ca).unwrap();
    let stream = std::net::TcpStream::connect(server.address()).unwrap();
    connector.build().connect(HOST, stream).map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn nothing_older_than_tls_1_2_is_spoken() {
    let authority = TestAuthority::new();
    let server = start(&authority.issue(HOST)).await;
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        shake_hands(&server, authority.ca_path(), version).unwrap();
    }
    for version in [SslVersion::TLS1, SslVersion::TLS1_1] {
        let refused = shake_hands(&server, authority.ca_path(), version).unwrap_err();
        assert!(refused.contains("SSL alert number"), "{refused}");
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_served_from_then_on_and_what_was_begun_goes_on() {
    let (former, present) = (TestAuthority::new(), TestAuthority::new());
    let certificate = former.issue(HOST);
    let server = start(&certificate).await;
    let (of_former, of_present) = (client(Some(&former)), client(Some(&present)));
    let (begun, has_begun) = oneshot::channel();
    let (end, ended) = oneshot::channel::<&[u8]>();
    let body = Body::wrap_stream(stream::once(async move {
        begun.send(()).unwrap();
        ended.await
    }));
    let post = of_former.post(server.url("/echo")).header("content-type", "application/json");
    let posting = tokio::spawn(post.body(body).send());
    has_begun.await.unwrap();
    assert!(of_present.get(server.url("/health")).send().await.is_err());

    present.issue(HOST).replace(&certificate);
    eventually("the new certificate", || async {
        of_present.get(server.url("/health")).send().await.ok()
    })
    .await;
    // The client from before could resume its session, which shows no certificate.
    assert!(client(Some(&former)).get(server.url("/health")).send().await.is_err());
    end.send(b"{\"a\":1}").unwrap();
    let echoed = Answer::read(posting.await.unwrap().unwrap()).await.expect(200);
    assert_eq!(echoed.json["a"], 1);
    assert_eq!(changes(&server, &of_present, "replaced").await, 1);
}

#[tokio::test]
async fn a_pair_that_is_no_good_is_refused_and_the_one_before_it_goes_on() {
    let authority = TestAuthority::new();
    let certificate = authority.issue(HOST);
    let server = start(&certificate).await;
    let client = client(Some(&authority));
    for (number, paths) in [
        authority.issue_expired(HOST),
        TestCertificate { key_path: authority.issue(HOST).key_path, ..authority.issue(HOST) },
    ]
    .iter()
    .enumerate()
    {
        paths.replace(&certificate);
        eventually("it is refused", || async {
            let refused = changes(&server, &client, "refused").await;
            (usize::try_from(refused).unwrap() > number).then_some(())
        })
        .await;
    }
    let _ = get(&client, &server.url("/health")).await.expect(200);
    authority.issue(HOST).replace(&certificate);
    eventually("a good one is taken", || async {
        (changes(&server, &client, "replaced").await > 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn authorities_are_those_that_the_file_has_when_a_connection_is_made() {
    let (trusted, other) = (TestAuthority::new(), TestAuthority::new());
    let server = TestServer::start(async || Ok(TestServer::bare(|_| {}))).await;
    let front = TlsFront::start(&server.url(""), &other.issue(HOST)).await;
    let client = client(Some(&trusted));
    let is_believed = async || client.get(front.url("/health")).send().await.is_ok();
    let becomes = async |believed: bool| {
        eventually("it is heeded", async || (is_believed().await == believed).then_some(())).await;
    };
    let former = fs::read(trusted.ca_path()).unwrap();
    assert!(!is_believed().await);
    fs::copy(other.ca_path(), trusted.ca_path()).unwrap();
    becomes(true).await;
    fs::write(trusted.ca_path(), "no PEM").unwrap();
    // As long as it takes to be looked at again.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(is_believed().await);
    fs::write(trusted.ca_path(), former).unwrap();
    becomes(false).await;
}

#[tokio::test]
async fn redis_s_authority_is_the_one_that_its_file_has_when_a_connection_is_made() {
    let (authority, file) = (TestAuthority::new(), TestAuthority::new());
    let redis = TestRedis::start().await;
    let front = TlsFront::start(&redis.url(), &authority.issue(HOST)).await;
    let settings = RedisSettings {
        url: Some(Secret::from(front.url("").replace("https:", "rediss:"))),
        ca_file: Some(file.ca_path().to_owned()),
        prefix: String::new(),
        timeout: Period(Duration::from_secs(5)),
    };
    let redis = settings.open(&Metrics::new("a-service")).unwrap().unwrap();
    assert_ne!(redis.readiness().await, State::Ready);
    fs::copy(authority.ca_path(), file.ca_path()).unwrap();
    eventually("it is heeded", async || (redis.readiness().await == State::Ready).then_some(()))
        .await;
}

#[tokio::test]
async fn a_server_that_can_t_be_trusted_is_refused_and_the_error_says_what_to_do() {
    let (authority, other) = (TestAuthority::new(), TestAuthority::new());
    let server = TestServer::start(async || Ok(TestServer::bare(|_| {}))).await;
    let front = async |certificate| TlsFront::start(&server.url(""), &certificate).await;
    let good = front(authority.issue(HOST)).await;
    let _ = get(&client(Some(&authority)), &good.url("/health")).await.expect(200);
    let elsewhere = front(authority.issue("elsewhere.example")).await;
    let expired = front(authority.issue_expired(HOST)).await;
    let plain = server.url("/health").replace("http:", "https:");
    for (trusted, url, advice) in [
        (Some(&other), good.url("/health"), "`a.ca_path` names the authorities"),
        (None, good.url("/health"), "`a.ca_path` names the authorities"),
        (Some(&authority), elsewhere.url("/health"), "call it by a name"),
        (Some(&authority), expired.url("/health"), "must renew its certificate"),
        (Some(&authority), plain, "begin with http://"),
    ] {
        let asked = client(trusted).get(url).timeout(Duration::from_secs(20)).send().await;
        let error = describe(&asked.unwrap_err(), "a.ca_path");
        assert!(error.contains(advice), "{error}");
    }
}
