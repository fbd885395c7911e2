//! `latchkey rollout`, as an operator sees it.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::process::{Command, Output};

use serde_json::Value;
use test_support::TestDatabase;
use user_service::MIGRATIONS;

fn rollout(database: &TestDatabase, arguments: &[&str]) -> Output {
    command(database, arguments).output().unwrap()
}

fn command(database: &TestDatabase, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey"));
    let _ = command
        .arg("rollout")
        .args(arguments)
        .env_clear()
        .env("USER_SERVICE__ENVIRONMENT", "development")
        .env("USER_SERVICE__DATABASE__URL", database.url());
    command
}

fn told(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn the_share_is_shown_and_set_and_nothing_but_a_percentage_is_taken() {
    let database = TestDatabase::create("user", || MIGRATIONS).await;
    let show = || told(&rollout(&database, &["show"]));
    assert_eq!(show(), "v5 5 %, v4 95 %\ndecided by settings\n");
    for share in ["25", "100", "0"] {
        let set = told(&rollout(&database, &["set", share]));
        assert!(set.starts_with(&format!("v5 {share} %, ")), "{set}");
        assert_eq!(show(), set);
        let json: Value =
            serde_json::from_str(&told(&rollout(&database, &["show", "--json"]))).unwrap();
        assert_eq!(json["share"].to_string(), share);
        assert_eq!(json["decided_by"], "operator");
        assert!(json["decided_at"].is_string() && json["reason"].is_null());
    }
    for bad in ["101", "-1", "5.5", "all", ""] {
        assert_eq!(rollout(&database, &["set", bad]).status.code(), Some(64), "{bad}");
    }
    assert!(show().starts_with("v5 0 %, "));
}

#[tokio::test]
async fn once_v4_is_not_accepted_nothing_less_than_all_is_set() {
    let database = TestDatabase::create("user", || MIGRATIONS).await;
    let over = |arguments: &[&str]| {
        let mut command = command(&database, arguments);
        command.env("USER_SERVICE__BROWSER__ACCEPT_V4", "false").output().unwrap()
    };
    let set = told(&over(&["set", "100"]));
    assert!(set.ends_with("0 live sessions have not refreshed since, and may have v4 cookies\n"));
    for share in ["0", "99"] {
        let refused = over(&["set", share]);
        assert!(!refused.status.success());
        let why = String::from_utf8_lossy(&refused.stderr);
        assert!(why.contains("`browser.accept_v4` is false"), "{why}");
    }
    assert_eq!(told(&over(&["show"])), set);
}
