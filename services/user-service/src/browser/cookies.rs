//! The cookies: how each is called and set in this deployment, how a request brings them, and how
//! they are cleared.

use std::fmt;
use std::time::Duration;

use actix_web::http::Uri;
use actix_web::http::header::{
    self, HeaderName, HeaderValue, InvalidHeaderValue, TryIntoHeaderPair,
};
use common::settings::DeploymentEnvironment;

use super::generation::Generation;
use super::turns::Turns;
use crate::config::Settings;

/// What a cookie is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The access token.
    Access,
    /// The refresh token.
    Refresh,
    /// What stands for a session before there is one.
    PreSession,
    /// The CSRF token, to be matched by `X-CSRF-Token`.
    Csrf,
    /// What tells this browser from others, beyond its sessions.
    Browser,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::Access, Self::Refresh, Self::PreSession, Self::Csrf, Self::Browser];
    /// Those that are over with the session.
    pub(super) const OF_SESSION: [Self; 4] =
        [Self::Access, Self::Refresh, Self::PreSession, Self::Csrf];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
            Self::PreSession => "presession",
            Self::Csrf => "csrf",
            Self::Browser => "browser",
        }
    }
}

/// A prefix with which browsers refuse a cookie that was set in a weaker way
/// (RFC 6265bis, section 4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    /// Secure, this host, whole site.
    Host,
    /// Secure.
    Secure,
    None,
}

/// What a `Set-Cookie` says; give it to `append_header`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) max_age: u64,
    pub(super) domain: Option<String>,
    pub(super) path: String,
    pub(super) secure: bool,
    pub(super) http_only: bool,
    pub(super) same_site: Option<&'static str>,
}

impl fmt::Display for Cookie {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value, max_age, path, .. } = self;
        write!(formatter, "{name}={value}; Max-Age={max_age}; Path={path}")?;
        if self.http_only {
            formatter.write_str("; HttpOnly")?;
        }
        self.same_site
            .iter()
            .try_for_each(|same_site| write!(formatter, "; SameSite={same_site}"))?;
        if self.secure {
            formatter.write_str("; Secure")?;
        }
        self.domain.iter().try_for_each(|domain| write!(formatter, "; Domain={domain}"))
    }
}

impl TryIntoHeaderPair for Cookie {
    type Error = InvalidHeaderValue;

    fn try_into_pair(self) -> Result<(HeaderName, HeaderValue), Self::Error> {
        Ok((header::SET_COOKIE, HeaderValue::from_str(&self.to_string())?))
    }
}

/// How this deployment's cookies are called, set and cleared.
#[derive(Clone, Debug)]
pub struct CookiePolicy {
    /// Everywhere but in development on one's own machine.
    secure: bool,
    pub(super) same_site: &'static str,
    /// Of the access cookie alone.
    domain: Option<String>,
    /// Where clients reach this service: host, and the path that the API is beneath.
    pub(super) host: String,
    pub(super) base_path: String,
    pub(super) turns: Turns,
    accepts_older: bool,
}

