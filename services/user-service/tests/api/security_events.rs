//! What is written of what happened, in which transaction, and that nobody waits for the chain.

use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use serde_json::{Value, json};
use test_support::eventually;

use super::support::{PASSWORD, Session, TestApp, count};

/// An event, as tests look at it.
#[derive(Clone, Debug, diesel::QueryableByName)]
pub(crate) struct Row {
    #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Text>)]
    pub(crate) address: Option<String>,
    #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Text>)]
    pub(crate) user_agent: Option<String>,
    #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Text>)]
    pub(crate) session: Option<String>,
    #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Text>)]
    pub(crate) user: Option<String>,
    #[diesel(sql_type = diesel::sql_types::Jsonb)]
    pub(crate) details: Value,
}

/// All events of `kind`, in the order of writing.
pub(crate) async fn events(app: &TestApp, kind: &str) -> Vec<Row> {
    let query = "SELECT address, user_agent, session_id::text AS session,
            user_id::text AS \"user\", details || personal AS details
        FROM security_events WHERE kind = $1 ORDER BY id";
    let query = diesel::sql_query(query).bind::<diesel::sql_types::Text, _>(kind);
    query.load(&mut app.database.connect().await).await.unwrap()
}

/// The first event of `kind`, once it is there.
pub(crate) async fn event(app: &TestApp, kind: &str) -> Row {
    eventually(kind, || async { events(app, kind).await.into_iter().next() }).await
}

/// Waits until every committed event is linked.
async fn linked(app: &TestApp) {
    eventually("all is linked", || async {
        let query = "SELECT count(*) AS count FROM security_events WHERE position IS NULL";
        (count(&mut app.database.connect().await, query).await == 0).then_some(())
    })
    .await;
}

pub(crate) fn is_of(row: &Row, session: &Session) -> bool {
    row.session.as_deref() == Some(&session.id) && row.user.as_deref() == Some(&session.user_id)
}

#[tokio::test]
async fn a_login_a_replay_and_a_logout_are_written_in_full_with_what_they_do() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    let registered = event(&app, "registered").await;
    assert_eq!(registered.details["username"], session.username.as_str());
    let login = event(&app, "login_succeeded").await;
    assert!(is_of(&login, &session), "{login:?}");
    assert_eq!(login.address.as_deref(), Some("127.0.0.1"));
    assert_eq!(login.user_agent.as_deref(), Some("test/1"));

    let second = app.refresh(&session.refresh_token).await.expect(200).member("refresh_token");
    let _ = app.refresh(&second).await.expect(200);
    let _ = app.refresh(&session.refresh_token).await.expect(401);
    let replayed = event(&app, "refresh_replayed").await;
    assert!(is_of(&replayed, &session), "{replayed:?}");
    assert_eq!(replayed.details, json!({ "counter": 0, "newest": 2 }));
    assert_eq!(event(&app, "family_revoked").await.details["reason"], "replay");

    let other = app.log_in(&session.device, &session.username).await;
    let _ = app.log_out(&other.refresh_token).await.expect(200);
    let logged_out = event(&app, "logged_out").await;
    assert!(is_of(&logged_out, &other), "{logged_out:?}");
    assert_eq!(logged_out.address.as_deref(), Some("127.0.0.1"));
}

#[tokio::test]
async fn a_failed_login_is_its_user_s_and_an_unknown_name_is_kept_nowhere() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    let mut wrong = app.login_body(&session.device, &session.username);
    wrong["password"] = "not this one".into();
    let _ = app.post("/api/auth/login", &wrong).await.expect(401);
    let failed = event(&app, "login_failed").await;
    assert_eq!(failed.user.as_deref(), Some(session.user_id.as_str()));
    assert_eq!(failed.details["reason"], "wrong_password");
    assert_eq!(failed.details["username"], session.username.as_str());

    let device = app.register_device().await;
    let nobody = app.login_body(&device, "a-secret-in-the-wrong-field");
    let _ = app.post("/api/auth/login", &nobody).await.expect(401);
    eventually("both are written", || async {
        (events(&app, "login_failed").await.len() == 2).then_some(())
    })
    .await;
    let query =
        "SELECT count(*) FROM security_events WHERE security_events::text LIKE '%wrong-field%'";
    assert_eq!(count(&mut app.database.connect().await, query).await, 0);
}

#[tokio::test]
async fn what_is_rolled_back_was_never_written() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    let _ = app.register(&session.username).await.expect(409);
    assert_eq!(events(&app, "registered").await.len(), 1);
    let body =
        json!({ "current_password": "not this one", "new_password": "a longer horse battery" });
    let _ = app.post_as(&session, "/api/auth/password", &body).await.expect(401);
    assert_eq!(events(&app, "password_changed").await.len(), 0);
}

