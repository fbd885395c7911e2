//! Each subcommand.

use common::clock::Clock;
use serde_json::{Value, json};
use test_support::eventually;
use token_verifier::Key;

use crate::support::{PASSWORD, World, finish};

#[tokio::test(flavor = "multi_thread")]
async fn who_registers_is_logged_in_and_a_name_is_taken_once() {
    let world = World::new().await;
    let register = ["register", "--username", "alice", "--password-stdin"];
    let answer = world.must(&register, &format!("{PASSWORD}\n"));
    assert_eq!(answer["username"], "alice");
    assert_eq!(answer["session_id"], world.kept()["session"]["session_id"]);
    assert_eq!(answer["device_id"], world.kept()["device"]["device_id"]);
    assert_eq!(answer["ended_sessions"], json!([]));
    assert!(
        answer["expires_at"].as_str().unwrap()
            > common::clock::rfc3339(Clock::default().now()).as_str()
    );
    assert!(answer["access_token"].is_null() && answer["refresh_token"].is_null());

    let taken = world.refused(1, &register, PASSWORD);
    assert_eq!((&taken["code"], &taken["status"]), (&json!("username_taken"), &json!(409)));
    assert!(taken["request_id"].is_string());
    let weak = ["register", "--username", "bob", "--password-stdin"];
    assert_eq!(world.refused(1, &weak, "short")["code"], "invalid_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_on_a_new_device_takes_the_old_one_s_place_and_a_wrong_password_changes_nothing() {
    let world = World::with_alice().await;
    let before = world.kept();
    let login = ["login", "--username", "alice", "--password-stdin", "--device-name", "laptop"];
    assert_eq!(world.refused(1, &login, "wrong password")["code"], "invalid_credentials");
    assert_eq!(world.kept(), before);

    let answer = world.must(&login, PASSWORD);
    assert_ne!(answer["device_id"], before["device"]["device_id"]);
    let sessions = world.must(&["sessions"], "");
    let items = sessions["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "{sessions}");
    assert_eq!(items[0]["device_name"], "laptop");
    assert_eq!(items[0]["current"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_again_keeps_the_device_and_ends_its_earlier_session() {
    let world = World::with_alice().await;
    let before = world.kept();
    let answer = world.must(&["relogin", "--password-stdin"], PASSWORD);
    assert_eq!(answer["device_id"], before["device"]["device_id"]);
    assert_ne!(answer["session_id"], before["session"]["session_id"]);
    assert_eq!(world.must(&["sessions"], "")["items"].as_array().unwrap().len(), 1);
    let wrong = world.refused(1, &["relogin", "--password-stdin"], "wrong password");
    assert!(wrong["error"].as_str().unwrap().contains("latchkey login"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_into_new_rooms_known_rooms_and_rooms_joined_first() {
    let world = World::with_alice().await;
    let first = world.must(&["send", "--new-room", "Garden", "Hello"], "");
    let room = first["room_id"].as_str().unwrap().to_owned();
    assert_eq!(first["seq"], 1);
    let send = ["send", "--room", &room, "--client-message-id", "once", "-"];
    let second = world.must(&send, "from a file\n");
    assert_eq!((&second["seq"], &second["client_message_id"]), (&json!(2), &json!("once")));
    assert_eq!(world.must(&send, "from a file\n")["message_id"], second["message_id"]);

    world.must(&["register", "--username", "bob", "--password-stdin", "--file", "bob"], PASSWORD);
    let outside = world.refused(1, &["send", "--file", "bob", "--room", &room, "Hi"], "");
    assert_eq!(outside["code"], "room_not_found");
    assert!(outside["error"].as_str().unwrap().contains("--join"), "{outside}");
    let joined = world.must(&["send", "--file", "bob", "--room", &room, "--join", "Hi"], "");
    assert_eq!(joined["seq"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_moves_the_token_and_shows_the_device_s_proof() {
    let world = World::with_alice().await;
    let before = world.kept();
    let answer = world.must(&["refresh"], "");
    let after = world.kept();
    assert_eq!(answer["session_id"], before["session"]["session_id"]);
    assert_eq!(answer["expires_at"], after["session"]["expires_at"]);
    assert_ne!(after["session"]["refresh_token"], before["session"]["refresh_token"]);
    // Once a proof was shown, nobody refreshes without one.
    let body = json!({ "refresh_token": after["session"]["refresh_token"] });
    let client = reqwest::Client::builder().build().unwrap();
    let bare = client.post(world.users.url("/api/auth/refresh")).json(&body);
    let refusal: Value = bare.send().await.unwrap().json().await.unwrap();
    assert_eq!(refusal["code"], "invalid_device_proof");
    world.must(&["refresh"], "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_about_to_end_is_refreshed_by_itself() {
    let world = World::with_alice().await;
    let mut kept = world.kept();
    let before = kept["session"]["refresh_token"].clone();
    kept["session"]["expires_at"] = json!(common::clock::rfc3339(Clock::default().now()));
    std::fs::write(world.file(), kept.to_string()).unwrap();
    world.must(&["sessions"], "");
    assert_ne!(world.kept()["session"]["refresh_token"], before);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_logs_out_must_log_in_again_on_the_device_that_stays() {
    let world = World::with_alice().await;
    let before = world.kept();
    let answer = world.must(&["logout"], "");
    let session_id = &before["session"]["session_id"];
    assert_eq!(answer, json!({ "session_id": session_id, "current": true }));
    assert!(world.kept()["session"].is_null());
    for command in ["refresh", "sessions", "logout", "end-all", "keys"] {
        let refusal = world.refused(77, &[command], "");
        assert_eq!(refusal["code"], "signed_out");
        assert!(refusal["error"].as_str().unwrap().contains("latchkey relogin"), "{refusal}");
    }
    world.must(&["relogin", "--password-stdin"], PASSWORD);
    assert_eq!(world.kept()["device"], before["device"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_session_is_ended_from_another_device_and_then_says_what_to_do() {
    let world = World::with_alice().await;
    let login = ["login", "--username", "alice", "--password-stdin", "--file", "phone"];
    let phone = world.must(&login, PASSWORD)["session_id"].as_str().unwrap().to_owned();
    assert_eq!(world.must(&["sessions"], "")["items"].as_array().unwrap().len(), 2);
    let ended = world.must(&["end-session", &phone], "");
    assert_eq!(ended, json!({ "session_id": phone, "current": false }));
    assert_eq!(world.refused(1, &["end-session", &phone], "")["code"], "session_not_found");

    let dead = eventually("the phone is logged out", || async {
        let ended = finish(world.latchkey().args(["sessions", "--json", "--file", "phone"]), "");
        (ended.status == 1).then_some(ended.stderr)
    })
    .await;
    let dead: Value = serde_json::from_str(&dead).unwrap();
    assert_eq!(dead["code"], "invalid_refresh_token");
    assert!(dead["error"].as_str().unwrap().contains("latchkey relogin"), "{dead}");

    let own = world.kept()["session"]["session_id"].as_str().unwrap().to_owned();
    assert_eq!(world.must(&["end-session", &own], "")["current"], true);
    assert!(world.kept()["session"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_logged_in_too_long_ago_is_told_to_log_in_again_before_another_session_ends() {
    let world = World::with_settings(&[("USER_SERVICE__LIMITS__RECENT_SIGN_IN", "0s")]).await;
    world.must(&["register", "--username", "alice", "--password-stdin"], PASSWORD);
    let login = ["login", "--username", "alice", "--password-stdin", "--file", "phone"];
    let phone = world.must(&login, PASSWORD)["session_id"].as_str().unwrap().to_owned();
    let refusal = world.refused(1, &["end-session", &phone], "");
    assert_eq!(refusal["code"], "insufficient_user_authentication");
    assert!(refusal["error"].as_str().unwrap().contains("latchkey relogin"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_sessions_end_at_once() {
    let world = World::with_alice().await;
    world.must(&["login", "--username", "alice", "--password-stdin", "--file", "phone"], PASSWORD);
    assert_eq!(world.must(&["end-all"], ""), json!({ "sessions_ended": 2 }));
    assert!(world.kept()["session"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyset_is_shown_as_a_jwk_set_with_public_members_alone() {
    let world = World::with_alice().await;
    let login = ["login", "--username", "alice", "--password-stdin", "--file", "phone"];
    world.must(&[&login[..], &["--device-name", "phone"]].concat(), PASSWORD);
    let answer = world.must(&["keys"], "");
    let (keys, devices) = (answer["keys"].as_array().unwrap(), answer["devices"].as_array());
    let devices = devices.unwrap();
    assert_eq!((keys.len(), devices.len()), (2, 2), "{answer}");
    for (key, device) in keys.iter().zip(devices) {
        assert_eq!(key["kid"], device["kid"]);
        assert!(key["d"].is_null() && key["n"].is_string() && key["alg"] == "RS256");
        Key::from_jwk(key).unwrap();
    }
    let named = |name: &str| devices.iter().find(|device| device["device_name"] == name).unwrap();
    assert_eq!(named("phone")["current"], false);
    assert_eq!(named("latchkey command line")["current"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_answered_in_words() {
    let world = World::with_alice().await;
    let session_id = world.kept()["session"]["session_id"].as_str().unwrap().to_owned();
    let sessions = world.run(&["sessions"], "").stdout;
    assert!(sessions.contains(&session_id) && sessions.contains("(this one)"), "{sessions}");
    let keys = world.run(&["keys"], "").stdout;
    assert!(keys.contains("latchkey command line (this one)") && keys.contains("\"kty\""));
    assert!(world.run(&["send", "--new-room", "A", "B"], "").stdout.contains("sent as number 1"));
    assert!(world.run(&["refresh"], "").stdout.starts_with("refreshed, access until "));
    let refused = world.run(&["send", "--room", &session_id, "B"], "");
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.starts_with("error: "), "{}", refused.stderr);
    assert!(world.run(&["logout"], "").stdout.contains("logged out"));
}

#[test]
fn wrong_arguments_are_64_and_help_is_0() {
    let run = |arguments: &[&str], input: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_latchkey"));
        finish(command.args(arguments).env("LATCHKEY_FILE", "/nonexistent/file"), input)
    };
    for wrong in [
        &["no-such-command"][..],
        &["send", "hello"],
        &["end-session", "not-an-id"],
        &["login", "--username", "alice", "--password", "secret"],
        &["login", "--username", "alice"],
        &["login", "--password-stdin"],
        &["login", "--username", "alice", "--password-stdin"],
        &["completions", "no-such-shell"],
    ] {
        let ended = run(wrong, "");
        assert_eq!(ended.status, 64, "{wrong:?}: {}", ended.stderr);
        assert!(!ended.stderr.is_empty());
    }
    assert_eq!(run(&["--help"], "").status, 0);
    let bare = run(&[], "");
    assert_eq!(bare.status, 0);
    assert!(bare.stdout.contains("Usage: latchkey"), "{}", bare.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_away_is_69_and_nothing_is_lost() {
    let world = World::with_alice().await;
    let before = world.kept();
    let away = ["--user-service", "http://127.0.0.1:1", "--chat-service", "http://127.0.0.1:1"];
    for command in [&["refresh"][..], &["logout"], &["end-all"], &["send", "--new-room", "A", "B"]]
    {
        let refusal = world.refused(69, &[command, &away].concat(), "");
        assert_eq!(refusal["code"], "unreachable");
        assert!(refusal["error"].as_str().unwrap().contains("127.0.0.1:1"), "{refusal}");
    }
    assert_eq!(world.kept(), before);
    let no_url = world.refused(64, &["refresh", "--user-service", "somewhere"], "");
    assert_eq!(no_url["code"], "usage");
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_rotations_of_an_hour_it_is_75_and_says_how_long() {
    let world = World::with_alice().await;
    for _ in 0..10 {
        world.must(&["refresh"], "");
    }
    let before = world.kept();
    let refusal = world.refused(75, &["refresh"], "");
    assert_eq!(refusal["code"], "rate_limited");
    assert!(refusal["retry_after"].as_u64().unwrap() > 0);
    assert_eq!(world.kept(), before);
}

#[test]
fn each_shell_gets_its_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_latchkey"));
        let ended = finish(command.args(["completions", shell]), "");
        assert_eq!(ended.status, 0);
        assert!(ended.stdout.contains("end-session"), "{shell}");
    }
    // The shell that is everywhere must take it.
    let mut bash = std::process::Command::new("bash");
    let script = format!(
        "source <({} completions bash) && complete -p latchkey",
        env!("CARGO_BIN_EXE_latchkey")
    );
    assert!(finish(bash.args(["-c", &script]), "").stdout.contains("_latchkey"));
}
