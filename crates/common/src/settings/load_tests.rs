use serde::Deserialize;

use super::*;
use crate::settings::{List, Period, Secret};

const SCHEMA: Schema = Schema {
    service: "test-service",
    sections: &[&[
        Setting::new("environment", "Where it runs").default("production"),
        Setting::new("http.port", "Port").default("8080"),
        Setting::new("http.origins", "Origins").default("").alias("FRONTEND_ORIGINS"),
        Setting::new("token.life", "Life").default("2h").alias("ACCESS_TOKEN_EXPIRY"),
        Setting::new("token.key", "Key").secret().development("dev-key"),
    ]],
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[expect(dead_code, reason = "read by the schema itself")]
    environment: String,
    http: Http,
    token: Token,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Http {
    port: u16,
    origins: List<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    #[serde(deserialize_with = "crate::settings::positive")]
    life: Period,
    key: Secret,
}

fn load(pairs: &[(&str, &str)]) -> Result<Settings, String> {
    SCHEMA.load(&pairs.iter().copied().collect::<Environment>()).map_err(|error| error.to_string())
}

const KEY: (&str, &str) = ("TEST_SERVICE__TOKEN__KEY", "a-real-key");

#[test]
fn defaults_apply_and_the_environment_overrides_them() {
    let settings =
        load(&[KEY, ("TEST_SERVICE__HTTP__PORT", "9"), ("FRONTEND_ORIGINS", "a, b")]).unwrap();
    assert_eq!(settings.http.port, 9);
    assert_eq!(settings.http.origins.0, ["a", "b"]);
    assert_eq!(settings.token.life.as_secs(), 7200);
}

#[test]
fn an_older_name_gives_way_to_the_present_one() {
    let old = ("ACCESS_TOKEN_EXPIRY", "60");
    assert_eq!(load(&[KEY, old]).unwrap().token.life.as_secs(), 60);
    let new = ("TEST_SERVICE__TOKEN__LIFE", "5m");
    assert_eq!(load(&[KEY, old, new]).unwrap().token.life.as_secs(), 300);
}

#[test]
fn an_unknown_variable_is_named() {
    let error = load(&[KEY, ("TEST_SERVICE__HTTP__PROT", "1")]).unwrap_err();
    assert!(error.starts_with("TEST_SERVICE__HTTP__PROT: no such setting"), "{error}");
}

#[test]
fn a_value_of_the_wrong_type_names_its_variable() {
    let error = load(&[KEY, ("TEST_SERVICE__HTTP__PORT", "many")]).unwrap_err();
    assert!(error.contains("TEST_SERVICE__HTTP__PORT"), "{error}");
    let error = load(&[KEY, ("TEST_SERVICE__TOKEN__LIFE", "long")]).unwrap_err();
    assert!(error.contains("TEST_SERVICE__TOKEN__LIFE"), "{error}");
}

#[test]
fn all_that_is_wrong_is_said_at_once_in_a_line_each() {
    let error = load(&[
        ("TEST_SERVICE__HTTP__PROT", "1"),
        ("TEST_SERVICE__HTTP__PORT", "many"),
        ("TEST_SERVICE__TOKEN__LIFE", "long"),
    ])
    .unwrap_err();
    let named = ["HTTP__PROT: ", "`token.key` is required", "HTTP__PORT: ", "TOKEN__LIFE: "];
    assert_eq!(error.lines().count(), named.len(), "{error}");
    for name in named {
        assert_eq!(error.lines().filter(|line| line.contains(name)).count(), 1, "{name}: {error}");
    }
}

#[test]
fn a_value_that_would_stop_the_service_later_stops_it_at_its_start() {
    for value in ["0", "0s", "101000y", "1000000000000"] {
        let error = load(&[KEY, ("TEST_SERVICE__TOKEN__LIFE", value)]).unwrap_err();
        assert!(error.contains("TEST_SERVICE__TOKEN__LIFE") && !error.contains('\n'), "{error}");
    }
}

#[test]
fn a_development_secret_serves_only_development() {
    assert!(load(&[]).unwrap_err().contains("`token.key` is required"));
    let settings = load(&[("TEST_SERVICE__ENVIRONMENT", "development")]).unwrap();
    assert_eq!(settings.token.key.expose(), "dev-key");
    let error = load(&[("TEST_SERVICE__TOKEN__KEY", "dev-key")]).unwrap_err();
    assert!(error.contains("development secret"), "{error}");
}

#[test]
fn a_secret_comes_inline_or_from_a_file_but_not_both() {
    let path = std::env::temp_dir().join(format!("settings-{}", std::process::id()));
    fs::write(&path, "from-file\n").unwrap();
    let file = ("TEST_SERVICE__TOKEN__KEY_FILE", path.to_str().unwrap());
    assert_eq!(load(&[file]).unwrap().token.key.expose(), "from-file");
    assert!(load(&[file, KEY]).unwrap_err().contains("both"));
    fs::remove_file(path).unwrap();
}

#[test]
fn a_toml_file_is_read_under_the_environment_and_its_unknown_keys_are_refused() {
    let path = std::env::temp_dir().join(format!("settings-{}.toml", std::process::id()));
    let file = ("TEST_SERVICE__CONFIG_FILE", path.to_str().unwrap());
    fs::write(&path, "[http]\nport = 7\norigins = [\"x\"]\n[token]\nkey = \"k\"\n").unwrap();
    let settings = load(&[file, ("TEST_SERVICE__TOKEN__LIFE", "1m")]).unwrap();
    assert_eq!((settings.http.port, settings.token.life.as_secs()), (7, 60));
    assert_eq!(settings.http.origins.0, ["x"]);
    let settings = load(&[file, ("TEST_SERVICE__HTTP__ORIGINS", "y,z")]).unwrap();
    assert_eq!(settings.http.origins.0, ["y", "z"]);
    let settings = load(&[file, ("FRONTEND_ORIGINS", "w")]).unwrap();
    assert_eq!(settings.http.origins.0, ["w"]);
    fs::write(&path, "[http]\nprot = 7\n").unwrap();
    assert!(load(&[file, KEY]).unwrap_err().contains("`http.prot` is no setting"));
    fs::remove_file(path).unwrap();
}
