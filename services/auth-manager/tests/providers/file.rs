//! What is wrong with a providers' file is one line, and the service does not start.

use std::process::Command;

use common::clock::Clock;
use common::metrics::Metrics;
use test_support::ProvidersFile;

use crate::world::start;

const GOOD: &str = r#"
[keycloak]
kind = "keycloak"
issuer = "http://localhost/realms/one"
login_client = { id = "login", secret = "keep-this-to-yourself" }
"#;

fn refusal(name: &str, path: &str) -> String {
    let (clock, metrics) = (Clock::default(), Metrics::new("auth-manager"));
    match start(name, path, &[], &clock, &metrics) {
        Ok(_) => panic!("it starts"),
        Err(wrong) => wrong,
    }
}

#[test]
fn file_and_key_are_named_and_no_secret() {
    for (from, to, key) in [
        ("kind = \"keycloak\"", "", "kind"),
        ("\"keycloak\"", "\"saml\"", "keycloak.kind"),
        ("issuer", "isuer", "isuer"),
        ("http://localhost/realms/one", "localhost", "keycloak.issuer"),
        ("secret =", "secrets =", "login_client"),
        ("{ id", "id", "TOML"),
        ("[keycloak]", "[Keycloak]", "`Keycloak`"),
        ("login_client", "admin_client", "login_client"),
    ] {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from}");
        let file = ProvidersFile::new().with(&text);
        let wrong = refusal("keycloak", &file.path());
        let own = format!("`providers.file`: {}: ", file.path());
        assert!(
            wrong.lines().any(|line| line.starts_with(&own) && line.contains(key)),
            "{key}: {wrong}"
        );
        assert!(wrong.lines().all(|line| line.contains(&file.path())), "{key}: {wrong}");
        assert!(!wrong.contains("keep-this"), "{wrong}");
    }
    let file = ProvidersFile::new().with(GOOD);
    let wrong = refusal("nobody", &file.path());
    assert!(wrong.contains("`providers.default` is `nobody`") && wrong.contains(&file.path()));
    let wrong = refusal("keycloak", "/nowhere/providers.toml");
    assert!(wrong.contains("/nowhere/providers.toml can't be read"), "{wrong}");
}

#[test]
fn a_service_with_a_bad_file_says_so_in_one_line_and_ends_at_once() {
    let file = ProvidersFile::new().with(&GOOD.replace("login_client", "login_cleint"));
    let ended = Command::new(env!("CARGO_BIN_EXE_auth-manager"))
        .env_clear()
        .envs([
            ("AUTH_MANAGER__ENVIRONMENT", "development"),
            ("AUTH_MANAGER__PROVIDERS__FILE", file.path().as_str()),
            ("AUTH_MANAGER__HTTP__PORT", "0"),
            ("AUTH_MANAGER__ADMIN__PORT", "0"),
        ])
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(64));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains(&file.path()) && said.contains("login_cleint"), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
}
