//! `docs/BROWSER-SESSIONS.md`: its lines, pasted into bash, do what the page says.

use std::path::Path;
use std::process::Command;

use super::support::World;

/// The lines of all shell blocks of the page.
fn lines() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/BROWSER-SESSIONS.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.flat_map(str::lines).map(ToOwned::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_curl_walk_pasted_line_by_line_answers_what_the_page_says() {
    let own = ("USER_SERVICE__PUBLIC_URL", "http://127.0.0.1:8080");
    let world = World::with_settings(&[own]).await;
    let mut script = String::from("set -e\n");
    let mut expected = Vec::new();
    for line in lines() {
        // It takes itself for what the page says, and listens elsewhere.
        let line = match line.as_str() {
            "ID=http://127.0.0.1:8080" => format!("ID={}", world.users.url("")),
            _ => line,
        };
        if let Some((_, status)) = line.rsplit_once(" # ") {
            expected.push(status.to_owned());
        }
        script += &line;
        script.push('\n');
    }
    assert!(expected.len() > 10, "the page says of each call what it answers");
    let ran = Command::new("bash").args(["-c", &script]).output().unwrap();
    let (stdout, stderr) =
        (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    let is_status = |line: &&str| line.len() == 3 && line.bytes().all(|byte| byte.is_ascii_digit());
    let answered: Vec<&str> = stdout.lines().filter(is_status).collect();
    assert_eq!(answered, expected, "{stdout}\n{stderr}");
    assert!(ran.status.success(), "{stderr}");
}
