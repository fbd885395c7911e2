//! Every setting of every service, set to what it can't be, or missing.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use common::settings::Schema;
use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use test_support::{ServiceProcess, program};
use tokio::time::timeout;

const SCHEMAS: [&Schema; 3] =
    [&user_service::config::SCHEMA, &chat_service::config::SCHEMA, &auth_manager::config::SCHEMA];

/// No number, time, address, URL, file, key, or word of any setting.
const NONSENSE: &str = "no;such value";
/// Nor is this any text: settings that would take [`NONSENSE`] get it.
const CONTROL: &str = "a\u{7}b";
/// A database that is not there.
const NOWHERE: &str = "postgres://nobody@127.0.0.1:1/none";
/// The settings that may be any text at all.
const TEXTS: [&str; 14] = [
    "browser.client_id",
    "browser.scope",
    "captcha.site_key",
    "redis.prefix",
    "signing.transit_ca_path",
    "signing.transit_mount",
    "token.issuer",
    "token.audience",
    "token.client_id",
    "token.scope",
    "verifier.issuer",
    "verifier.audience",
    "verifier.client_id",
    "verifier.legacy_issuer",
];
/// Secrets that may be any text.
const ANY_SECRET: [&str; 2] = ["captcha.secret", "verifier.client_secret"];

fn wrong(key: &str) -> &'static str {
    if TEXTS.contains(&key) || ANY_SECRET.contains(&key) { CONTROL } else { NONSENSE }
}

fn providers() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/providers.toml");
    file.canonicalize().unwrap().display().to_string()
}

/// What each service starts with.
fn good(schema: &Schema, providers: &str) -> Vec<(String, String)> {
    let settings = [
        ("environment", "development"),
        ("http.port", "0"),
        ("admin.port", "0"),
        // Whatever the database holds has no say here.
        ("database.url", NOWHERE),
        ("providers.file", providers),
    ];
    let known = settings.iter().filter(|(key, _)| schema.settings().any(|one| one.key() == *key));
    known.map(|(key, value)| (schema.variable(key), (*value).to_owned())).collect()
}

async fn run(program: &Path, arguments: &[&str], variables: &[(String, String)]) -> Output {
    let mut command = ServiceProcess::command(program, &[]);
    command.args(arguments).envs(variables.iter().map(|(key, value)| (key, value)));
    // One that is content goes on for ever: it is told to end, and its status says so.
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    if timeout(Duration::from_secs(20), child.wait()).await.is_err() {
        child.start_kill().unwrap();
    }
    child.wait_with_output().await.unwrap()
}

/// What is not as it should be: one line on standard error that names the key and quotes no secret,
/// status 64, no port opened.
fn fault(output: &Output, schema: &Schema, key: &str, value: &str) -> Option<String> {
    let said = String::from_utf8_lossy(&output.stderr);
    let named = said.contains(&format!("`{key}`")) || said.contains(&schema.variable(key));
    let secret = schema.settings().any(|one| one.key() == key && one.is_secret());
    let right = output.status.code() == Some(64)
        && said.trim_end().lines().count() == 1
        && named
        && !String::from_utf8_lossy(&output.stdout).contains("listening")
        && !(secret && !value.is_empty() && said.contains(value));
    (!right).then(|| format!("{} {key}={value:?}: {} {said}", schema.service, output.status))
}

#[tokio::test]
async fn every_setting_of_every_service_that_is_wrong_is_named_in_one_line() {
    let (mut cases, providers) = (Vec::new(), providers());
    for schema in SCHEMAS {
        let path: PathBuf = program(schema.service).await.into();
        for setting in schema.settings() {
            let (key, value) = (setting.key(), wrong(setting.key()));
            let mut variables = good(schema, &providers);
            // The later one counts.
            variables.push((schema.variable(key), value.to_owned()));
            let path = path.clone();
            cases
                .push(async move { fault(&run(&path, &[], &variables).await, schema, key, value) });
        }
    }
    assert!(cases.len() > 100, "{}", cases.len());
    let faults = stream::iter(cases).buffer_unordered(4).filter_map(std::future::ready);
    let faults: Vec<String> = faults.collect().await;
    assert!(faults.is_empty(), "{faults:#?}");
}

