//! Many refreshes at once, on two replicas: there is one head, or none.

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::json;
use test_support::{Answer, TestServer};

use super::support::{Session, TestApp, count, send};

const ES256: (&str, &str) = ("USER_SERVICE__SIGNING__ALGORITHM", "ES256");
const UNLIMITED: (&str, &str) = ("USER_SERVICE__REFRESH__ROTATIONS_PER_HOUR", "1000");

async fn refresh_at(app: &TestApp, server: &TestServer, token: &str) -> Answer {
    let body = json!({ "refresh_token": token });
    send(app.client.post(server.url("/api/auth/refresh")).json(&body)).await
}

/// Refreshes with one token from all sides, and answers the successors, each once.
async fn successors(app: &TestApp, other: &TestServer, token: &str, times: usize) -> Vec<String> {
    let answers =
        join_all((0..times).map(|number| {
            refresh_at(app, if number % 2 == 0 { &app.server } else { other }, token)
        }));
    let mut successors = Vec::new();
    for answer in answers.await {
        match answer.status.as_u16() {
            200 => successors.push(answer.member("refresh_token")),
            _ => assert_eq!(
                answer.expect_error(409, "refresh_in_progress").header("retry-after"),
                "1"
            ),
        }
    }
    successors.sort();
    successors.dedup();
    successors
}

#[tokio::test]
async fn fifty_refreshes_of_one_token_are_one_rotation() {
    let app = TestApp::with(&[ES256]).await;
    let replica = app.replica().await;
    let session = app.sign_in().await;
    let found = successors(&app, &replica, &session.refresh_token, 50).await;
    assert_eq!(found.len(), 1);
    let mut connection = app.database.connect().await;
    let rotations = "SELECT sum(cardinality(recent_rotations) + counter) AS count \
                     FROM auth_sessions WHERE ended_at IS NULL";
    assert_eq!(count(&mut connection, &format!("SELECT ({rotations})::bigint AS count")).await, 2);
    let _ = refresh_at(&app, &replica, &found[0]).await.expect(200);
}

#[tokio::test]
async fn fifty_families_refresh_twenty_times_each_and_none_is_lost() {
    let app = TestApp::with(&[ES256, UNLIMITED]).await;
    let replica = app.replica().await;
    // One after the other: so many passwords at once are refused as too much.
    let mut sessions: Vec<Session> = Vec::new();
    for _ in 0..50 {
        sessions.push(app.sign_in().await);
    }
    let families = sessions.iter().map(|session| {
        let (app, replica) = (&app, &replica);
        async move {
            let mut token = session.refresh_token.clone();
            for number in 0..20 {
                let server = if number % 2 == 0 { replica } else { &app.server };
                token = refresh_at(app, server, &token).await.expect(200).member("refresh_token");
            }
        }
    });
    join_all(families).await;
    let mut connection = app.database.connect().await;
    let live =
        "SELECT count(*) AS count FROM auth_sessions WHERE ended_at IS NULL AND counter = 20";
    assert_eq!(count(&mut connection, live).await, 50);
}

#[tokio::test]
async fn a_replay_while_the_successor_is_in_use_leaves_the_family_dead() {
    let app = TestApp::with(&[ES256, UNLIMITED]).await;
    let replica = app.replica().await;
    for _ in 0..5 {
        let session = app.sign_in().await;
        let old = session.refresh_token.clone();
        let next = app.refresh(&old).await.expect(200).member("refresh_token");
        let mut newest = app.refresh(&next).await.expect(200).member("refresh_token");
        let in_use = async {
            loop {
                let answer = app.refresh(&newest).await;
                if answer.status != 200 {
                    return answer;
                }
                newest = answer.member("refresh_token");
            }
        };
        let (ended, replayed) = tokio::join!(in_use, refresh_at(&app, &replica, &old));
        let _ = replayed.expect_error(401, "invalid_refresh_token");
        let _ = ended.expect_error(401, "invalid_refresh_token");
        assert!(!app.is_live(&session).await);
    }
}

#[tokio::test]
async fn a_clock_stepped_back_makes_no_second_head() {
    let app = TestApp::with(&[ES256]).await;
    let replica = app.replica().await;
    let (session, other) = (app.sign_in().await, app.sign_in().await);
    let newest = app.refresh(&session.refresh_token).await.expect(200).member("refresh_token");
    let dead = app.refresh(&other.refresh_token).await.expect(200).member("refresh_token");
    app.clock.turn(TimeDelta::hours(-1));
    let found = successors(&app, &replica, &newest, 20).await;
    assert_eq!(found.len(), 1);
    let last = app.refresh(&found[0]).await.expect(200).member("refresh_token");
    // A token from before the step is no younger for it, nor good for ever.
    let _ = app.refresh(&other.refresh_token).await.expect_error(401, "invalid_refresh_token");
    let _ = app.refresh(&dead).await.expect_error(401, "invalid_refresh_token");
    let _ = app.refresh(&newest).await.expect_error(401, "invalid_refresh_token");
    let _ = app.refresh(&last).await.expect_error(401, "invalid_refresh_token");
}
