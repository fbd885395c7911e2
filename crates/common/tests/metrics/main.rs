//! What a scraper gets, and what of a request it can be found by there.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test")]

mod openmetrics;

use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::{HttpResponse, get, web};
use openmetrics::{Family, Sample, parse};
use reqwest::Client;
use test_support::{Answer, TestServer};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// As Prometheus 3 asks.
const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
     application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,\
     text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
const DURATION: &str = "a_service_http_request_duration_seconds";

#[utoipa::path(responses((status = 200, description = "It is here")))]
#[get("/things/{thing}")]
async fn thing(_: web::Path<String>) -> HttpResponse {
    HttpResponse::Ok().finish()
}

async fn start() -> TestServer {
    let blueprint = async || {
        Ok(TestServer::bare(|config| {
            config.service(thing);
        }))
    };
    TestServer::start(blueprint).await
}

async fn scrape(server: &TestServer, accept: Option<&str>) -> Answer {
    let request = Client::builder().no_proxy().build().unwrap().get(server.admin_url("/metrics"));
    let request = accept.into_iter().fold(request, |request, kind| request.header("accept", kind));
    Answer::read(request.send().await.unwrap()).await.expect(200)
}

/// A request with these ids; its own id as it is answered.
async fn call(server: &TestServer, path: &str, request_id: &str, trace_id: &str) -> String {
    let request = Client::builder().no_proxy().build().unwrap().get(server.url(path));
    let request = request.header("x-request-id", request_id);
    let request = request.header("traceparent", format!("00-{trace_id}-00f067aa0ba902b7-01"));
    Answer::read(request.send().await.unwrap()).await.header("x-request-id").to_owned()
}

fn durations(families: &[Family]) -> Vec<&Sample> {
    let family = families.iter().find(|family| family.name == DURATION).expect("the histogram");
    family.samples.iter().collect()
}

#[tokio::test]
async fn a_scrape_for_openmetrics_names_the_newest_request_of_each_bucket() {
    let server = start().await;
    let earliest = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() - 0.001;
    for count in 0..20 {
        call(&server, "/things/1", &format!("request.{count}"), TRACE).await;
    }
    call(&server, "/nowhere", "another", TRACE).await;
    let answer = scrape(&server, Some(OPENMETRICS)).await;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(answer.header("content-type"), kind);
    let families = parse(&answer.text);

    let mut ids = Vec::new();
    let mut buckets = durations(&families);
    buckets.retain(|sample| sample.label("route") == "/things/{thing}" && sample.has("le"));
    assert_eq!(buckets.last().unwrap().value.to_string(), "20");
    for (at, bucket) in buckets.iter().enumerate() {
        let below = at.checked_sub(1).map(|below| buckets[below]);
        // Who has fallen into this bucket and no lower one is who may stand for it.
        let own = bucket.value - below.map_or(0.0, |below| below.value);
        let Some(exemplar) = &bucket.exemplar else {
            assert!(own < 1.0, "{bucket:?}");
            continue;
        };
        assert!(own >= 1.0 && exemplar.value <= bucket.bound(), "{bucket:?}");
        assert!(below.is_none_or(|below| exemplar.value > below.bound()), "{bucket:?}");
        assert_eq!(exemplar.labels[0], ("trace_id".to_owned(), TRACE.to_owned()));
        assert!(exemplar.timestamp.unwrap() >= earliest, "{bucket:?}");
        ids.push(exemplar.labels[1].clone());
    }
    assert!(ids.contains(&("request_id".to_owned(), "request.19".to_owned())), "{ids:?}");

    let all = durations(&families);
    let mut unmatched = all.iter().filter(|sample| sample.label("route") == "unmatched");
    let exemplar = unmatched.find_map(|sample| sample.exemplar.as_ref()).unwrap();
    assert_eq!(exemplar.labels[1].1, "another");
}

#[tokio::test]
async fn an_exemplar_has_no_more_of_a_strangers_id_than_the_answer() {
    let server = start().await;
    let longest = "x".repeat(64);
    for given in [longest.as_str(), &"x".repeat(65), "a\"} 1 # {b=\"c", "\u{e9}\\n"] {
        let id = call(&server, "/nowhere", given, TRACE).await;
        assert!(given == longest || given != id);
        // The parser refuses more than 128 characters and what is not escaped.
        let families = parse(&scrape(&server, Some(OPENMETRICS)).await.text);
        let named = |sample: &&Sample| {
            sample.exemplar.as_ref().is_some_and(|exemplar| exemplar.labels[1].1 == id)
        };
        assert_eq!(durations(&families).into_iter().filter(named).count(), 1, "{given}");
    }
}

#[tokio::test]
async fn who_does_not_ask_for_openmetrics_gets_the_classic_text() {
    let server = start().await;
    call(&server, "/things/1", "mine", TRACE).await;
    for accept in [None, Some("*/*"), Some("text/plain"), Some("no media type")] {
        let answer = scrape(&server, accept).await;
        assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4");
        for line in [
            "# HELP a_service_http_requests_total Requests answered, by method, route pattern and status\n\
             # TYPE a_service_http_requests_total counter\n\
             a_service_http_requests_total{method=\"GET\",route=\"/things/{thing}\",status=\"200\"} 1\n",
            "_bucket{method=\"GET\",route=\"/things/{thing}\",le=\"1\"} 1\n",
        ] {
            assert!(answer.text.contains(line), "{line}\nis missing in\n{}", answer.text);
        }
        assert!(!answer.text.contains("mine") && !answer.text.contains("# EOF"));
    }
}
