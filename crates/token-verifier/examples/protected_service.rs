//! A service that only people with a Latchkey access token may call. With the user-service up:
//! `FEED_SECRET=… cargo run --package token-verifier --example protected_service`.

use std::error::Error;

use actix_web::{App, HttpResponse, HttpServer, get, web};
use common::metrics::Metrics;
use common::readiness::State;
use common::settings::Secret;
use token_verifier::{AuthenticatedUser, Verifier};

#[get("/me")]
async fn me(user: AuthenticatedUser) -> String {
    format!("you are {} on device {}\n", user.user_id(), user.device_id())
}

#[get("/ready")]
async fn ready(verifier: web::Data<Verifier>) -> HttpResponse {
    match verifier.readiness() {
        State::Ready | State::Degraded(_) => HttpResponse::Ok().finish(),
        State::NotReady(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = Secret::from(std::env::var("FEED_SECRET")?);
    let verifier = Verifier::builder("http://127.0.0.1:8080", "chat-service", secret)
        .start(&Metrics::new("protected-service"))?;
    let verifier = web::Data::new(verifier);
    let app = move || App::new().app_data(verifier.clone()).service(me).service(ready);
    HttpServer::new(app).bind("127.0.0.1:8090")?.run().await?;
    Ok(())
}