/// A PKCS#11 module that is loaded and then never answers.
fn hanging_module(folder: &Path) -> String {
    let (source, module) = (folder.join("hangs.c"), folder.join("hangs.so"));
    let hangs = "#include <unistd.h>\nint C_GetFunctionList(void *list) { for (;;) pause(); }\n";
    std::fs::write(&source, hangs).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).args([&module, &source]);
    assert!(compiler.status().unwrap().success());
    module.display().to_string()
}

/// What a service says whose token of `section` has that module.
async fn start_with_module(schema: &Schema, section: &str, module: &str) -> Output {
    let mut variables = good(schema, &providers());
    let parts = [("module", module), ("token", "latchkey"), ("pin", "2468"), ("key", "wrapping")];
    let keys = parts.map(|(part, value)| (format!("{section}.pkcs11_{part}"), value));
    let known = |(key, _): &(String, &str)| schema.settings().any(|one| one.key() == key);
    let keys = keys.into_iter().filter(known);
    variables.extend(keys.map(|(key, value)| (schema.variable(&key), value.to_owned())));
    run(program(schema.service).await, &[], &variables).await
}

#[tokio::test]
async fn no_service_waits_for_ever_for_a_token_that_hangs_while_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let hanging = hanging_module(folder.path());
    let pipe = folder.path().join("pipe").display().to_string();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (users, vault) = (SCHEMAS[0], SCHEMAS[2]);
    let mut cases = Vec::new();
    for (schema, section) in [(users, "signing"), (users, "vault"), (vault, "vault")] {
        let [slow, wrong] = ["does not answer within 10 s; see that its token", "is no file"];
        for (module, what) in [(hanging.clone(), slow), (pipe.clone(), wrong)] {
            cases.push(async move {
                let output = start_with_module(schema, section, &module).await;
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(said.contains(what), "{section}: {said}");
                fault(&output, schema, &format!("{section}.pkcs11_module"), &module)
            });
        }
    }
    let faults: Vec<_> = join_all(cases).await.into_iter().flatten().collect();
    assert!(faults.is_empty(), "{faults:#?}");
    let key = "signing.transit_token_path";
    let mut variables = good(users, &providers());
    let parts = [("signing.transit_url", "http://127.0.0.1:1"), (key, &pipe)];
    variables.extend(parts.map(|(key, value)| (users.variable(key), value.to_owned())));
    let output = run(program(users.service).await, &[], &variables).await;
    assert_eq!(fault(&output, users, key, &pipe), None);
}

#[tokio::test]
async fn no_service_starts_on_an_origin_that_is_not_exact() {
    let key = "cors.allowed_origins";
    for schema in SCHEMAS {
        let path = program(schema.service).await;
        for origin in ["*", "https://*.example.com", "https://app.example.com/", "null"] {
            let mut variables = good(schema, &providers());
            variables.push((schema.variable(key), format!("https://app.example.com,{origin}")));
            assert_eq!(fault(&run(path, &[], &variables).await, schema, key, origin), None);
        }
    }
}

