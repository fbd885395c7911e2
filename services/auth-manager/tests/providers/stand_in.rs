//! A plain OAuth 2.0 provider of GitHub's kind: no discovery, no id tokens, numbered users, errors
//! with status 200, and answers in JSON only to who asks for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use actix_web::http::header::{ACCEPT, AUTHORIZATION, LOCATION};
use actix_web::web::{Data, Form, Query};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use test_support::StandInServer;
use url::Url;

pub(crate) const CLIENT: &str = "hub-client";
pub(crate) const SECRET: &str = "hub-development-secret";
/// Whoever signs in.
pub(crate) const USER: u64 = 4711;

type Parameters = BTreeMap<String, String>;

#[derive(Default)]
struct Given {
    /// Challenges by their code.
    codes: BTreeMap<String, String>,
    access_token: String,
    refresh_token: String,
    number: u64,
}

pub(crate) struct StandIn {
    server: StandInServer,
    given: Arc<Mutex<Given>>,
}

impl StandIn {
    pub(crate) async fn start() -> Self {
        let given = Arc::<Mutex<Given>>::default();
        let shared = Data::from(Arc::clone(&given));
        let server = StandInServer::start(move |config| {
            config
                .app_data(shared.clone())
                .route("/authorize", web::get().to(authorize))
                .route("/token", web::post().to(token))
                .route("/user", web::get().to(user));
        });
        Self { server: server.await, given }
    }

    /// The provider `name` in a providers' file.
    pub(crate) fn table(&self, name: &str) -> String {
        format!(
            r#"
[{name}]
kind = "oauth2"
issuer = "{base}"
login_client = {{ id = "{CLIENT}", secret = "{SECRET}" }}
scope = "read:user"
subject_member = "id"
refresh_token_max_reuse = 0
[{name}.endpoints]
authorization = "{base}/authorize"
token = "{base}/token"
userinfo = "{base}/user"
"#,
            base = self.server.url("")
        )
    }

    /// The access token that it gave last.
    pub(crate) fn access_token(&self) -> String {
        self.given.lock().unwrap().access_token.clone()
    }

    /// The person takes all of it back.
    pub(crate) fn forget_all(&self) {
        let mut given = self.given.lock().unwrap();
        given.access_token.clear();
        given.refresh_token.clear();
    }
}

async fn authorize(given: Data<Mutex<Given>>, asked: Query<Parameters>) -> HttpResponse {
    let mut given = given.lock().unwrap();
    if asked["client_id"] != CLIENT || asked.contains_key("nonce") {
        return HttpResponse::BadRequest().finish();
    }
    given.number += 1;
    let code = format!("code-{}", given.number);
    let challenge = asked["code_challenge"].clone();
    let back = [("code", &code), ("state", &asked["state"])];
    let back = Url::parse_with_params(&asked["redirect_uri"], back).unwrap();
    given.codes.insert(code, challenge);
    HttpResponse::Found().insert_header((LOCATION, back.as_str())).finish()
}

async fn token(
    request: HttpRequest,
    given: Data<Mutex<Given>>,
    form: Form<Parameters>,
) -> HttpResponse {
    let text = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let json_wanted =
        request.headers().get(ACCEPT).is_some_and(|accept| accept == "application/json");
    if !json_wanted {
        return HttpResponse::Ok().body("access_token=none-for-you");
    }
    if (text("client_id"), text("client_secret")) != (CLIENT, SECRET) {
        return refusal("incorrect_client_credentials");
    }
    let mut given = given.lock().unwrap();
    if text("grant_type") == "refresh_token" {
        if text("refresh_token") != given.refresh_token {
            return refusal("bad_refresh_token");
        }
    } else {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(text("code_verifier")));
        if given.codes.remove(text("code")) != Some(challenge) {
            return refusal("bad_verification_code");
        }
    }
    given.number += 1;
    given.access_token = format!("gho_{}", given.number);
    given.refresh_token = format!("ghr_{}", given.number);
    HttpResponse::Ok().json(json!({
        "access_token": given.access_token, "token_type": "bearer", "scope": "read:user",
        "refresh_token": given.refresh_token, "expires_in": 28_800,
    }))
}

async fn user(request: HttpRequest, given: Data<Mutex<Given>>) -> HttpResponse {
    let wanted = format!("Bearer {}", given.lock().unwrap().access_token);
    match request.headers().get(AUTHORIZATION) {
        Some(value) if *value == *wanted => {
            HttpResponse::Ok().json(json!({ "id": USER, "login": "octo" }))
        }
        _ => HttpResponse::Unauthorized().json(json!({ "message": "Bad credentials" })),
    }
}

fn refusal(error: &str) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "error": error, "error_description": "no" }))
}
