//! The ring of service keys in the database, on two replicas.

use chrono::TimeDelta;
use common::settings::{Environment, Secret};
use test_support::{TestServer, eventually};
use user_service::config::{SCHEMA, Settings};
use user_service::service_keys::{Occasion, Refused, Ring, Rotation};

use super::support::{Session, TestApp, count, header, send};

pub(crate) const SERVICE: (&str, &str) = ("USER_SERVICE__SIGNING__MODE", "service");
pub(crate) const ES256: (&str, &str) = ("USER_SERVICE__SIGNING__ALGORITHM", "ES256");
const JWKS: &str = "/.well-known/jwks.json";

/// The ring as `latchkey keys` opens it.
pub(crate) async fn ring(app: &TestApp, settings: &[(&str, &str)]) -> Ring {
    let own = [("USER_SERVICE__ENVIRONMENT", "development")];
    let environment: Environment = own.iter().chain(settings).copied().collect();
    let mut settings: Settings = SCHEMA.load(&environment).unwrap();
    settings.database.url = Secret::from(app.database.url().to_owned());
    Ring::open(settings).await.unwrap()
}

/// Key ids by state, the current one first.
pub(crate) async fn kids(ring: &mut Ring) -> Vec<(String, String)> {
    let keys = ring.list().await.unwrap();
    keys.into_iter().map(|key| (key.state, key.kid)).collect()
}

pub(crate) fn kid_of(token: &str) -> String {
    header(token)["kid"].as_str().unwrap().to_owned()
}

pub(crate) async fn planned(ring: &mut Ring) -> Occasion {
    Occasion::Planned { current: kids(ring).await[0].1.clone() }
}

pub(crate) async fn rotate(ring: &mut Ring) -> Result<Rotation, Refused> {
    let occasion = planned(ring).await;
    ring.rotate(&occasion).await
}

