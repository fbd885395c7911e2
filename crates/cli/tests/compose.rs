//! `docker-compose.yml`: what its health checks say of the real thing.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use common::settings::Environment;
use test_support::TestRedis;
use tokio::process::Command;
use user_service::config::{LimitStore, SCHEMA, Settings};

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)).unwrap()
}

/// The shell's words of a service's health check.
fn health_check(service: &str) -> String {
    let text = page("docker-compose.yml");
    let (_, section) = text.split_once(&format!("\n  {service}:\n")).unwrap();
    let section = section.split("\n\n").next().unwrap();
    let (_, check) = section.split_once("    healthcheck:\n      test: ").unwrap();
    let words: Vec<String> = serde_json::from_str(check.lines().next().unwrap()).unwrap();
    assert_eq!((words[0].as_str(), words.len()), ("CMD-SHELL", 2), "{words:?}");
    words[1].replace("$$", "$")
}

#[tokio::test]
async fn redis_is_healthy_by_its_password_which_no_command_line_shows() {
    let redis = TestRedis::start().await;
    assert_eq!(redis.ask("CONFIG SET requirepass the-right-one").await, "OK");
    let folder = tempfile::tempdir().unwrap();
    let (client, shown) = (folder.path().join("redis-cli"), folder.path().join("shown"));
    // In the container it is on its usual port.
    let script = format!(
        "#!/bin/sh\necho \"$0 $*\" >> '{}'\nPATH=${{PATH#*:}} exec redis-cli -p {} \"$@\"\n",
        shown.display(),
        redis.port()
    );
    fs::write(&client, script).unwrap();
    fs::set_permissions(&client, Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let check = health_check("redis");
    let is_healthy = async |password: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", &check]).env("PATH", &path).env("REDIS_PASSWORD", password);
        command.output().await.unwrap().status.success()
    };
    assert!(is_healthy("the-right-one").await);
    assert!(!is_healthy("another").await);
    assert!(!is_healthy("").await);
    let shown = fs::read_to_string(shown).unwrap();
    assert!(shown.lines().count() == 3 && !shown.contains("the-right-one"), "{shown}");
    drop(redis);
    assert!(!is_healthy("the-right-one").await, "it is gone");
}

#[tokio::test]
async fn with_the_readme_s_lines_for_redis_limits_are_counted_in_it() {
    let readme = page("README.md");
    let (_, rest) = readme.split_once("<!-- redis -->\n```sh\n").unwrap();
    let (script, _) = rest.split_once("```\n<!-- end of redis -->").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("bash");
    command.args(["-e", "-c", script]).current_dir(&folder);
    assert!(command.status().await.unwrap().success());
    let made = fs::read_to_string(folder.path().join(".env")).unwrap();
    let given = made.lines().map(|line| line.split_once('=').unwrap());
    let environment: Environment =
        given.chain([("USER_SERVICE__ENVIRONMENT", "development")]).collect();
    let settings: Settings = SCHEMA.load(&environment).unwrap();
    assert!(settings.redis.url.is_some());
    assert_eq!(settings.limit_store(), LimitStore::Redis);
}