impl CookiePolicy {
    /// An error names the setting that is wrong.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        let host = host_of(&settings.public_url);
        let relaxed = settings.environment == DeploymentEnvironment::Development && is_local(&host);
        let same_site = match settings.environment {
            DeploymentEnvironment::Preview => "None",
            _ if relaxed => "Lax",
            _ => "Strict",
        };
        let domain = settings.browser.cookie_domain.clone();
        if let Some(domain) = &domain {
            check_domain(domain, &host, settings.environment)?;
        }
        let base_path = path_of(&settings.public_url);
        // Pages of other sites would not get the older cookies sent.
        let accepts_older = settings.browser.accept_v4 && same_site != "None";
        let turns = Turns::new();
        Ok(Self { secure: !relaxed, same_site, domain, host, base_path, turns, accepts_older })
    }

    /// Whether pages of other sites get their cookies sent.
    #[must_use]
    pub fn cross_site(&self) -> bool {
        self.same_site == "None"
    }

    /// What stands for `wanted` here, where the older cookies may be good for nothing.
    #[must_use]
    pub fn usable(&self, wanted: Generation) -> Generation {
        if self.accepts_older { wanted } else { Generation::V5 }
    }

    /// Whether hosts beneath a domain may set an access cookie that is taken for ours.
    #[must_use]
    pub fn access_can_be_planted(&self, generation: Generation) -> bool {
        self.secure && self.prefix(generation, Kind::Access) != Prefix::Host
    }

    /// Whether cookies are kept to HTTPS, and their names say so.
    pub(super) fn is_secure(&self) -> bool {
        self.secure
    }

    /// The cookie of `kind` with `value`, to be kept for `max_age`.
    #[must_use]
    pub fn set(
        &self,
        generation: Generation,
        kind: Kind,
        value: &str,
        max_age: Duration,
    ) -> Cookie {
        let domain = self.domain.clone().filter(|_| kind == Kind::Access);
        let (path, same_site) = match generation {
            Generation::V4 => (format!("{}{OLDER_PATH}", self.base_path), "Lax"),
            Generation::V5 if domain.is_some() => ("/".to_owned(), "None"),
            Generation::V5 => ("/".to_owned(), self.same_site),
        };
        Cookie {
            name: self.name(generation, kind),
            value: value.to_owned(),
            max_age: max_age.as_secs(),
            domain,
            path,
            secure: self.secure,
            http_only: true,
            same_site: Some(same_site),
        }
    }

    /// Takes away the cookie of `kind`, with the attributes it was set with.
    #[must_use]
    pub fn clear(&self, generation: Generation, kind: Kind) -> Cookie {
        self.set(generation, kind, "", Duration::ZERO)
    }

    /// What keeps others from setting it.
    pub(super) fn prefix(&self, generation: Generation, kind: Kind) -> Prefix {
        match (self.secure, generation, &self.domain, kind) {
            (false, ..) => Prefix::None,
            // `__Host-` is for `Path=/` alone.
            (true, Generation::V4, ..) | (true, _, Some(_), Kind::Access) => Prefix::Secure,
            (true, Generation::V5, ..) => Prefix::Host,
        }
    }

    /// What the cookie of `kind` is called.
    #[must_use]
    pub fn name(&self, generation: Generation, kind: Kind) -> String {
        named(self.prefix(generation, kind), generation, kind)
    }
}

/// The path of the older cookies, beneath that of the public URL.
const OLDER_PATH: &str = "/api";

pub(super) fn named(prefix: Prefix, generation: Generation, kind: Kind) -> String {
    let prefix = match prefix {
        Prefix::Host => "__Host-",
        Prefix::Secure => "__Secure-",
        Prefix::None => "",
    };
    format!("{prefix}latchkey_{}_{}", generation.as_str(), kind.as_str())
}

fn path_of(url: &str) -> String {
    let url: Option<Uri> = url.parse().ok();
    url.map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default()
}

fn host_of(url: &str) -> String {
    let url: Option<Uri> = url.parse().ok();
    url.and_then(|url| url.host().map(str::to_ascii_lowercase)).unwrap_or_default()
}

fn is_local(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]") || host.ends_with(".localhost")
}

fn check_domain(
    domain: &str,
    host: &str,
    environment: DeploymentEnvironment,
) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("`browser.cookie_domain` {what}"));
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    let labels = domain.split('.').count();
    if environment != DeploymentEnvironment::Production {
        return wrong("is for production alone: elsewhere cookies belong to one host");
    }
    if !domain.bytes().all(plain) || domain.split('.').any(str::is_empty) || labels < 2 {
        return wrong("must be a domain such as example.com");
    }
    let above = host == domain || host.strip_suffix(domain).is_some_and(|sub| sub.ends_with('.'));
    if !above || domain.parse::<std::net::IpAddr>().is_ok() {
        return wrong("must be the host of `public_url` or a domain above it");
    }
    Ok(())
}

#[cfg(test)]
#[path = "cookies_tests.rs"]
pub(super) mod tests;
