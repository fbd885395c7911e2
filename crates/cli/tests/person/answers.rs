//! What the services answer out of the ordinary.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{PASSWORD, World, finish};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_a_service_takes_no_longer_is_refreshed_once() {
    let world = World::with_alice().await;
    let mut kept = world.kept();
    kept["session"]["access_token"] = json!("e30.e30.e30");
    std::fs::write(world.file(), kept.to_string()).unwrap();
    world.must(&["sessions"], "");
    assert_ne!(world.kept()["session"]["refresh_token"], kept["session"]["refresh_token"]);
    // Neither does the chat's refusal end anything.
    kept = world.kept();
    kept["session"]["access_token"] = json!("e30.e30.e30");
    std::fs::write(world.file(), kept.to_string()).unwrap();
    world.must(&["send", "--new-room", "Garden", "Hello"], "");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_not_latchkey_s_are_69_and_redirects_are_not_followed() {
    let world = World::with_alice().await;
    let before = world.kept();
    for answer in [
        "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 6\r\n\r\n<html>",
        "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}",
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 60\r\n\r\n{\"access_token\":",
        "not HTTP at all\r\n\r\n",
    ] {
        let stranger = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", stranger.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let (mut client, _) = stranger.accept().await.unwrap();
            let _ = client.read(&mut [0; 8192]).await.unwrap();
            client.write_all(answer.as_bytes()).await.unwrap();
        });
        let refusal = world.refused(69, &["refresh", "--user-service", &url], "");
        assert_eq!(refusal["code"], "unreachable", "{answer}");
        let error = refusal["error"].as_str().unwrap();
        assert_eq!(error.contains("answered 307"), answer.contains(" 307 "), "{error}");
        served.await.unwrap();
        assert_eq!(world.kept(), before, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_elsewhere_ends_the_former_session_where_it_was_opened() {
    let (here, elsewhere) = (World::with_alice().await, World::new().await);
    let login = ["login", "--username", "alice", "--password-stdin", "--file", "phone"];
    here.must(&login, PASSWORD);
    let register = ["register", "--username", "ann", "--password-stdin"];
    let url = elsewhere.users.url("");
    here.must(&[&register[..], &["--user-service", &url]].concat(), PASSWORD);
    assert_eq!(here.kept()["user_service"], url);
    let left = here.must(&["sessions", "--file", "phone"], "");
    assert_eq!(left["items"].as_array().unwrap().len(), 1, "{left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_told_which_session_had_to_make_room() {
    let world = World::with_settings(&[("USER_SERVICE__LIMITS__SESSIONS_PER_USER", "1")]).await;
    let register = ["register", "--username", "alice", "--password-stdin"];
    let first = world.must(&register, PASSWORD)["session_id"].as_str().unwrap().to_owned();
    let login = ["login", "--username", "alice", "--password-stdin", "--file"];
    let told = world.run(&[&login[..], &["phone"]].concat(), PASSWORD).stdout;
    assert!(told.contains(&format!("session {first} had to make room")), "{told}");
    let answer = world.must(&[&login[..], &["tablet"]].concat(), PASSWORD);
    assert_eq!(answer["ended_sessions"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_service_key_signs_that_is_the_key_shown() {
    let folder = tempfile::tempdir().unwrap();
    let mut keygen = std::process::Command::new(env!("CARGO_BIN_EXE_latchkey"));
    assert_eq!(finish(keygen.arg("keygen").current_dir(folder.path()), "").status, 0);
    let key = folder.path().join("keys/jwt_private_key.pem");
    let world = World::with_settings(&[
        ("USER_SERVICE__SIGNING__MODE", "service"),
        ("USER_SERVICE__SIGNING__PRIVATE_KEY_PATH", key.to_str().unwrap()),
    ])
    .await;
    world.must(&["register", "--username", "alice", "--password-stdin"], PASSWORD);
    assert!(world.must(&["sessions"], "")["items"][0]["kid"].is_null());
    let answer = world.must(&["keys"], "");
    assert_eq!(answer["keys"].as_array().unwrap().len(), 1, "{answer}");
    assert_eq!(answer["keys"][0]["kid"], answer["devices"][0]["kid"]);
}
