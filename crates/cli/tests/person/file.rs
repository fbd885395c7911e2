//! The file with the device's key and the tokens.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::support::{PASSWORD, World, finish};

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_its_owner_s_alone_from_the_first_write_to_the_last() {
    let world = World::with_alice().await;
    let file = world.file();
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().unwrap()), 0o700);
    world.must(&["refresh"], "");
    assert_eq!(mode(&file), 0o600);

    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let refusal = world.refused(74, &["refresh"], "");
    assert!(refusal["error"].as_str().unwrap().contains("chmod 600"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_elsewhere_by_option_by_variable_and_by_xdg() {
    let world = World::new().await;
    let place = |name: &str| world.home.path().join(name);
    let register = |name: &str| {
        let mut command = world.latchkey();
        command.args(["register", "--username", name, "--password-stdin"]);
        command
    };
    let (option, variable) = (place("by/option"), place("by-variable"));
    finish(register("ann").arg("--file").arg(&option), PASSWORD);
    finish(register("ben").env("LATCHKEY_FILE", &variable), PASSWORD);
    finish(register("cat").env("XDG_CONFIG_HOME", place("xdg")), PASSWORD);
    for file in [option, variable, place("xdg/latchkey/session.json")] {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    assert!(!world.file().exists());
    // The specification has relative ones ignored.
    finish(register("dan").env("XDG_CONFIG_HOME", "xdg"), PASSWORD);
    assert_eq!(mode(&world.file()), 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_one_is_named_without_its_content_and_left_alone() {
    let world = World::with_alice().await;
    std::fs::write(world.file(), r#"{"user_service": "secret-text", "device": 5}"#).unwrap();
    let refusal = world.refused(74, &["refresh"], "");
    let error = refusal["error"].as_str().unwrap();
    assert!(error.contains("session.json is damaged") && !error.contains("secret-text"));
    let login = ["login", "--username", "alice", "--password-stdin"];
    assert_eq!(world.refused(74, &login, PASSWORD)["code"], "file");
    assert!(std::fs::read_to_string(world.file()).unwrap().contains("secret-text"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_beside_it_is_in_nobody_s_way() {
    let world = World::with_alice().await;
    let half = world.home.path().join(".config/latchkey/session.json.new");
    std::fs::write(&half, "{\"user_serv").unwrap();
    world.must(&["refresh"], "");
    assert!(!half.exists());
    assert_eq!(mode(&world.file()), 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_whose_answer_was_never_kept_is_made_good_by_the_next() {
    let world = World::with_alice().await;
    let before = std::fs::read(world.file()).unwrap();
    world.must(&["refresh"], "");
    let successor = world.kept()["session"]["refresh_token"].clone();
    // As if the process had died between the answer and the write.
    std::fs::write(world.file(), before).unwrap();
    world.must(&["refresh"], "");
    assert_eq!(world.kept()["session"]["refresh_token"], successor);
    world.must(&["refresh"], "");
}

/// A refresh that is killed once the service has answered, or before it is asked; what it
/// answered.
async fn killed_refresh(world: &World, asked: bool) -> String {
    let between = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", between.local_addr().unwrap());
    let mut command = world.latchkey();
    let mut child = command.args(["refresh", "--user-service", &url]).spawn().unwrap();
    let (client, _) = between.accept().await.unwrap();
    let mut answer = String::new();
    if asked {
        let server = TcpStream::connect(world.users.address()).await.unwrap();
        let (mut request, _keep_open) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let pass_on = tokio::spawn(async move {
            tokio::io::copy(&mut request, &mut to_server).await.unwrap_or_default()
        });
        let mut piece = [0; 8192];
        while !answer.contains("refresh_token") {
            let count = from_server.read(&mut piece).await.unwrap();
            assert_ne!(count, 0, "{answer}");
            answer.push_str(std::str::from_utf8(&piece[..count]).unwrap());
        }
        pass_on.abort();
        child.kill().unwrap();
    } else {
        child.kill().unwrap();
    }
    child.wait().unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_killed_before_the_request_or_after_the_commit_costs_no_session() {
    let world = World::with_alice().await;
    let before = world.kept();
    for asked in [false, true] {
        let answer = killed_refresh(&world, asked).await;
        assert_eq!(world.kept(), before);
        if asked {
            world.must(&["refresh"], "");
            let kept = world.kept()["session"]["refresh_token"].as_str().unwrap().to_owned();
            assert!(answer.contains(&kept), "not the successor that was lost");
        }
    }
    world.must(&["refresh"], "");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_at_once_take_turns_and_the_session_lives() {
    let world = World::with_alice().await;
    let refresh = || world.latchkey().arg("refresh").stdout(Stdio::null()).spawn().unwrap();
    let children: Vec<_> = (0..6).map(|_| refresh()).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    world.must(&["refresh"], "");
}
