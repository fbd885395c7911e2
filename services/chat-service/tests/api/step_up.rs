//! What chat-service would ask of who does something sensitive.

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use actix_web::test::{TestRequest, call_service, init_service};
use actix_web::{App, delete, web};
use chat_service::config::{SCHEMA, Settings};
use chrono::TimeDelta;
use common::clock::Clock;
use common::metrics::Metrics;
use common::settings::Environment;
use token_verifier::{RecentlyAuthenticated, Verifier};

use super::issuer::{User, public_key_file};

#[delete("/all")]
async fn remove_all(user: RecentlyAuthenticated) -> String {
    user.user_id().to_string()
}

#[tokio::test]
async fn a_handler_of_chat_service_may_ask_for_a_sign_in_of_the_last_minutes() {
    let environment: Environment = [
        ("CHAT_SERVICE__ENVIRONMENT", "development".to_owned()),
        ("CHAT_SERVICE__DATABASE__URL", "postgres://nobody@127.0.0.1:1/none".to_owned()),
        ("CHAT_SERVICE__VERIFIER__PUBLIC_KEY_FILES", public_key_file()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into_iter()
    .collect();
    let settings: Settings = SCHEMA.load(&environment).unwrap();
    let clock = Clock::default();
    let verifier = Verifier::start(&settings.verifier, clock.clone(), &Metrics::new("test"));
    let verifier = web::Data::new(verifier.unwrap());
    let app = init_service(App::new().app_data(verifier).service(remove_all)).await;
    let bearer = format!("Bearer {}", User::new().token);
    let request = || {
        let request = TestRequest::delete().uri("/all");
        request.insert_header((AUTHORIZATION, bearer.as_str())).to_request()
    };
    assert_eq!(call_service(&app, request()).await.status(), StatusCode::OK);
    clock.turn(TimeDelta::minutes(6));
    let refused = call_service(&app, request()).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let challenge = refused.headers().get(WWW_AUTHENTICATE).unwrap().to_str().unwrap();
    assert!(challenge.contains("insufficient_user_authentication"), "{challenge}");
}
