use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// A list setting: comma separated in the environment, an array or the same text in TOML.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List<T>(pub Vec<T>);

impl<'de, T: FromStr<Err: std::fmt::Display>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Given {
            Text(String),
            Array(Vec<String>),
        }
        let parts = match Given::deserialize(deserializer)? {
            Given::Text(text) => text.split(',').map(str::to_owned).collect(),
            Given::Array(parts) => parts,
        };
        parts
            .iter()
            .map(|part| part.trim())
            .filter(|part| !part.is_empty())
            .map(|part| part.parse().map_err(serde::de::Error::custom))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}
