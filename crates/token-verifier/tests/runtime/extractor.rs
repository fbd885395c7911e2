use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, get, web};
use token_verifier::{AuthenticatedUser, RecentlyAuthenticated};

use crate::issuer::Issuer;
use crate::tokens::{SESSION, Subject, USER, jwk};

#[get("/me")]
async fn me(user: AuthenticatedUser) -> String {
    format!("{} {} {}", user.user_id(), user.device_id(), user.session_id())
}

#[get("/pay")]
async fn pay(user: RecentlyAuthenticated) -> String {
    user.user_id().to_string()
}

#[get("/pay-later")]
async fn pay_later(user: RecentlyAuthenticated<900>) -> String {
    user.user_id().to_string()
}

pub async fn ask(subject: &Subject, authorization: &[&str]) -> ServiceResponse {
    ask_at("/me", subject, authorization).await
}

async fn ask_at(path: &str, subject: &Subject, authorization: &[&str]) -> ServiceResponse {
    let verifier = web::Data::new(subject.verifier.clone());
    let app = App::new().app_data(verifier).service(me).service(pay).service(pay_later);
    let app = init_service(app).await;
    let request = authorization.iter().fold(TestRequest::get().uri(path), |request, value| {
        request.append_header((AUTHORIZATION, *value))
    });
    call_service(&app, request.to_request()).await
}

pub fn header(response: &ServiceResponse, name: &actix_web::http::header::HeaderName) -> String {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned()
}

#[actix_web::test]
async fn the_extractor_lets_in_exactly_one_good_bearer_token() {
    let issuer = Issuer::started(&[jwk("k1")]);
    let subject = Subject::of(&issuer).ready().await;
    let good = format!("Bearer {}", subject.token("k1", "j"));
    let answer = ask(&subject, &[&good]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(read_body(answer).await, format!("{USER} {USER} {SESSION}"));
    let answer = ask(&subject, &[]).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(header(&answer, &WWW_AUTHENTICATE), "Bearer");
    let bogus = good.replace("Bearer ", "Bearer x");
    for bad in [vec![bogus.as_str()], vec!["Bearer"], vec!["Basic eDp5"], vec![&good, &good]] {
        let answer = ask(&subject, &bad).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{bad:?}");
        assert_eq!(header(&answer, &WWW_AUTHENTICATE), r#"Bearer error="invalid_token""#);
    }
}

#[actix_web::test]
async fn who_cannot_judge_answers_503_and_never_401() {
    let issuer = Issuer::absent();
    let subject = Subject::of(&issuer);
    let answer = ask(&subject, &[&format!("Bearer {}", subject.token("k1", "j"))]).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(header(&answer, &RETRY_AFTER), "1");
    assert_eq!(header(&answer, &WWW_AUTHENTICATE), "");
}

#[actix_web::test]
async fn who_signed_in_longer_ago_than_a_handler_asks_for_is_told_what_would_do() {
    let issuer = Issuer::started(&[jwk("k1")]);
    let subject = Subject::of(&issuer).ready().await;
    let lately = format!("Bearer {}", subject.token_of_login(290));
    assert_eq!(ask_at("/pay", &subject, &[&lately]).await.status(), StatusCode::OK);
    let token = format!("Bearer {}", subject.token_of_login(310));
    let refused = ask_at("/pay", &subject, &[&token]).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    // RFC 9470, section 3.
    let challenge = header(&refused, &WWW_AUTHENTICATE);
    assert!(challenge.starts_with(r#"Bearer error="insufficient_user_authentication""#));
    assert!(challenge.ends_with(r#"max_age="300""#), "{challenge}");
    assert_eq!(ask_at("/pay-later", &subject, &[&token]).await.status(), StatusCode::OK);
    assert_eq!(ask(&subject, &[&token]).await.status(), StatusCode::OK);
    let nobody = ask_at("/pay", &subject, &[]).await;
    assert_eq!(header(&nobody, &WWW_AUTHENTICATE), "Bearer");
}