#[tokio::test]
async fn a_limit_that_refuses_often_is_one_event_a_minute_however_many_replicas_see_it() {
    let app = TestApp::with(&[("USER_SERVICE__LIMITS__REGISTRATIONS_PER_HOUR", "1")]).await;
    let replica = app.replica().await;
    let _ = app.register("alice").await.expect(201);
    for number in 0..3 {
        let body = json!({ "username": format!("bob-{number}"), "password": PASSWORD });
        let _ = app.post("/api/auth/register", &body).await.expect(429);
        let request = app.client.post(replica.url("/api/auth/register")).json(&body);
        assert_eq!(request.send().await.unwrap().status(), 429);
    }
    let limited = event(&app, "rate_limited").await;
    assert_eq!(limited.details, json!({ "limit": "register" }));
    assert_eq!(limited.address.as_deref(), Some("127.0.0.1"));
    // What is taken is written in order: with this one all before it are.
    let mut wrong = app.login_body(&app.register_device().await, "alice");
    wrong["password"] = "not this one".into();
    let _ = app.post("/api/auth/login", &wrong).await.expect(401);
    let _ = event(&app, "login_failed").await;
    let minutes = "SELECT count(DISTINCT date_trunc('minute', occurred_at)) AS count
        FROM security_events WHERE kind = 'rate_limited'";
    let minutes = count(&mut app.database.connect().await, minutes).await;
    assert!(events(&app, "rate_limited").await.len() <= usize::try_from(minutes).unwrap() + 1);
    assert!(minutes <= 2);
}

#[tokio::test]
async fn nobody_waits_for_the_chain_and_what_commits_late_is_linked_too() {
    let app = TestApp::start().await;
    let first = app.sign_in().await;
    linked(&app).await;
    // A transaction that has written an event stays open; another holds the chain itself.
    let mut late = app.database.connect().await;
    late.batch_execute("BEGIN; INSERT INTO security_events (kind) VALUES ('registered')")
        .await
        .unwrap();
    let mut chainer = app.database.connect().await;
    let lock = "BEGIN; SELECT pg_advisory_xact_lock(7305790140); LOCK TABLE security_event_head";
    chainer.batch_execute(lock).await.unwrap();
    let logins = (0..8).map(|_| app.sign_in());
    let sessions = futures_util::future::join_all(logins).await;
    assert_eq!(sessions.len(), 8);
    let _ = app.log_out(&first.refresh_token).await.expect(200);
    chainer.batch_execute("COMMIT").await.unwrap();
    // All that is committed is linked, although the older one is still open.
    linked(&app).await;
    late.batch_execute("COMMIT").await.unwrap();
    linked(&app).await;
    let gaps = "SELECT max(position) - count(*) AS count FROM security_events";
    assert_eq!(count(&mut app.database.connect().await, gaps).await, 0);
}

#[tokio::test]
async fn many_logins_at_once_are_each_in_the_chain_once_though_two_replicas_link() {
    let app = TestApp::start().await;
    let _replica = app.replica().await;
    let logins = (0..12).map(|_| app.sign_in());
    let sessions = futures_util::future::join_all(logins).await;
    linked(&app).await;
    assert_eq!(events(&app, "login_succeeded").await.len(), sessions.len());
    let broken = "SELECT (max(position) - count(*)) + (count(*) - count(DISTINCT link)) AS count
        FROM security_events";
    assert_eq!(count(&mut app.database.connect().await, broken).await, 0);
}

#[tokio::test]
async fn what_is_past_is_purged_in_the_background_and_only_that() {
    let kinds = ("USER_SERVICE__AUDIT__RETENTION_BY_KIND", "login_failed=1d");
    let app = TestApp::with(&[kinds]).await;
    let session = app.sign_in().await;
    let mut wrong = app.login_body(&session.device, &session.username);
    wrong["password"] = "not this one".into();
    let _ = app.post("/api/auth/login", &wrong).await.expect(401);
    let _ = event(&app, "login_failed").await;
    linked(&app).await;
    app.clock.turn(chrono::TimeDelta::days(2));
    // Housekeeping is done at the start.
    let _replica = app.replica().await;
    eventually("it is purged", || async {
        events(&app, "login_failed").await.is_empty().then_some(())
    })
    .await;
    assert_eq!(events(&app, "login_succeeded").await.len(), 1);
    let checkpoints = "SELECT count(*) AS count FROM security_event_checkpoints";
    assert_eq!(count(&mut app.database.connect().await, checkpoints).await, 1);
}

#[tokio::test]
async fn a_damaged_row_is_counted_and_keeps_no_other_from_being_purged() {
    let retention = ("USER_SERVICE__AUDIT__RETENTION", "1d");
    let app = TestApp::with(&[retention]).await;
    let _ = app.sign_in().await;
    let _ = event(&app, "registered").await;
    linked(&app).await;
    let damage = "UPDATE security_events SET user_agent = 'another' WHERE kind = 'login_succeeded'";
    let plant = "INSERT INTO security_event_checkpoints VALUES (7, 9, '', '', now(), 1, '')";
    app.database.connect().await.batch_execute(&format!("{damage}; {plant}")).await.unwrap();
    app.clock.turn(chrono::TimeDelta::days(2));
    let replica = app.replica().await;
    eventually("it is counted", || async {
        let damaged = app.metric_of(&replica, "user_service_security_events_damaged_rows").await;
        (damaged == 1).then_some(())
    })
    .await;
    let checkpoints = "user_service_security_events_damaged_checkpoints";
    assert_eq!(app.metric_of(&replica, checkpoints).await, 1);
    assert!(events(&app, "registered").await.is_empty());
    assert_eq!(events(&app, "login_succeeded").await.len(), 1);
}
