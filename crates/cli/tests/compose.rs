//! `docker-compose.yml`: what its health checks say of the real thing.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use test_support::TestRedis;
use tokio::process::Command;

/// The shell's words of a service's health check.
fn health_check(service: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docker-compose.yml");
    let text = fs::read_to_string(path).unwrap();
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