#[tokio::test]
async fn every_setting_that_is_required_and_missing_is_named_in_one_line() {
    for schema in SCHEMAS {
        let output = run(program(schema.service).await, &[], &[]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        let required: Vec<_> = schema.settings().filter(|one| one.is_required()).collect();
        assert!(!required.is_empty(), "{}", schema.service);
        let lines = said.lines().filter(|line| line.contains("; set "));
        assert_eq!((output.status.code(), lines.count()), (Some(64), required.len()), "{said}");
        for missing in required {
            let named = format!("`{}` is required", missing.key());
            assert_eq!(said.matches(&named).count(), 1, "{named}: {said}");
        }
    }
}

#[tokio::test]
async fn a_file_of_settings_is_checked_and_all_that_is_wrong_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("user-service.toml");
    let check = async |arguments: &[&str]| {
        let path = Path::new(env!("CARGO_BIN_EXE_latchkey"));
        let file = file.display().to_string();
        run(path, &[&["config", "check", &file], arguments].concat(), &[]).await
    };
    std::fs::write(&file, "environment = \"development\"\n").unwrap();
    assert!(check(&[]).await.status.success());
    let wrong = "environment = \"development\"\nsuch = 1\n[http]\nport = \"many\"\n\
                 [refresh]\nidle = \"1s\"\n[vault]\nkeys = \"none\"\n[signing]\nrsa_bits = 1024\n\
                 [hsts]\nmax_age = \"1500ms\"\n";
    std::fs::write(&file, wrong).unwrap();
    let output = check(&[]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), said.lines().count()), (Some(64), 6), "{said}");
    for key in [
        "`such`",
        "`http.port`",
        "`refresh.idle`",
        "`vault.keys`",
        "`signing.rsa_bits`",
        "`hsts.max_age`",
    ] {
        assert_eq!(said.matches(key).count(), 1, "{key}: {said}");
    }
    let other = check(&["--service", "mail-service"]).await;
    assert_eq!(other.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&other.stderr).contains("no service `mail-service`"));
}

#[tokio::test]
async fn the_providers_file_that_a_file_of_settings_names_is_checked_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (file, named) = (folder.path().join("auth-manager.toml"), folder.path().join("own.toml"));
    let named = named.to_str().unwrap();
    let settings = format!("environment = \"development\"\n[providers]\nfile = \"{named}\"\n");
    std::fs::write(&file, &settings).unwrap();
    let check = async || {
        let path = Path::new(env!("CARGO_BIN_EXE_latchkey"));
        let output = run(path, &["config", "check", file.to_str().unwrap()], &[]).await;
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (status, said) = check().await;
    assert_eq!((status, said.lines().count()), (Some(64), 1), "{said}");
    assert!(said.contains("`providers.file`") && said.contains(named), "{said}");
    let good = std::fs::read_to_string(providers()).unwrap();
    std::fs::write(named, &good).unwrap();
    assert_eq!(check().await.0, Some(0));
    // Faults of three providers and of the settings themselves.
    let wrong = "[first]\nkind = \"openid\"\nissuer = \"nowhere\"\n\
        login_client = { id = \"one\", secret_file = \"/nowhere\" }\n\
        [second]\nkind = \"openid\"\nissuer = \"https://id.example\"\nsuch = 1\n\
        [third]\nkind = \"openid\"\nissuer = \"https://id.example\"\n\
        ca_path = \"/nowhere.pem\"\nlogin_client = { id = \"one\", secret = \"tell-nobody\" }\n";
    std::fs::write(named, wrong).unwrap();
    std::fs::write(&file, format!("{settings}[vault]\nkeys = \"none\"\n")).unwrap();
    let (status, said) = check().await;
    assert_eq!(status, Some(64), "{said}");
    for fault in [
        "`first.issuer` is no URL",
        "`first`, client `one`: `secret_file` /nowhere can't be read",
        "unknown field `such`",
        "`third`: ",
        "`providers.default` is `keycloak`",
    ] {
        let line = said.lines().find(|line| line.contains(fault));
        assert!(line.is_some_and(|line| line.contains(named)), "{fault}: {said}");
    }
    assert!(said.contains("`vault.keys`") && !said.contains("tell-nobody"), "{said}");
    assert_eq!(said.lines().count(), 6, "{said}");
}

