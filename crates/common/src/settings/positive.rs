use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::Period;

/// For `#[serde(deserialize_with)]`: a number or span of time above zero.
pub fn positive<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + PartialEq + Zero,
{
    let value = T::deserialize(deserializer)?;
    if value == T::ZERO { Err(D::Error::custom("it must be above zero")) } else { Ok(value) }
}

/// What has a zero.
pub trait Zero {
    /// It.
    const ZERO: Self;
}

impl Zero for u32 {
    const ZERO: Self = 0;
}

impl Zero for u64 {
    const ZERO: Self = 0;
}

impl Zero for usize {
    const ZERO: Self = 0;
}

impl Zero for Period {
    const ZERO: Self = Self(Duration::ZERO);
}
