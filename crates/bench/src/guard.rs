//! A GET behind the verifier's guard, against the same GET without it.

use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, get, web};
use anyhow::Result;
use common::metrics::Metrics;
use common::settings::Secret;
use token_verifier::{AuthenticatedUser, Verifier};

use crate::figure::{Figure, Goal, Unit};
use crate::house::House;
use crate::load::closed_loop;
use crate::service::client;

const LANES: usize = 16;
const ROUNDS: usize = 5;
const PERIOD: Duration = Duration::from_millis(1_500);

#[get("/guarded")]
async fn guarded(user: AuthenticatedUser) -> HttpResponse {
    HttpResponse::Ok().json([user.user_id()])
}

#[get("/open")]
async fn open() -> HttpResponse {
    HttpResponse::Ok().json([uuid::Uuid::nil()])
}

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let house = House::start(0).await?;
    let session = house.join().await?;
    let secret = Secret::from("development-feed-secret".to_owned());
    let verifier = Verifier::builder(&house.users.url(""), "chat-service", secret)
        .start(&Metrics::new("bench"))
        .map_err(anyhow::Error::msg)?;
    let data = web::Data::new(verifier);
    let app = move || App::new().app_data(data.clone()).service(guarded).service(open);
    let server = HttpServer::new(app).workers(1).disable_signals().bind("127.0.0.1:0")?;
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    tokio::spawn(server);
    let [one, other] = ["guarded", "open"].map(|path| format!("http://{address}/{path}"));
    let http = client()?;
    // Both send the token, so that reading the request costs the same.
    let get = async |url: &str| {
        let request = http.get(url).bearer_auth(&session.access_token);
        request.send().await?.error_for_status()?.bytes().await?;
        anyhow::Ok(())
    };
    while get(&one).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        with.push(closed_loop(LANES, PERIOD, || get(&one)).await?);
        without.push(closed_loop(LANES, PERIOD, || get(&other)).await?);
    }
    handle.stop(true).await;
    let [with, without] = [with, without].map(median);
    Ok(vec![Figure {
        what: "authenticated GET, against the same without authentication, throughput",
        value: with / without,
        unit: Unit::Ratio,
        goal: Some(Goal::AtLeast(0.9)),
        detail: format!("{with:.0}/s against {without:.0}/s"),
        limit: "SHA-256 of the token, a third of what the guard adds",
    }])
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
