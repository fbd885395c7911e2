//! What an operator finds in the log of a draw that was refused.

use serde_json::{Value, json};
use test_support::{Answer, TestRealm};
use uuid::Uuid;

use crate::log;
use crate::service::App;

/// The line that a refused draw left behind.
fn line(id: &str, refused: &Answer) -> Value {
    let lines = log::entries(id).into_iter();
    let mut lines = lines.filter(|line| line["message"] == "draw_refused");
    let line = lines.next().expect("a line of the log");
    assert_eq!(line["persistent_token_id"], id);
    assert_eq!(line["code"], refused.json["code"]);
    assert_eq!(line["span"]["request_id"], refused.json["request_id"]);
    assert_eq!((lines.next(), line.to_string().contains("eyJ")), (None, false));
    line
}

#[tokio::test]
async fn a_refused_draw_is_found_in_the_log_by_its_id_and_its_user() {
    let app = App::start(TestRealm::create(&json!({})).await, "").await;
    let consented = app.consent().await;
    app.forget_drawn().await;
    app.realm.end_offline_session(&consented.session).await;
    let refused = app.draw(&consented.id).await.expect_error(401, "token_not_active");
    let user = app.grant_of(&consented.id).await.user_id.to_string();
    assert_eq!(line(&consented.id, &refused)["user_id"], user);

    let unknown = Uuid::new_v4().to_string();
    let refused = app.draw(&unknown).await.expect_error(404, "token_not_found");
    assert_eq!(line(&unknown, &refused)["user_id"], Value::Null);
}