/// Key ids in the whole set of a replica.
pub(crate) async fn published(app: &TestApp, server: &TestServer) -> Vec<String> {
    let set = send(app.client.get(server.url(JWKS))).await.expect(200).json;
    let keys = set["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

pub(crate) async fn status_at(app: &TestApp, server: &TestServer, session: &Session) -> u16 {
    let url = server.url("/api/auth/sessions");
    send(app.client.get(url).bearer_auth(&session.access_token)).await.status.into()
}

pub(crate) async fn refreshed(app: &TestApp, server: &TestServer, session: &mut Session) -> String {
    let url = server.url("/api/auth/refresh");
    let body = serde_json::json!({ "refresh_token": session.refresh_token });
    let answer = send(app.client.post(url).json(&body)).await.expect(200);
    session.refresh_token = answer.member("refresh_token");
    session.access_token = answer.member("access_token");
    kid_of(&session.access_token)
}

#[tokio::test]
async fn a_rotation_is_heard_by_every_replica_and_the_former_key_verifies_through_its_grace() {
    let app = TestApp::with(&[SERVICE]).await;
    let replica = app.replica().await;
    let mut ring = ring(&app, &[SERVICE]).await;
    let mut session = app.sign_in().await;
    let before = kids(&mut ring).await;
    let [(_, current), (_, next)] = before.as_slice() else { panic!("{before:?}") };
    assert_eq!(&kid_of(&session.access_token), current);
    for server in [&app.server, &replica] {
        assert_eq!(published(&app, server).await, [current.clone(), next.clone()]);
    }
    let old = session.clone();
    let rotation = rotate(&mut ring).await.unwrap();
    assert_eq!((&rotation.current, &rotation.former), (&Some(next.clone()), current));
    eventually("both replicas sign with the next key", || async {
        let mut session = app.sign_in().await;
        let here = kid_of(&session.access_token);
        let there = refreshed(&app, &replica, &mut session).await;
        (here == *next && there == *next).then_some(())
    })
    .await;
    let newer = rotation.next.unwrap();
    eventually("both replicas publish all three", || async {
        let all = [next.clone(), newer.clone(), current.clone()];
        let sets = (published(&app, &app.server).await, published(&app, &replica).await);
        (sets.0 == all && sets.1 == all).then_some(())
    })
    .await;
    assert_eq!(&refreshed(&app, &replica, &mut session).await, next);
    assert_eq!(status_at(&app, &replica, &old).await, 200);
    let rest = rotation.until - app.now();
    assert!(rest >= TimeDelta::minutes(121) && rest < TimeDelta::minutes(122), "{rest}");
    app.clock.turn(rest);
    for server in [&app.server, &replica] {
        eventually("the former key is gone", || async {
            (!published(&app, server).await.contains(current)).then_some(())
        })
        .await;
        assert_eq!(status_at(&app, server, &old).await, 401);
    }
}

#[tokio::test]
async fn of_two_rotations_at_once_one_is_done() {
    let app = TestApp::with(&[SERVICE, ES256]).await;
    let settings = [SERVICE, ES256];
    let (mut one, mut two) = (ring(&app, &settings).await, ring(&app, &settings).await);
    app.sign_in().await;
    let occasion = planned(&mut one).await;
    let (first, second) = tokio::join!(one.rotate(&occasion), two.rotate(&occasion));
    let (done, refused) = if first.is_ok() { (first, second) } else { (second, first) };
    assert!(matches!(refused, Err(Refused::ByAnother)), "{refused:?}");
    let kids = kids(&mut one).await;
    let states: Vec<&str> = kids.iter().map(|(state, _)| state.as_str()).collect();
    assert_eq!(states, ["current", "next", "retired"]);
    assert_eq!(Some(&kids[0].1), done.unwrap().current.as_ref());
    // As many retired ones as may be published: a third must wait for the first one's end.
    rotate(&mut one).await.unwrap();
    let refused = rotate(&mut one).await;
    assert!(matches!(refused, Err(Refused::TooManyRetired(_))), "{refused:?}");
    let mut connection = app.database.connect().await;
    let sealed = "SELECT count(*) FROM service_keys WHERE sealed_key IS NOT NULL";
    assert_eq!(count(&mut connection, sealed).await, 2);
}

#[tokio::test]
async fn a_scheduled_rotation_is_done_once_for_all_replicas() {
    let every = ("USER_SERVICE__SIGNING__ROTATE_EVERY", "1d");
    let app = TestApp::with(&[SERVICE, ES256, every]).await;
    let _replica = app.replica().await;
    let mut ring = ring(&app, &[SERVICE, ES256]).await;
    app.sign_in().await;
    let before = kids(&mut ring).await;
    app.clock.turn(TimeDelta::days(1));
    let session = eventually("the next key signs", || async {
        let session = app.sign_in().await;
        (kid_of(&session.access_token) == before[1].1).then_some(session)
    })
    .await;
    // Both replicas looked again since: a request reads what is older than a poll.
    app.clock.turn(TimeDelta::hours(3));
    let mut session = session;
    assert_eq!(refreshed(&app, &app.server, &mut session).await, before[1].1);
    let mut connection = app.database.connect().await;
    let keys = "SELECT count(*) FROM service_keys WHERE state IN ('next', 'current')";
    assert_eq!(count(&mut connection, keys).await, 2);
    let made = "SELECT count(*) FROM service_keys";
    assert!(count(&mut connection, made).await <= 3);
}

/// Changes one row of the ring.
async fn change(app: &TestApp, statement: &str) {
    // Its `load` is not the settings'.
    use diesel_async::RunQueryDsl as _;
    let mut connection = app.database.connect().await;
    assert_eq!(diesel::sql_query(statement).execute(&mut connection).await.unwrap(), 1);
}

async fn count_keys(app: &TestApp, condition: &str) -> i64 {
    let mut connection = app.database.connect().await;
    count(&mut connection, &format!("SELECT count(*) FROM service_keys WHERE {condition}")).await
}

#[tokio::test]
async fn a_replica_whose_clock_goes_wrong_shows_and_removes_keys_by_the_database_s_time() {
    let mut app = TestApp::with(&[SERVICE, ES256]).await;
    app.sign_in().await;
    let former = rotate(&mut ring(&app, &[SERVICE, ES256]).await).await.unwrap().former;
    let past = "INSERT INTO service_keys (kid, public_jwk, key_type, store, state, token_life,
                                          published_at, activated_at, retired_at, until)
                SELECT 'past', public_jwk, key_type, store, 'revoked', token_life, published_at,
                       activated_at, retired_at, clock_timestamp() - interval '1 minute'
                FROM service_keys WHERE state = 'retired'";
    change(&app, past).await;
    // Longer than a retired key verifies.
    let error = TimeDelta::hours(3);
    app.server = app.replica_wrong_by(error).await;
    eventually("what is past is removed", || async {
        (count_keys(&app, "kid = 'past'").await == 0).then_some(())
    })
    .await;
    assert_eq!(count_keys(&app, "state = 'retired'").await, 1);
    assert!(published(&app, &app.server).await.contains(&former));
    let one = app.get(&format!("{JWKS}?kid={former}")).await.expect(200);
    assert_eq!(one.json["keys"][0]["kid"], *former);

    let ended = "UPDATE service_keys SET until = clock_timestamp() - interval '1 second'
                 WHERE state = 'retired'";
    change(&app, ended).await;
    app.server = app.replica_wrong_by(-error).await;
    eventually("the key is shown no more and removed", || async {
        let is_gone = count_keys(&app, "state = 'retired'").await == 0;
        (is_gone && !published(&app, &app.server).await.contains(&former)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn another_algorithm_comes_with_the_next_rotation() {
    let mut app = TestApp::with(&[SERVICE, ES256]).await;
    let first = app.sign_in().await;
    app.server = app.replica_with(&[("USER_SERVICE__SIGNING__ALGORITHM", "RS256")]).await;
    let mut ring = ring(&app, &[SERVICE]).await;
    let next = eventually("the next key is of the other kind", || async {
        let keys = ring_keys(&app).await;
        keys.into_iter().find(|(state, kind)| state == "next" && kind == "RS256-2048")
    })
    .await;
    assert_eq!(next.0, "next");
    rotate(&mut ring).await.unwrap();
    eventually("tokens are signed with RSA", || async {
        let session = app.sign_in().await;
        (header(&session.access_token)["alg"] == "RS256").then_some(())
    })
    .await;
    assert!(app.is_live(&first).await);
}

async fn ring_keys(app: &TestApp) -> Vec<(String, String)> {
    let keys = ring(app, &[SERVICE]).await.list().await.unwrap();
    keys.into_iter().map(|key| (key.state, key.key_type)).collect()
}

#[tokio::test]
async fn a_ring_is_in_files_or_in_the_database_and_not_in_both() {
    let load = |settings: &[(&str, &str)]| {
        let own = [("USER_SERVICE__ENVIRONMENT", "development")];
        let environment: Environment = own.iter().chain(settings).copied().collect();
        common::service::load::<Settings>(&SCHEMA, &environment).map(drop)
    };
    let file = ("USER_SERVICE__SIGNING__PRIVATE_KEY_PATH", "/no/such.pem");
    for other in [
        ("USER_SERVICE__SIGNING__SERVICE_KEYS", "database"),
        ("USER_SERVICE__SIGNING__ROTATE_EVERY", "30d"),
    ] {
        let error = load(&[file, other]).unwrap_err().to_string();
        assert!(error.contains("`signing.private_key_path`") && !error.contains('\n'), "{error}");
        load(&[other]).unwrap();
    }
    load(&[file]).unwrap();
}

#[tokio::test]
async fn a_token_of_a_replica_whose_clock_runs_ahead_is_taken_within_the_leeway_and_not_beyond() {
    let app = TestApp::with(&[SERVICE, ES256]).await;
    let strict = app.replica_with(&[("USER_SERVICE__TOKEN__LEEWAY", "5s")]).await;
    let session = app.sign_in().await;
    app.clock.turn(TimeDelta::seconds(-50));
    assert_eq!(status_at(&app, &app.server, &session).await, 200);
    assert_eq!(status_at(&app, &strict, &session).await, 401);
    app.clock.turn(TimeDelta::seconds(-20));
    assert_eq!(status_at(&app, &app.server, &session).await, 401);
}
