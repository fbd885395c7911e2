use common::settings::DeploymentEnvironment::{Development, Production};

use super::*;

const GOOD: &str = r#"
[keycloak]
kind = "keycloak"
issuer = "http://localhost:8180/realms/latchkey"
login_client = { id = "login", secret = "development-login" }
offline_client = { id = "offline", secret = "development-offline" }
refresh_token_max_reuse = 1

[[keycloak.service_clients]]
client_id = "job"
subject = "f3c0"
consent_clients = ["offline"]
scopes = ["openid"]
"#;

/// All of them, or all that is wrong.
fn read_all(
    text: &str,
    environment: DeploymentEnvironment,
) -> Result<BTreeMap<String, ProviderSettings>, String> {
    let (mut providers, mut faults) = (BTreeMap::new(), Vec::new());
    for (name, described) in parse(text, environment)? {
        match described {
            Ok(provider) => drop(providers.insert(name, provider)),
            Err(wrong) => faults.extend(wrong),
        }
    }
    if faults.is_empty() { Ok(providers) } else { Err(faults.join("\n")) }
}

fn refusal(text: &str) -> String {
    read_all(text, Development).unwrap_err()
}

#[test]
fn a_good_file_is_read() {
    let providers = read_all(GOOD, Development).unwrap();
    let provider = &providers["keycloak"];
    assert_eq!(provider.kind, ProviderKind::Keycloak);
    assert_eq!(provider.refresh_token_max_reuse, Some(1));
    assert_eq!(provider.clients().count(), 2);
    assert_eq!(provider.service_clients[0].consent_clients, ["offline"]);
}

#[test]
fn development_secrets_are_refused_elsewhere() {
    let wrong = read_all(GOOD, Production).unwrap_err();
    for client in ["`login`", "`offline`"] {
        let named = |line: &str| line.contains(client) && line.contains("development secret");
        assert!(wrong.lines().any(named), "{wrong}");
    }
    let own = GOOD.replace("development-", "");
    assert!(read_all(&own, Production).is_ok());
}

#[test]
fn a_secret_comes_inline_or_from_a_file_and_not_both() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "from a file\n").unwrap();
    let given = format!(r#"secret_file = "{}""#, file.path().display());
    let text = GOOD.replace(r#"secret = "development-login""#, &given);
    let providers = read_all(&text, Development).unwrap();
    assert_eq!(providers["keycloak"].login_client.secret.as_ref().unwrap().expose(), "from a file");

    let both = GOOD.replace(r#"id = "login","#, &format!(r#"id = "login", {given},"#));
    assert!(refusal(&both).contains("keep one"));
    let missing = GOOD.replace(r#"secret = "development-login""#, r#"secret_file = "/nowhere""#);
    assert!(refusal(&missing).contains("/nowhere"));
}

#[test]
fn what_is_wrong_is_said_with_its_key_and_without_secrets() {
    for (from, to, key) in [
        ("kind = ", "knid = ", "knid"),
        ("issuer = \"http://localhost:8180/realms/latchkey\"", "", "issuer"),
        ("http://localhost:8180/realms/latchkey", "nowhere", "keycloak.issuer"),
        ("http://localhost:8180/realms/latchkey", "http://localhost:8180/", "keycloak.issuer"),
        ("\"keycloak\"", "\"oauth2\"", "keycloak.endpoints"),
        ("id = \"offline\"", "id = \"login\"", "`login`"),
        ("{ id = \"login\", secret = \"development-login\" }", "\"tell-nobody\"", "login_client"),
        ("max_reuse = 1", "max_reuse = -1", "refresh_token_max_reuse"),
        ("subject = \"f3c0\"", "subject = \"\"", "service_clients"),
        ("scopes = [\"openid\"]", "scopes = []", "service_clients"),
    ] {
        let text = GOOD.replace(from, to);
        assert_ne!(text, GOOD, "{from}");
        let wrong = refusal(&text);
        assert!(wrong.contains(key) && !wrong.contains('\n'), "{from}: {wrong}");
        assert!(!wrong.contains("tell-nobody") && !wrong.contains("development-l"), "{wrong}");
    }
    let capital = GOOD.replace("[keycloak]", "[Keycloak]").replace("keycloak.", "Keycloak.");
    assert!(refusal(&capital).contains("`Keycloak` is no name"));
    assert!(!refusal("[keycloak]\nsecret = tell-nobody").contains("tell-nobody"));
}

#[test]
fn an_issuer_elsewhere_speaks_tls() {
    let text =
        GOOD.replace("development-", "").replace("http://localhost:8180", "http://id.example");
    assert!(read_all(&text, Production).unwrap_err().contains("https"));
    assert!(read_all(&text, Development).is_ok());
    assert!(read_all(&text.replace("http://", "https://"), Production).is_ok());
}

#[test]
fn two_providers_have_two_issuers() {
    let second = GOOD.replace("keycloak]", "other]").replace("keycloak.", "other.");
    let text = format!("{GOOD}{second}");
    assert!(refusal(&text).contains("another provider's"));
}
