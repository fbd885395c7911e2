//! The commands as an operator runs them.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use token_verifier::{Algorithm, Key};

fn latchkey(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_latchkey"))
        .args(arguments)
        .current_dir(folder)
        .env("LATCHKEY_PASSWORD", "a long password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn keygen_writes_a_pair_once_and_never_over_a_file() {
    let folder = tempfile::tempdir().unwrap();
    assert!(latchkey(folder.path(), &["keygen"], "").status.success());
    let private = folder.path().join("keys/jwt_private_key.pem");
    let public = folder.path().join("keys/jwt_public_key.pem");
    assert_eq!(private.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let pem = std::fs::read_to_string(&private).unwrap();
    assert!(pem.starts_with("-----BEGIN RSA PRIVATE KEY-----"));
    let key = Key::from_pem(&std::fs::read(&public).unwrap()).unwrap();
    assert_eq!(key.algorithm(), Algorithm::Rs256);

    let again = latchkey(folder.path(), &["keygen"], "");
    assert!(!again.status.success());
    assert!(text(&again.stderr).contains("jwt_private_key.pem exists"));
    assert_eq!(std::fs::read_to_string(&private).unwrap(), pem);

    let elsewhere = ["keygen", "--private", "a.pem", "--public", "b.pem", "--algorithm", "es256"];
    assert!(latchkey(folder.path(), &elsewhere, "").status.success());
    let key = Key::from_pem(&std::fs::read(folder.path().join("b.pem")).unwrap()).unwrap();
    assert_eq!(key.algorithm(), Algorithm::Es256);
}

#[test]
fn a_device_signs_only_once_it_has_a_key_and_its_file_is_its_owner_s() {
    let folder = tempfile::tempdir().unwrap();
    let new = latchkey(folder.path(), &["device", "new", "--name", "laptop"], "");
    let body: serde_json::Value = serde_json::from_slice(&new.stdout).unwrap();
    assert_eq!(body["device_name"], "laptop");
    let mode = folder.path().join("device.json").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!latchkey(folder.path(), &["device", "new"], "").status.success());

    let sign = ["device", "sign", "--username", "alice"];
    let early = latchkey(folder.path(), &sign, "");
    assert!(text(&early.stderr).contains("latchkey device agree"));
    let refused = latchkey(folder.path(), &["device", "agree"], r#"{"error":"no"}"#);
    assert!(text(&refused.stderr).contains("server_public_key"));
    // Any X25519 public key serves as the server's half.
    let answer = serde_json::json!({
        "device_id": "8c2f0a5e-6a0d-4a52-9d0e-0f6c1d2b3a49",
        "server_public_key": body["public_key"],
    });
    assert!(latchkey(folder.path(), &["device", "agree"], &answer.to_string()).status.success());
    let signed = latchkey(folder.path(), &sign, "");
    let login: serde_json::Value = serde_json::from_slice(&signed.stdout).unwrap();
    assert_eq!(login["device_signature"].as_str().unwrap().len(), 64);
    assert_eq!(login["device_id"], answer["device_id"]);
}

/// What an operator's command says that lacks settings or has bad ones; it says nothing else.
fn misconfigured(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_latchkey"))
        .args(arguments)
        .current_dir(folder.path())
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let told = text(&output.stderr).to_owned();
    assert_eq!(output.status.code(), Some(64), "{arguments:?}: {told}");
    assert_eq!(text(&output.stdout), "", "{arguments:?}");
    assert!(told.lines().all(|line| line.starts_with("error: ")), "{arguments:?}: {told}");
    told
}

#[test]
fn operators_commands_name_the_setting_that_is_missing_and_exit_as_the_services_do() {
    let user = "USER_SERVICE__DATABASE__URL";
    let auth = "AUTH_MANAGER__DATABASE__URL";
    let id = "6a6f6200-6c61-4463-a86b-657900000001";
    for (arguments, key) in [
        (&["migrate", "run"][..], user),
        (&["migrate", "run", "--service", "auth-manager"], auth),
        (&["migrate", "session-keys"], user),
        (&["migrate", "account-vault"], auth),
        (&["migrate", "auth-vault"], "OLDER_VAULT_URL"),
        (&["cleanup"], user),
        (&["cleanup", "--service", "auth-manager"], auth),
        (&["rollout", "show"], user),
        (&["rollout", "set", "25"], user),
        (&["users", "set-role", "alice", "admin"], user),
        (&["vault", "keys"], user),
        (&["vault", "rewrap", "--service", "auth-manager"], auth),
        (&["vault", "verify", "--service", "auth-manager"], auth),
        (&["vault", "list"], auth),
        (&["vault", "show", id], auth),
        (&["vault", "revoke", id], auth),
        (&["vault", "unlink", "--user", id], auth),
        (&["vault", "new-key"], "AUTH_MANAGER__VAULT__PKCS11_MODULE"),
    ] {
        let told = misconfigured(arguments, &[]);
        assert!(told.contains(key), "{arguments:?}: {told}");
    }
}

#[test]
fn operators_commands_name_the_setting_that_is_malformed_and_quote_nothing_of_it() {
    let development = ("AUTH_MANAGER__ENVIRONMENT", "development");
    let (url, bad) = ("AUTH_MANAGER__DATABASE__URL", "p4ssw0rd@nowhere");
    let good = "postgres://postgres@127.0.0.1:1/a";
    let keys = "AUTH_MANAGER__VAULT__KEYS";
    let list = ["vault", "list"];
    let rewrap = ["vault", "rewrap", "--service", "auth-manager"];
    let migrate = ["migrate", "run", "--service", "auth-manager"];
    let older = ["migrate", "auth-vault"];
    for (arguments, environment, key) in [
        (&list[..], &[development, (url, bad)][..], url),
        (&list, &[development, (url, "postgres:///a")], url),
        (&migrate, &[development, (url, bad)], url),
        (&rewrap, &[development, (url, bad)], url),
        (&rewrap, &[development, (url, good), (keys, "a:p4ssw0rd")], "vault.keys"),
        (&rewrap, &[development, ("AUTH_MANAGER__NO_SUCH", "1")], "AUTH_MANAGER__NO_SUCH"),
        (&older, &[("OLDER_VAULT_URL", good), ("OLDER_VAULT_KEY", "p4ssw0rd")], "OLDER_VAULT_KEY"),
        (&older, &[("OLDER_VAULT_URL", bad), ("OLDER_VAULT_KEY", "00")], "OLDER_VAULT_URL"),
        (&["cleanup", "--service", "nobody"], &[], "`nobody`"),
        (&["cleanup"], &[("DATABASE_URL", good)], "--service"),
        (&["migrate", "run", "--service", "nobody"], &[], "`nobody`"),
    ] {
        let told = misconfigured(arguments, environment);
        assert!(told.contains(key) && !told.contains("p4ssw0rd"), "{arguments:?}: {told}");
    }
}
