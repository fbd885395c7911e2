use std::str::FromStr;
use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Deserializer};

const LONGEST: Duration = Duration::from_hours(100 * 366 * 24);

/// A span of time: `10s`, `15m`, `2h`, `30d`, or a bare number of seconds as older deployments
/// wrote it; a hundred years at most, so that adding it to a time can't fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

impl Period {
    /// For arithmetic with times.
    #[must_use]
    pub fn as_delta(self) -> TimeDelta {
        TimeDelta::from_std(self.0).unwrap_or(TimeDelta::MAX)
    }

    fn limited(duration: Duration) -> Result<Self, String> {
        if duration > LONGEST {
            return Err("a span of time may be a hundred years at most".to_owned());
        }
        Ok(Self(duration))
    }

    /// Whole seconds.
    #[must_use]
    pub fn as_secs(self) -> i64 {
        i64::try_from(self.0.as_secs()).unwrap_or(i64::MAX)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Given {
            Seconds(u64),
            Text(String),
        }
        let period = match Given::deserialize(deserializer)? {
            Given::Seconds(seconds) => Self::limited(Duration::from_secs(seconds)),
            Given::Text(text) => text.parse(),
        };
        period.map_err(serde::de::Error::custom)
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let duration = match text.trim().parse() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => humantime::parse_duration(text)
                .map_err(|_| format!("`{text}` is not a span of time such as 10s, 15m or 30d"))?,
        };
        Self::limited(duration)
    }
}
