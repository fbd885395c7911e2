//! A CAPTCHA provider as services see it: `siteverify`, whose tokens are good once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form};
use actix_web::{HttpResponse, web};
use serde_json::{Value, json};
use test_support::StandInServer;

use super::support::TestApp;

pub(crate) const SECRET: &str = "captcha-secret-of-tests";
const HOST: &str = "app.example.com";

/// How it behaves.
#[derive(Clone, Copy)]
pub(crate) enum Mood {
    Well,
    /// Answers nothing but this status.
    Status(u16),
    /// Answers nothing at all.
    Silent,
}

struct Provider {
    mood: Mood,
    answers: HashMap<String, Value>,
    calls: u32,
}

pub(crate) struct CaptchaStandIn {
    server: StandInServer,
    provider: Arc<Mutex<Provider>>,
}

impl CaptchaStandIn {
    pub(crate) async fn start() -> Self {
        let provider = Provider { mood: Mood::Well, answers: HashMap::new(), calls: 0 };
        let provider = Arc::new(Mutex::new(provider));
        let shared = Data::from(Arc::clone(&provider));
        let server = StandInServer::start(move |config| {
            config.app_data(shared.clone()).route("/verify", web::post().to(verify));
        });
        Self { server: server.await, provider }
    }

    /// Where it is asked.
    pub(crate) fn url(&self) -> String {
        self.server.url("/verify")
    }

    /// A server that asks this provider, and `more` settings.
    pub(crate) async fn app(&self, provider: &str, more: &[(&str, &str)]) -> TestApp {
        let url = self.url();
        let mut settings = vec![
            ("USER_SERVICE__CAPTCHA__PROVIDER", provider),
            ("USER_SERVICE__CAPTCHA__URL", &url),
            ("USER_SERVICE__CAPTCHA__SECRET", SECRET),
            ("USER_SERVICE__CAPTCHA__SITE_KEY", "a-site-key"),
            ("USER_SERVICE__CAPTCHA__HOSTNAMES", HOST),
        ];
        settings.extend(more);
        TestApp::with(&settings).await
    }

    /// The token of somebody who solved one for `action` just now; `changed` members of the answer
    /// are other than they should be.
    pub(crate) fn solve(&self, app: &TestApp, action: &str, changed: &Value) -> String {
        let mut provider = self.provider.lock().unwrap();
        let token = format!("captcha-{}", provider.answers.len());
        let mut answer = json!({
            "success": true, "action": action, "hostname": HOST, "score": 0.9,
            "challenge_ts": app.now().to_rfc3339(), "error-codes": [],
        });
        answer.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        provider.answers.insert(token.clone(), answer);
        token
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        self.provider.lock().unwrap().mood = mood;
    }

    pub(crate) fn calls(&self) -> u32 {
        self.provider.lock().unwrap().calls
    }
}

async fn verify(
    provider: Data<Mutex<Provider>>,
    form: Form<HashMap<String, String>>,
) -> HttpResponse {
    let mood = {
        let mut provider = provider.lock().unwrap();
        provider.calls += 1;
        provider.mood
    };
    match mood {
        Mood::Well => {}
        Mood::Status(status) => {
            return HttpResponse::build(StatusCode::from_u16(status).unwrap()).finish();
        }
        Mood::Silent => std::future::pending().await,
    }
    let refusal = |code: &str| json!({ "success": false, "error-codes": [code] });
    if form["secret"] != SECRET || !form.contains_key("remoteip") {
        return HttpResponse::Ok().json(refusal("invalid-input-secret"));
    }
    let mut provider = provider.lock().unwrap();
    let spent = refusal("timeout-or-duplicate");
    let answer = provider.answers.get_mut(&form["response"]);
    let answer = answer.map(|answer| std::mem::replace(answer, spent));
    HttpResponse::Ok().json(answer.unwrap_or_else(|| refusal("invalid-input-response")))
}
