//! Section `captcha`.

use common::settings::{DeploymentEnvironment, List, Period, Secret, Setting, positive, web_url};
use serde::{Deserialize, Deserializer, de::Error as _};

/// Which provider says whether a person is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CaptchaProvider {
    /// None: nothing is asked for.
    Off,
    /// Cloudflare Turnstile.
    Turnstile,
    /// Google reCAPTCHA, version 3.
    Recaptcha,
}

/// What to do while the provider is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenAway {
    /// Refuse.
    Closed,
    /// Let pass.
    Open,
}

/// Section `captcha`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptchaSettings {
    /// Who is asked.
    pub provider: CaptchaProvider,
    /// What clients show.
    pub site_key: Option<String>,
    /// What we prove ourselves to the provider with.
    pub secret: Option<Secret>,
    /// Hosts on which it may have been solved.
    pub hostnames: List<String>,
    /// Least score, where the provider gives one.
    #[serde(deserialize_with = "share")]
    pub min_score: f64,
    /// How long ago it may have been solved.
    #[serde(deserialize_with = "positive")]
    pub max_age: Period,
    /// How long the provider may take.
    #[serde(deserialize_with = "positive")]
    pub timeout: Period,
    /// What to do while the provider is away.
    pub when_away: WhenAway,
    /// The provider's endpoint, where it is not the usual one.
    #[serde(default, deserialize_with = "some_web_url")]
    pub url: Option<String>,
    /// Failed logins of a username in an hour before a login needs it.
    #[serde(deserialize_with = "positive")]
    pub login_failures: u32,
}

/// The settings of the section.
pub(super) const CAPTCHA: &[Setting] = &[
    Setting::new("captcha.provider", "Who says whether a person is there: `turnstile`, `recaptcha` (version 3), or `off`; needed to register, and to log in with a username that has failed too often").development("off"),
    Setting::new("captcha.site_key", "The provider's public key, told to clients that need it"),
    Setting::new("captcha.secret", "The provider's secret key").secret(),
    Setting::new("captcha.hostnames", "Hosts on which a CAPTCHA may have been solved, comma separated").default(""),
    Setting::new("captcha.min_score", "Least score, 0 to 1, of a provider that gives one").default("0.5"),
    Setting::new("captcha.max_age", "How long ago a CAPTCHA may have been solved").default("5m"),
    Setting::new("captcha.timeout", "How long the provider may take to answer").default("3s"),
    Setting::new("captcha.when_away", "While the provider does not answer in time or answers 5xx: `closed` refuses, `open` lets pass").default("closed"),
    Setting::new("captcha.url", "Where answers are verified, if not at the provider's usual address"),
    Setting::new("captcha.login_failures", "Failed logins of a username in an hour, on all devices and browsers together, before a browser needs a CAPTCHA and a device new to the user waits").default("5"),
];

impl CaptchaSettings {
    /// What is wrong, in one line that names the key.
    pub(super) fn check(&self, environment: DeploymentEnvironment) -> Result<(), String> {
        if let Some(bad) = self.hostnames.0.iter().find(|name| !is_host(name)) {
            return Err(format!("`captcha.hostnames`: `{bad}` is no host name"));
        }
        let url = self.url.as_deref().unwrap_or("https://");
        if environment != DeploymentEnvironment::Development && !url.starts_with("https://") {
            return Err("`captcha.url` must be https".to_owned());
        }
        if self.provider == CaptchaProvider::Off {
            return Ok(());
        }
        let lacks = if self.secret.is_none() {
            "captcha.secret"
        } else if self.site_key.is_none() {
            "captcha.site_key"
        } else if self.hostnames.0.is_empty() {
            "captcha.hostnames"
        } else {
            return Ok(());
        };
        Err(format!("`{lacks}` is required where `captcha.provider` names one"))
    }
}

fn is_host(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    !name.is_empty() && name.bytes().all(allowed)
}

/// From 0 to 1.
fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let share = f64::deserialize(deserializer)?;
    let inside = (0.0..=1.0).contains(&share);
    if inside { Ok(share) } else { Err(D::Error::custom("it must be from 0 to 1")) }
}

fn some_web_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    web_url(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use common::settings::Environment;

    use super::super::{SCHEMA, Settings};

    const PROVIDER: (&str, &str) = ("PROVIDER", "turnstile");
    const SECRET: (&str, &str) = ("SECRET", "a-secret");
    const SITE_KEY: (&str, &str) = ("SITE_KEY", "a-site-key");
    const HOSTS: (&str, &str) = ("HOSTNAMES", "app.example.com");

    fn check(environment: &str, given: &[(&str, &str)]) -> Result<(), String> {
        let variables: Environment = given
            .iter()
            .map(|(name, value)| (format!("USER_SERVICE__CAPTCHA__{name}"), (*value).to_owned()))
            .chain([("USER_SERVICE__ENVIRONMENT".to_owned(), "development".to_owned())])
            .collect();
        let mut settings: Settings = SCHEMA.load(&variables).map_err(|error| error.to_string())?;
        settings.environment = serde_json::from_value(environment.into()).unwrap();
        settings.captcha.check(settings.environment)
    }

    #[test]
    fn a_provider_needs_its_keys_and_hosts_and_nobody_may_listen_on_the_way() {
        let http = ("URL", "http://captcha.test/verify");
        for (environment, given, key) in [
            ("development", &[PROVIDER, SITE_KEY, HOSTS][..], "captcha.secret"),
            ("development", &[PROVIDER, SECRET, HOSTS], "captcha.site_key"),
            ("development", &[PROVIDER, SECRET, SITE_KEY], "captcha.hostnames"),
            ("development", &[("HOSTNAMES", "https://app.example.com")], "captcha.hostnames"),
            ("development", &[("MIN_SCORE", "1.1")], "CAPTCHA__MIN_SCORE"),
            ("development", &[("MIN_SCORE", "NaN")], "CAPTCHA__MIN_SCORE"),
            ("production", &[PROVIDER, SECRET, SITE_KEY, HOSTS, http], "captcha.url"),
        ] {
            let error = check(environment, given).unwrap_err();
            assert!(error.contains(key) && !error.contains('\n'), "{given:?}: {error}");
        }
        for environment in ["development", "production"] {
            assert_eq!(check(environment, &[PROVIDER, SECRET, SITE_KEY, HOSTS]), Ok(()));
            assert_eq!(check(environment, &[]), Ok(()));
        }
        assert_eq!(check("development", &[http]), Ok(()));
    }

    #[test]
    fn production_names_a_provider_or_says_that_there_is_none() {
        let error = SCHEMA.value("captcha.provider", &Environment::default()).unwrap_err();
        assert!(error.to_string().contains("USER_SERVICE__CAPTCHA__PROVIDER"), "{error}");
    }
}