/// Something that the secret in a file of this name may be.
fn secret(name: &str) -> String {
    let key = "5a".repeat(32);
    if name.ends_with("database-url") {
        NOWHERE.to_owned()
    } else if name.ends_with("vault-keys") {
        format!("first:{key}")
    } else if name.ends_with("clients") {
        "chat-service:a-secret-that-is-long-enough".to_owned()
    } else if name.ends_with("keys") {
        format!("1:{key}")
    } else {
        key
    }
}

#[tokio::test]
async fn the_files_for_each_environment_are_right_and_name_every_secret_by_its_file() {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/config");
    let (folder, place) = (tempfile::tempdir().unwrap(), "/run/secrets/");
    let own_providers = folder.path().join("providers.toml").display().to_string();
    let known = std::fs::read_to_string(providers()).unwrap();
    // What everybody knows is for development alone.
    std::fs::write(&own_providers, known.replace("development-", "")).unwrap();
    for environment in ["production", "preview", "development"] {
        for schema in SCHEMAS {
            let name = format!("{}.toml", schema.service);
            let text = std::fs::read_to_string(all.join(environment).join(&name)).unwrap();
            for path in text.split('"').filter_map(|text| text.strip_prefix(place)) {
                let path = folder.path().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, secret(path.to_str().unwrap())).unwrap();
            }
            let here = format!("{}/", folder.path().display());
            let file = folder.path().join(&name);
            let text = text.replace("/etc/latchkey/providers.toml", &own_providers);
            std::fs::write(&file, text.replace(place, &here)).unwrap();
            let path = Path::new(env!("CARGO_BIN_EXE_latchkey"));
            // By itself, development's is found from the workspace's folder.
            let own = (schema.variable("providers.file"), providers());
            let is_named = environment == "development" && schema.service == "auth-manager";
            let more = if is_named { vec![own] } else { Vec::new() };
            let output = run(path, &["config", "check", file.to_str().unwrap()], &more).await;
            assert!(output.status.success(), "{environment}/{name}: {output:?}");
            for setting in schema.settings().filter(|setting| setting.is_secret()) {
                let member = setting.key().rsplit('.').next().unwrap();
                let inline = text.lines().any(|line| line.starts_with(&format!("{member} =")));
                assert!(!inline, "{environment}/{name}: {}", setting.key());
            }
        }
    }
}

#[tokio::test]
async fn the_operators_commands_refuse_the_same_settings_in_the_same_way() {
    let (users, vault) = (&user_service::config::SCHEMA, &auth_manager::config::SCHEMA);
    let chats = &chat_service::config::SCHEMA;
    let path = Path::new(env!("CARGO_BIN_EXE_latchkey"));
    for (arguments, schema, key) in [
        (&["cleanup"][..], users, "database.url"),
        (&["migrate", "run", "--service", "user-service"], users, "database.url"),
        (&["migrate", "run", "--service", "chat-service"], chats, "database.url"),
        (&["migrate", "run", "--service", "auth-manager"], vault, "database.url"),
        (&["migrate", "session-keys"], users, "vault.keys"),
        (&["migrate", "account-vault"], vault, "vault.keys"),
        (&["vault", "keys", "--service", "user-service"], users, "vault.keys"),
        (&["vault", "rewrap", "--service", "auth-manager"], vault, "vault.keys"),
        (&["vault", "verify", "--service", "auth-manager"], vault, "database.url"),
        (&["vault", "list"], vault, "database.url"),
    ] {
        let development = (schema.variable("environment"), "development".to_owned());
        let wrong = [development, (schema.variable(key), NONSENSE.to_owned())];
        assert_eq!(fault(&run(path, arguments, &wrong).await, schema, key, NONSENSE), None);
        let others = schema.settings().filter(|one| one.is_required() && one.key() != key);
        let given = |key| match key {
            "database.url" => NOWHERE,
            "captcha.provider" => "off",
            _ => "given",
        };
        let others: Vec<_> =
            others.map(|one| (schema.variable(one.key()), given(one.key()).to_owned())).collect();
        assert_eq!(fault(&run(path, arguments, &others).await, schema, key, ""), None);
    }
}
