use std::fs;

use config::{Config, ConfigBuilder, File, FileFormat, builder::DefaultState};
use serde::de::DeserializeOwned;

use super::{Environment, Schema, Secret, Setting};

/// Bad settings: one line that names the key and what is wrong, never a secret's value.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(pub String);

const FILE_KEY: &str = "config_file";

impl Schema {
    /// Reads this service's settings from `environment` and the TOML file it may name.
    pub fn load<T: DeserializeOwned>(&self, environment: &Environment) -> Result<T, SettingsError> {
        self.refuse_unknown_variables(environment)?;
        let file = self.read_file(environment)?;
        let deployment = self
            .given("environment", None, environment, &file)
            .unwrap_or_else(|| "production".to_owned());
        if !matches!(deployment.as_str(), "production" | "development") {
            let name = self.variable("environment");
            return Err(SettingsError(format!("{name}: it must be `production` or `development`")));
        }
        let mut builder = Config::builder().add_source(file.clone());
        for setting in self.settings() {
            builder = self.apply(builder, setting, environment, &file, &deployment)?;
        }
        let merged = builder.build().map_err(|error| SettingsError(error.to_string()))?;
        merged.try_deserialize().map_err(|error| SettingsError(self.explain(&error)))
    }

    /// One value alone, for a command that needs no more than that.
    pub fn value(&self, key: &str, environment: &Environment) -> Result<Secret, SettingsError> {
        let missing = || SettingsError(format!("`{key}` is required; set {}", self.variable(key)));
        self.find_value(key, environment)?.ok_or_else(missing)
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
            .map_or_else(|| self.secret_file(key, environment, &file), |value| Ok(Some(value)))?;
        let development = self.given("environment", None, environment, &file);
        let fallback = setting
            .development
            .filter(|_| development.as_deref() == Some("development"))
            .or(setting.default);
        Ok(given.or_else(|| fallback.map(str::to_owned)).map(Secret::from))
    }

    fn refuse_unknown_variables(&self, environment: &Environment) -> Result<(), SettingsError> {
        let prefix = self.prefix();
        for name in environment.names_with_prefix(&prefix) {
            let key = name[prefix.len()..].to_lowercase().replace("__", ".");
            if !self.knows(&key) {
                return Err(SettingsError(format!(
                    "{name}: no such setting; the README lists all of them"
                )));
            }
        }
        Ok(())
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
        let file = Config::builder()
            .add_source(File::from_str(&text, FileFormat::Toml))
            .build()
            .map_err(|_| SettingsError(format!("{name}: {path} is not valid TOML")))?;
        let table: config::Map<String, config::Value> = file
            .clone()
            .try_deserialize()
            .map_err(|_| SettingsError(format!("{name}: {path} is not a table")))?;
        for key in flatten(table) {
            if !self.knows(&key) {
                return Err(SettingsError(format!("{path}: `{key}` is no setting")));
            }
        }
        Ok(file)
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

    fn apply(
        &self,
        builder: ConfigBuilder<DefaultState>,
        setting: &Setting,
        environment: &Environment,
        file: &Config,
        deployment: &str,
    ) -> Result<ConfigBuilder<DefaultState>, SettingsError> {
        let key = setting.key;
        let development = deployment == "development";
        let inline = self.given(key, setting.alias, environment, file);
        let from_file =
            if setting.secret { self.secret_file(key, environment, file)? } else { None };
        let value = match (inline, from_file) {
            (Some(_), Some(_)) => {
                return Err(SettingsError(format!(
                    "`{key}` and `{key}_file` are both given; keep one"
                )));
            }
            (Some(value), None) | (None, Some(value)) => {
                if setting.secret && !development && Some(value.as_str()) == setting.development {
                    return Err(SettingsError(format!(
                        "`{key}` is the development secret, which `environment = {deployment}` refuses; \
                         set {} to one of your own",
                        self.variable(key)
                    )));
                }
                Some(value)
            }
            // Arrays of the TOML file, which are no text, stay as they are.
            (None, None) if file.get_array(key).is_ok() => None,
            (None, None) => match (setting.default, setting.development) {
                (Some(default), _) => Some(default.to_owned()),
                (None, Some(value)) if development => Some(value.to_owned()),
                (None, Some(_)) if !setting.optional => {
                    return Err(SettingsError(format!(
                        "`{key}` is required; set {}",
                        self.variable(key)
                    )));
                }
                (None, _) => None,
            },
        };
        match value {
            Some(value) if value.contains(char::is_control) => Err(SettingsError(format!(
                "`{key}` has a control character in it; mend {}",
                self.variable(key)
            ))),
            Some(value) => builder
                .set_override(key, value)
                .map_err(|error| SettingsError(format!("`{key}`: {error}"))),
            None => Ok(builder),
        }
    }

    fn secret_file(
        &self,
        key: &str,
        environment: &Environment,
        file: &Config,
    ) -> Result<Option<String>, SettingsError> {
        let file_key = format!("{key}_file");
        let Some(path) = self.given(&file_key, None, environment, file) else {
            return Ok(None);
        };
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned())),
            Err(error) => {
                Err(SettingsError(format!("`{file_key}`: {path} can't be read: {error}")))
            }
        }
    }

    /// A type error in words that name the variable to mend.
    fn explain(&self, error: &config::ConfigError) -> String {
        let text = error.to_string();
        let key = self
            .settings()
            .map(|setting| setting.key)
            .filter(|key| text.contains(&format!("`{key}`")))
            .max_by_key(|key| key.len());
        match key {
            Some(key) => format!("{}: {text}", self.variable(key)),
            None => text,
        }
    }
}

/// The dotted keys of a table of tables.
fn flatten(table: config::Map<String, config::Value>) -> Vec<String> {
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
