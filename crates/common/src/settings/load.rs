use std::collections::HashSet;
use std::fs;

use config::{Config, ConfigBuilder, ConfigError, File, FileFormat, Value, builder::DefaultState};
use serde::de::DeserializeOwned;

use super::{Environment, Schema, Secret, Setting};

/// Bad settings: a line for each that names the key and what is wrong, never a secret's value.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(pub String);

impl SettingsError {
    /// Of all that was found; none: nothing is wrong.
    #[must_use]
    pub fn of(faults: &[String]) -> Option<Self> {
        let lines: Vec<_> = faults.iter().map(|fault| fault.replace('\n', " ")).collect();
        (!lines.is_empty()).then(|| Self(lines.join("\n")))
    }
}

const FILE_KEY: &str = "config_file";

impl Schema {
    /// Reads this service's settings from `environment` and the TOML file it may name; an error
    /// says all that is wrong at once.
    pub fn load<T: DeserializeOwned>(&self, environment: &Environment) -> Result<T, SettingsError> {
        let (settings, faults) = self.read(environment)?;
        SettingsError::of(&faults).map_or(Ok(settings), Err)
    }

    /// The settings, and what is wrong with them; there, something else stands in. An error where
    /// nothing can.
    pub fn read<T: DeserializeOwned>(
        &self,
        environment: &Environment,
    ) -> Result<(T, Vec<String>), SettingsError> {
        let mut faults = self.unknown_variables(environment);
        let file = self.read_file(environment)?;
        faults.extend(self.unknown_keys(environment, &file));
        // What else is wrong depends on it.
        let deployment = self.deployment(environment, &file).map_err(SettingsError)?;
        let mut builder = Config::builder();
        for setting in self.settings() {
            let value =
                self.find(setting, environment, &file, &deployment).unwrap_or_else(|fault| {
                    faults.push(fault);
                    setting.stand_in().map(Value::from)
                });
            if let Some(value) = value {
                builder = builder.set_override(setting.key, value)?;
            }
        }
        self.deserialize(builder, faults)
    }

    /// A value that does not parse is set aside for another one, so that the next is found too.
    fn deserialize<T: DeserializeOwned>(
        &self,
        mut builder: ConfigBuilder<DefaultState>,
        mut faults: Vec<String>,
    ) -> Result<(T, Vec<String>), SettingsError> {
        let mut set_aside = HashSet::new();
        loop {
            let read = builder.build_cloned()?.try_deserialize();
            let error = match read {
                Ok(settings) => return Ok((settings, faults)),
                Err(error) => error,
            };
            let setting = self.named_in(&error);
            faults.push(match setting {
                Some(setting) => format!("{}: {error}", self.variable(setting.key)),
                None => error.to_string(),
            });
            let next = setting.filter(|setting| set_aside.insert(setting.key));
            let Some((key, value)) = next.and_then(|next| Some((next.key, next.stand_in()?)))
            else {
                return Err(SettingsError::of(&faults).unwrap_or_else(|| error.into()));
            };
            builder = builder.set_override(key, value)?;
        }
    }

    /// One value alone, for a command that needs no more than that.
    pub fn value(&self, key: &str, environment: &Environment) -> Result<Secret, SettingsError> {
        self.find_value(key, environment)?.ok_or_else(|| SettingsError(self.required(key)))
    }

    /// The same where there may be none.
    pub fn find_value(
        &self,
        key: &str,
        environment: &Environment,
    ) -> Result<Option<Secret>, SettingsError> {
        let file = self.read_file(environment)?;
        let Some(setting) = self.settings().find(|setting| setting.key == key) else {
            return Ok(None);
        };
        let inline = self.given(key, setting.alias, environment, &file);
        let given = inline
            .map_or_else(|| self.secret_file(key, environment, &file), |value| Ok(Some(value)))
            .map_err(SettingsError)?;
        let development = self.given("environment", None, environment, &file);
        let fallback = setting
            .development
            .filter(|_| development.as_deref() == Some("development"))
            .or(setting.default);
        Ok(given.or_else(|| fallback.map(str::to_owned)).map(Secret::from))
    }

    fn unknown_variables(&self, environment: &Environment) -> Vec<String> {
        let prefix = self.prefix();
        environment
            .names_with_prefix(&prefix)
            .filter(|name| !self.knows(&name[prefix.len()..].to_lowercase().replace("__", ".")))
            .map(|name| format!("{name}: no such setting; the README lists all of them"))
            .collect()
    }

    fn unknown_keys(&self, environment: &Environment, file: &Config) -> Vec<String> {
        let path = environment.get(&self.variable(FILE_KEY)).unwrap_or_default();
        // Whatever was read is a table.
        let table: config::Map<_, _> = file.clone().try_deserialize().unwrap_or_default();
        let unknown = flatten(table).into_iter().filter(|key| !self.knows(key));
        unknown.map(|key| format!("{path}: `{key}` is no setting")).collect()
    }

