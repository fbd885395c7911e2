//! The cookies: how each is called and set in this deployment, how a request brings them, and how
//! they are cleared.

use std::fmt;
use std::time::Duration;

use actix_web::http::Uri;
use actix_web::http::header::{
    self, HeaderName, HeaderValue, InvalidHeaderValue, TryIntoHeaderPair,
};
use common::settings::DeploymentEnvironment;

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
    const OF_SESSION: [Self; 4] = [Self::Access, Self::Refresh, Self::PreSession, Self::Csrf];

    fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Refresh => "refresh",
            Self::PreSession => "presession",
            Self::Csrf => "csrf",
            Self::Browser => "browser",
        }
    }
}

/// The generation of cookies, which their names carry.
const GENERATION: &str = "v5";

/// A prefix with which browsers refuse a cookie that was set in a weaker way
/// (RFC 6265bis, section 4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prefix {
    /// Secure, this host, whole site.
    Host,
    /// Secure.
    Secure,
    None,
}

/// What a `Set-Cookie` says; give it to `append_header`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    name: String,
    value: String,
    max_age: u64,
    domain: Option<String>,
    path: String,
    secure: bool,
    same_site: &'static str,
}

impl fmt::Display for Cookie {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value, max_age, path, same_site, .. } = self;
        write!(formatter, "{name}={value}; Max-Age={max_age}; Path={path}; HttpOnly")?;
        write!(formatter, "; SameSite={same_site}")?;
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
    same_site: &'static str,
    /// Of the access cookie alone.
    domain: Option<String>,
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
        Ok(Self { secure: !relaxed, same_site, domain })
    }

    /// Whether pages of other sites get their cookies sent.
    #[must_use]
    pub fn cross_site(&self) -> bool {
        self.same_site == "None"
    }

    /// Whether hosts beneath a domain share the access cookie, and may set it.
    #[must_use]
    pub fn has_domain(&self) -> bool {
        self.domain.is_some()
    }

    /// The cookie of `kind` with `value`, to be kept for `max_age`.
    #[must_use]
    pub fn set(&self, kind: Kind, value: &str, max_age: Duration) -> Cookie {
        let domain = self.domain.clone().filter(|_| kind == Kind::Access);
        let same_site = if domain.is_some() { "None" } else { self.same_site };
        Cookie {
            name: self.name(kind),
            value: value.to_owned(),
            max_age: max_age.as_secs(),
            domain,
            path: "/".to_owned(),
            secure: self.secure,
            same_site,
        }
    }

    /// Takes away the cookie of `kind`, with the attributes it was set with.
    #[must_use]
    pub fn clear(&self, kind: Kind) -> Cookie {
        self.set(kind, "", Duration::ZERO)
    }

    /// Takes away every known variant of every cookie; `path` is that of the request which may
    /// have brought planted ones.
    #[must_use]
    pub fn clear_all(&self, path: &str) -> Vec<Cookie> {
        let ours = Kind::ALL.into_iter().map(|kind| self.clear(kind));
        ours.chain(self.clear_planted(path)).collect()
    }

    /// Takes away what was the session's; the browser is the same one afterwards.
    #[must_use]
    pub fn clear_session(&self, path: &str) -> Vec<Cookie> {
        let ours = Kind::OF_SESSION.into_iter().map(|kind| self.clear(kind));
        ours.chain(self.clear_planted(path)).collect()
    }

    /// Takes away what we do not set, or did under another configuration, and leaves our own.
    #[must_use]
    pub fn clear_planted(&self, path: &str) -> Vec<Cookie> {
        Kind::ALL.into_iter().flat_map(|kind| self.planted(kind, path)).collect()
    }

    fn planted(&self, kind: Kind, path: &str) -> Vec<Cookie> {
        let (prefix, own) = (self.prefix(kind), self.clear(kind));
        let mut planted = Vec::new();
        if prefix == Prefix::Secure {
            // What it was before it had a domain.
            let (name, same_site) = (Self::named(Prefix::Host, kind), self.same_site);
            planted.push(Cookie { name, same_site, domain: None, ..own.clone() });
        }
        if prefix != Prefix::Host {
            // Without `__Host-` other paths, and hosts beneath the domain, may set the name too.
            let paths: Vec<&str> = paths_to(path).collect();
            let domains: &[_] =
                if own.domain.is_some() { &[own.domain.clone(), None] } else { &[None] };
            let places =
                paths.iter().flat_map(|path| domains.iter().map(move |domain| (*path, domain)));
            planted.extend(places.filter(|place| *place != ("/", &own.domain)).map(
                |(path, domain)| Cookie {
                    path: path.to_owned(),
                    domain: domain.clone(),
                    ..own.clone()
                },
            ));
        }
        planted
    }

    fn prefix(&self, kind: Kind) -> Prefix {
        match (self.secure, &self.domain, kind) {
            (false, ..) => Prefix::None,
            (true, Some(_), Kind::Access) => Prefix::Secure,
            (true, ..) => Prefix::Host,
        }
    }

    /// What the cookie of `kind` is called.
    #[must_use]
    pub fn name(&self, kind: Kind) -> String {
        Self::named(self.prefix(kind), kind)
    }

    fn named(prefix: Prefix, kind: Kind) -> String {
        let prefix = match prefix {
            Prefix::Host => "__Host-",
            Prefix::Secure => "__Secure-",
            Prefix::None => "",
        };
        format!("{prefix}latchkey_{GENERATION}_{}", kind.as_str())
    }
}

/// Every `Path` with which a cookie is sent to `path` (RFC 6265, section 5.1.4), as far as our own
/// paths are deep.
fn paths_to(path: &str) -> impl Iterator<Item = &str> {
    let slashes = path.match_indices('/').map(|(at, _)| at).take(MAX_DEPTH);
    let prefixes = slashes.flat_map(|at| [&path[..at], &path[..=at]]);
    prefixes.filter(|prefix| !prefix.is_empty()).chain((path.len() > 1).then_some(path))
}

const MAX_DEPTH: usize = 8;

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
mod tests;
