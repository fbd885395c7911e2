//! The cookie API under load: `verify-token`, CSRF, rotations; and readiness beside it.

use std::time::Duration;

use anyhow::{Result, bail};
use futures_util::future::try_join_all;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::json;
use test_support::TestBrowser;
use tokio::time::Instant;

use crate::figure::{Figure, Goal, Unit};
use crate::house::House;
use crate::load::{Latencies, ms, open_loop};
use crate::service::client;

const FAMILIES: u32 = 16;
const LANES: usize = 16;
const RATE: u32 = 1_000;
const PERIOD: Duration = Duration::from_secs(5);
const VERIFY: &str = "/api/v5/auth/verify-token";
const REFRESH: &str = "/api/v5/auth/refresh";

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let house = House::with_keys(2 * FAMILIES).await?;
    let mut browsers = Vec::new();
    for _ in 0..FAMILIES {
        browsers.push(house.browse().await?);
    }
    let mut figures = answers(&house, &browsers[0]).await?;
    figures.push(rotations(&house, &browsers).await?);
    Ok(figures)
}

/// How long answers take that need no database.
async fn answers(house: &House, browser: &TestBrowser) -> Result<Vec<Figure>> {
    let http = client()?;
    let verify = || browser.request(Method::GET, VERIFY);
    let verify = load(StatusCode::NO_CONTENT, verify).await?;
    let issue = || browser.request(Method::GET, "/api/v5/auth/csrf");
    let issue = load(StatusCode::OK, issue).await?;
    let forged = || browser.request(Method::POST, REFRESH).header("x-csrf-token", "1.forged");
    let forged = load(StatusCode::FORBIDDEN, forged).await?;
    let ready = || http.get(house.users.admin_url("/ready"));
    let ready = load(StatusCode::OK, ready).await?;
    Ok(vec![
        figure("`verify-token` from memory, p95", &verify, Some(Goal::AtMost(2.0))),
        figure("a CSRF token made, p95", &issue, None),
        figure("a request refused for its CSRF token, p95", &forged, None),
        figure(
            "readiness with its details on the admin port, p95",
            &ready,
            Some(Goal::AtMost(10.0)),
        ),
    ])
}

async fn load(expected: StatusCode, request: impl Fn() -> RequestBuilder) -> Result<Latencies> {
    let request = &request;
    let lane = || async move {
        let answer = request().send().await?;
        let status = answer.status();
        answer.bytes().await?;
        if status == expected { Ok(()) } else { bail!("answered {status}, not {expected}") }
    };
    let mut lanes = vec![lane; LANES];
    open_loop(RATE, PERIOD, &mut lanes).await
}

fn figure(what: &'static str, taken: &Latencies, goal: Option<Goal>) -> Figure {
    let [half, most, nearly, all] = [0.5, 0.95, 0.99, 1.0].map(|share| ms(taken.percentile(share)));
    Figure {
        what,
        value: most,
        unit: Unit::Milliseconds,
        goal,
        detail: format!(
            "{} requests at {RATE} a second, p50 {half:.2} ms, p99 {nearly:.2} ms, longest {all:.1} ms",
            taken.count()
        ),
        limit: "the HTTP exchange; nothing else is waited for",
    }
}

/// What cookies, CSRF and the browser's own checks take of a rotation.
async fn rotations(house: &House, browsers: &[TestBrowser]) -> Result<Figure> {
    let mut sessions = Vec::new();
    for _ in 0..FAMILIES {
        sessions.push(house.join().await?);
    }
    house.rest(2 * FAMILIES).await?;
    let in_browsers = rate(browsers.iter().map(|browser| {
        async move || {
            let answer = browser.post(REFRESH, &json!({})).await;
            if answer.status == StatusCode::OK {
                Ok(())
            } else {
                bail!("{REFRESH}: {}", answer.text)
            }
        }
    }))
    .await?;
    let of_apps =
        rate(sessions.iter_mut().map(|session| async || house.refresh(session).await)).await?;
    Ok(Figure {
        what: "cookie session rotations a second, against the bearer API's",
        value: in_browsers / of_apps,
        unit: Unit::Ratio,
        goal: Some(Goal::AtLeast(0.8)),
        detail: format!("{in_browsers:.0}/s against {of_apps:.0}/s, {FAMILIES} sessions each"),
        limit: "four cookies read and set, and the load's own jar",
    })
}

/// How often a second all of these together get done.
async fn rate(rotations: impl Iterator<Item = impl AsyncFnMut() -> Result<()>>) -> Result<f64> {
    let started = Instant::now();
    let lanes = rotations.map(|mut rotate| async move {
        let mut count = 0_u32;
        while started.elapsed() < PERIOD {
            rotate().await?;
            count += 1;
        }
        anyhow::Ok(count)
    });
    let done: u32 = try_join_all(lanes).await?.iter().sum();
    Ok(f64::from(done) / started.elapsed().as_secs_f64())
}