    fn deployment(&self, environment: &Environment, file: &Config) -> Result<String, String> {
        let given = self.given("environment", None, environment, file);
        let deployment = given.unwrap_or_else(|| "production".to_owned());
        if matches!(deployment.as_str(), "production" | "preview" | "development") {
            return Ok(deployment);
        }
        let name = self.variable("environment");
        Err(format!("{name}: it must be `production`, `preview` or `development`"))
    }

    fn knows(&self, key: &str) -> bool {
        key == FILE_KEY
            || self.settings().any(|setting| {
                setting.key == key
                    || (setting.secret && key.strip_suffix("_file") == Some(setting.key))
            })
    }

    fn read_file(&self, environment: &Environment) -> Result<Config, SettingsError> {
        let name = self.variable(FILE_KEY);
        let Some(path) = environment.get(&name) else {
            return Ok(Config::default());
        };
        let text = fs::read_to_string(path)
            .map_err(|error| SettingsError(format!("{name}: {path} can't be read: {error}")))?;
        Config::builder()
            .add_source(File::from_str(&text, FileFormat::Toml))
            .build()
            .map_err(|_| SettingsError(format!("{name}: {path} is not valid TOML")))
    }

    /// The text given for `key`: its variable first, then its older name, then the file.
    fn given(
        &self,
        key: &str,
        alias: Option<&str>,
        environment: &Environment,
        file: &Config,
    ) -> Option<String> {
        environment
            .get(&self.variable(key))
            .or_else(|| alias.and_then(|name| environment.get(name)))
            .map(str::to_owned)
            .or_else(|| file.get_string(key).ok())
    }

    /// The value of a setting.
    fn find(
        &self,
        setting: &Setting,
        environment: &Environment,
        file: &Config,
        deployment: &str,
    ) -> Result<Option<Value>, String> {
        let key = setting.key;
        let development = deployment == "development";
        let inline = self.given(key, setting.alias, environment, file);
        let from_file =
            if setting.secret { self.secret_file(key, environment, file)? } else { None };
        let value = match (inline, from_file) {
            (Some(_), Some(_)) => {
                return Err(format!("`{key}` and `{key}_file` are both given; keep one"));
            }
            (Some(value), None) | (None, Some(value)) => {
                if setting.secret && !development && Some(value.as_str()) == setting.development {
                    return Err(format!(
                        "`{key}` is the development secret, which `environment = {deployment}` refuses; \
                         set {} to one of your own",
                        self.variable(key)
                    ));
                }
                Some(value)
            }
            // Arrays of the TOML file are no text.
            (None, None) if file.get_array(key).is_ok() => return Ok(file.get(key).ok()),
            (None, None) => match (setting.default, setting.development) {
                (Some(default), _) => Some(default.to_owned()),
                (None, Some(value)) if development => Some(value.to_owned()),
                (None, Some(_)) if !setting.optional => return Err(self.required(key)),
                (None, _) => None,
            },
        };
        if value.as_ref().is_some_and(|value| value.contains(char::is_control)) {
            let variable = self.variable(key);
            return Err(format!("`{key}` has a control character in it; mend {variable}"));
        }
        Ok(value.map(Value::from))
    }

    fn required(&self, key: &str) -> String {
        format!("`{key}` is required; set {}", self.variable(key))
    }

    fn secret_file(
        &self,
        key: &str,
        environment: &Environment,
        file: &Config,
    ) -> Result<Option<String>, String> {
        let file_key = format!("{key}_file");
        let Some(path) = self.given(&file_key, None, environment, file) else {
            return Ok(None);
        };
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned())),
            Err(error) => Err(format!("`{file_key}`: {path} can't be read: {error}")),
        }
    }

    /// The setting that a type error is about.
    fn named_in(&self, error: &ConfigError) -> Option<&'static Setting> {
        let text = error.to_string();
        self.settings()
            .filter(|setting| text.contains(&format!("`{}`", setting.key)))
            .max_by_key(|setting| setting.key.len())
    }
}

impl From<ConfigError> for SettingsError {
    fn from(error: ConfigError) -> Self {
        Self(error.to_string())
    }
}

/// The dotted keys of a table of tables.
fn flatten(table: config::Map<String, Value>) -> Vec<String> {
    let mut keys = Vec::new();
    for (key, value) in table {
        match value.into_table() {
            Ok(inner) => keys.extend(flatten(inner).iter().map(|rest| format!("{key}.{rest}"))),
            Err(_) => keys.push(key),
        }
    }
    keys
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
