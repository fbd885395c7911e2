use std::collections::BTreeMap;
use std::path::Path;

/// The environment variables that settings are read from; tests pass a map of their own.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The process's own variables over those of `.env` in the working directory.
    pub fn from_process() -> Result<Self, String> {
        let mut variables = BTreeMap::new();
        if Path::new(".env").exists() {
            // dotenvy's error quotes the line, which may hold a secret.
            let lines = dotenvy::from_filename_iter(".env")
                .map_err(|_| "`.env` can't be read".to_owned())?;
            for (number, line) in lines.enumerate() {
                let (key, value) =
                    line.map_err(|_| format!("`.env`: entry {} is not KEY=value", number + 1))?;
                variables.insert(key, value);
            }
        }
        variables.extend(std::env::vars());
        Ok(Self(variables))
    }

    /// The same but for one variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The value of `name`; an empty one counts as not given.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Names that begin with `prefix`.
    pub fn names_with_prefix(&self, prefix: &str) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str).filter(move |name| name.starts_with(prefix))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}
