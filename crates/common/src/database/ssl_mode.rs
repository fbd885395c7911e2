use form_urlencoded::parse;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode as Wire};

/// libpq's `sslmode`, but for `allow`, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SslMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl SslMode {
    const ALL: [Self; 5] =
        [Self::Disable, Self::Prefer, Self::Require, Self::VerifyCa, Self::VerifyFull];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    fn parse(word: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|mode| mode.as_str() == word);
        known.ok_or_else(|| {
            "`sslmode` must be disable, prefer, require, verify-ca or verify-full".to_owned()
        })
    }
}

/// What a URL says: what tokio-postgres knows of it, and what it does not.
pub(super) struct Parameters {
    pub(super) config: Config,
    pub(super) mode: Option<SslMode>,
    pub(super) root: Option<String>,
}

impl Parameters {
    /// An error quotes nothing of the URL.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let (mut mode, mut root, mut kept) = (None, None, Vec::new());
        let (base, query) = split(url);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            // Unlike in a form, a plus is a plus.
            let plain = pair.replace('+', "%2B");
            let (name, value) = parse(plain.as_bytes()).next().unwrap_or_default();
            match &*name {
                "sslmode" => mode = Some(SslMode::parse(&value)?),
                "sslrootcert" => root = Some(value.into_owned()),
                _ => kept.push(pair),
            }
        }
        let query = kept.join("&");
        let mark = if query.is_empty() { "" } else { "?" };
        // tokio-postgres does not quote the URL in its errors.
        let mut config: Config = format!("{base}{mark}{query}")
            .parse()
            .map_err(|error: tokio_postgres::Error| error.to_string())?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err("it names no host".to_owned());
        }
        if config.get_hosts().contains(&Host::Tcp(String::new())) {
            let error = "a host's name is empty; beside `hostaddr`, give `port` as a parameter too";
            return Err(error.to_owned());
        }
        // TLS asks for a name: where there is none, the address is what a certificate is to be for.
        if config.get_hosts().is_empty() {
            for address in config.get_hostaddrs().to_vec() {
                config.host(address.to_string());
            }
        }
        // A string of `key=value` is tokio-postgres's alone, and `prefer` there may be nobody's.
        let word = match config.get_ssl_mode() {
            Wire::Disable => Some(SslMode::Disable),
            Wire::Require => Some(SslMode::Require),
            _ => None,
        };
        Ok(Self { config, mode: mode.or(word), root })
    }
}

/// A URL before and after its `?`. As for tokio-postgres, what is before the first `@` is a user
/// and a password, whatever they are made of.
fn split(url: &str) -> (&str, &str) {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return (url, "");
    }
    let host = url.find('@').map_or(0, |at| at + 1);
    url[host..].find('?').map_or((url, ""), |mark| (&url[..host + mark], &url[host + mark + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_tls_is_taken_out_and_the_rest_is_left_as_it_is() {
        let url = "postgres://me:a?sslmode=b@h:1/d?application_name=x%20y&sslmode=verify-full\
                   &sslrootcert=%2Fa%2Bb+c.pem";
        let parameters = Parameters::parse(url).unwrap();
        assert_eq!(parameters.mode, Some(SslMode::VerifyFull));
        assert_eq!(parameters.root.as_deref(), Some("/a+b+c.pem"));
        let config = parameters.config;
        assert_eq!(config.get_password(), Some(&b"a?sslmode=b"[..]));
        assert_eq!(config.get_application_name(), Some("x y"));
        assert_eq!(config.get_dbname(), Some("d"));
        assert_eq!(config.get_hosts(), [Host::Tcp("h".to_owned())]);
    }

    #[test]
    fn words_that_nobody_knows_are_refused_and_nothing_is_quoted() {
        for mode in ["allow", "verify_full", "VERIFY-FULL", "", "hidden"] {
            let url = format!("postgres://hidden@h/d?sslmode={mode}");
            let error = Parameters::parse(&url).map(drop).unwrap_err();
            assert!(error.starts_with("`sslmode` must be") && !error.contains("hidden"), "{error}");
        }
        for url in ["postgres://h/d", "host=h dbname=d", "postgres://h/d?"] {
            assert_eq!(Parameters::parse(url).unwrap().mode, None, "{url}");
        }
        let words = Parameters::parse("host=h sslmode=require").unwrap();
        assert_eq!(words.mode, Some(SslMode::Require));
        assert!(Parameters::parse("postgres:///d").is_err(), "no host");
    }
}
