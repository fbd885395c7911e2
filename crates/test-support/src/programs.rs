use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;
use tokio::sync::OnceCell;

/// All at once, as `cargo xtask up` builds them, so that both use one build.
const PACKAGES: [&str; 4] = ["user-service", "chat-service", "auth-manager", "latchkey"];

static PROGRAMS: OnceCell<HashMap<String, PathBuf>> = OnceCell::const_new();

/// Where the program `name` of another package is, built from the code as it is now.
pub async fn program(name: &str) -> &'static Path {
    let programs = PROGRAMS.get_or_init(build).await;
    programs.get(name).unwrap_or_else(|| panic!("no program `{name}`"))
}

async fn build() -> HashMap<String, PathBuf> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--message-format=json-render-diagnostics"])
        .args(PACKAGES.iter().flat_map(|package| ["--package", package]))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    let output = command.output().await.expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8(output.stdout).expect("text");
    let programs = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let name = message["target"]["name"].as_str()?;
        Some((name.to_owned(), PathBuf::from(message["executable"].as_str()?)))
    });
    programs.collect()
}
