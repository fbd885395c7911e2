//! What is set, looked up as the services do it: the environment over `.env`.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};

use crate::workspace;

/// Variables; an empty one counts as not given.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The process's own variables over those of the workspace's `.env`.
    pub fn read() -> Result<Self> {
        let mut variables = BTreeMap::new();
        let path = workspace().join(".env");
        if path.exists() {
            // dotenvy's error quotes the line, which may hold a secret.
            for line in
                dotenvy::from_path_iter(path).map_err(|_| anyhow!("`.env` can't be read"))?
            {
                let (name, value) =
                    line.map_err(|_| anyhow!("`.env` has a line that is not KEY=value"))?;
                variables.insert(name, value);
            }
        }
        variables.extend(std::env::vars());
        Ok(Self(variables))
    }

    /// The value of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_is_not_given() {
        let environment = Environment::from([("DATABASE_URL", ""), ("PORT", "1")]);
        assert_eq!((environment.get("DATABASE_URL"), environment.get("PORT")), (None, Some("1")));
    }
}
