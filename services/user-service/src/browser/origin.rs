//! Where a request came from, by what browsers say of it.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, ORIGIN};
use actix_web::http::{Method, Uri};

use common::http::Cors;

use crate::config::Settings;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Whose pages may do something: our own, and those that `cors.allowed_origins` names.
#[derive(Clone)]
pub struct Origins {
    own: String,
    listed: Cors,
    /// Whether a listed page may be of another site.
    cross_site: bool,
}

impl Origins {
    /// `cross_site`: whether cookies go with requests of other sites' pages at all.
    #[must_use]
    pub fn new(settings: &Settings, cross_site: bool) -> Self {
        let listed = Cors::new(&settings.cors, &[]);
        Self { own: origin_of(&settings.public_url), listed, cross_site }
    }

    /// Whether the request may do what it asks for; an error says why not, for log and metric.
    ///
    /// A method that changes nothing may come without an `Origin`, by a link or a proxy that asks
    /// for itself; what it answers is kept from other pages by CORS.
    pub fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), &'static str> {
        let origin = only(headers, &ORIGIN).map_err(|Twice| "origin_twice")?;
        if is_safe(method) {
            return match origin {
                Some(origin) if !self.is_known(origin) => Err("origin_foreign"),
                _ => Ok(()),
            };
        }
        let origin = origin.ok_or("origin_missing")?;
        if !self.is_known(origin) {
            return Err("origin_foreign");
        }
        let site = only(headers, &SEC_FETCH_SITE).map_err(|Twice| "fetch_site_twice")?;
        match site {
            // Browsers before 2023 do not say.
            None | Some(b"same-origin") => Ok(()),
            Some(b"same-site") if self.is_listed(origin) => Ok(()),
            Some(b"cross-site") if self.cross_site && self.is_listed(origin) => Ok(()),
            Some(_) => Err("fetch_site"),
        }
    }

    /// The same for what a page asks for by itself: no link may lead there, and no foreign page may
    /// show it as a picture, since its answer sets cookies in the place of those that were not sent.
    pub fn check_page(&self, method: &Method, headers: &HeaderMap) -> Result<(), &'static str> {
        self.check(method, headers)?;
        if only(headers, &SEC_FETCH_MODE).map_err(|Twice| "fetch_mode_twice")? == Some(b"navigate")
        {
            return Err("fetch_mode");
        }
        let origin = only(headers, &ORIGIN).map_err(|Twice| "origin_twice")?;
        match only(headers, &SEC_FETCH_SITE).map_err(|Twice| "fetch_site_twice")? {
            None | Some(b"same-origin" | b"none") => Ok(()),
            Some(_) if origin.is_some_and(|origin| self.is_listed(origin)) => Ok(()),
            Some(_) => Err("fetch_site"),
        }
    }

    fn is_known(&self, origin: &[u8]) -> bool {
        origin == self.own.as_bytes() || self.is_listed(origin)
    }

    fn is_listed(&self, origin: &[u8]) -> bool {
        str::from_utf8(origin).is_ok_and(|origin| self.listed.allows(origin))
    }
}

/// Whether `method` changes nothing (RFC 9110, section 9.2.1).
#[must_use]
pub fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

struct Twice;

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, Twice> {
    let mut values = headers.get_all(name);
    let first = values.next();
    if values.next().is_some() { Err(Twice) } else { Ok(first.map(HeaderValue::as_bytes)) }
}

/// As browsers write it: scheme and host in lower case, the scheme's own port left out.
fn origin_of(url: &str) -> String {
    let Ok(url) = url.parse::<Uri>() else { return String::new() };
    let scheme = url.scheme_str().unwrap_or_default().to_ascii_lowercase();
    let host = url.host().unwrap_or_default().to_ascii_lowercase();
    let usual = if scheme == "https" { 443 } else { 80 };
    match url.port_u16().filter(|port| *port != usual) {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    }
}

#[cfg(test)]
mod tests {
    use common::http::CorsSettings;
    use common::settings::List;

    use super::*;

    const OWN: &str = "https://id.example.com";
    const APP: &str = "https://app.example.com";

    fn origins(cross_site: bool) -> Origins {
        let allowed_origins = List(vec![APP.parse().unwrap()]);
        let listed = Cors::new(&CorsSettings { allowed_origins }, &[]);
        Origins { own: origin_of(OWN), listed, cross_site }
    }

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let name: HeaderName = name.parse().unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        });
        let mut headers = HeaderMap::new();
        pairs.for_each(|(name, value)| headers.append(name, value));
        headers
    }

    fn check(
        cross_site: bool,
        method: &Method,
        pairs: &[(&str, &str)],
    ) -> Result<(), &'static str> {
        origins(cross_site).check(method, &headers(pairs))
    }

    #[test]
    fn an_unsafe_request_without_an_origin_or_of_a_foreign_one_is_refused() {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let check = |pairs: &[(&str, &str)]| check(false, &method, pairs);
            assert_eq!(check(&[]), Err("origin_missing"));
            assert_eq!(check(&[("origin", OWN)]), Ok(()));
            assert_eq!(check(&[("origin", APP)]), Ok(()));
            for foreign in [
                "null",
                "https://evil.example",
                "https://app.example.com.evil.example",
                "http://app.example.com",
                "https://app.example.com:8443",
                "HTTPS://app.example.com",
                "",
            ] {
                assert_eq!(check(&[("origin", foreign)]), Err("origin_foreign"), "{foreign}");
            }
            assert_eq!(check(&[("origin", APP), ("origin", APP)]), Err("origin_twice"));
        }
    }

    #[test]
    fn what_the_browser_says_of_the_site_is_believed() {
        let check = |cross, origin: &str, site: &str| {
            check(cross, &Method::POST, &[("origin", origin), ("sec-fetch-site", site)])
        };
        for (cross, origin, site, passes) in [
            (false, OWN, "same-origin", true),
            (false, OWN, "same-site", false),
            (false, APP, "same-site", true),
            (false, APP, "cross-site", false),
            (true, APP, "cross-site", true),
            (true, OWN, "cross-site", false),
            (true, APP, "none", false),
            (false, APP, "none", false),
            (false, APP, "Same-Origin", false),
            (false, APP, "", false),
        ] {
            let expected = if passes { Ok(()) } else { Err("fetch_site") };
            assert_eq!(check(cross, origin, site), expected, "{cross} {origin} {site}");
        }
    }

    #[test]
    fn a_safe_request_needs_no_origin_but_is_refused_to_a_foreign_one() {
        for method in [Method::GET, Method::HEAD] {
            assert_eq!(check(false, &method, &[("sec-fetch-site", "none")]), Ok(()));
            assert_eq!(check(false, &method, &[("origin", APP)]), Ok(()));
            let foreign = check(false, &method, &[("origin", "https://evil.example")]);
            assert_eq!(foreign, Err("origin_foreign"));
        }
    }

    #[test]
    fn what_a_page_asks_for_is_refused_to_links_and_to_pages_that_are_not_listed() {
        let ask = |pairs: &[(&str, &str)]| origins(false).check_page(&Method::GET, &headers(pairs));
        let (site, mode) = ("sec-fetch-site", "sec-fetch-mode");
        for good in [
            &[][..],
            &[(site, "same-origin"), (mode, "cors")],
            &[(site, "none"), (mode, "cors")],
            &[(site, "same-site"), ("origin", APP)],
            &[(site, "cross-site"), ("origin", APP), (mode, "cors")],
        ] {
            assert_eq!(ask(good), Ok(()), "{good:?}");
        }
        for (bad, reason) in [
            (&[(site, "cross-site"), (mode, "navigate")][..], "fetch_mode"),
            (&[(site, "none"), (mode, "navigate")], "fetch_mode"),
            (&[(mode, "cors"), (mode, "cors")], "fetch_mode_twice"),
            (&[(site, "cross-site"), (mode, "no-cors")], "fetch_site"),
            (&[(site, "same-site"), (mode, "no-cors")], "fetch_site"),
            (&[(site, "cross-site"), ("origin", OWN)], "fetch_site"),
            (&[(site, "anything")], "fetch_site"),
            (&[("origin", "null")], "origin_foreign"),
        ] {
            assert_eq!(ask(bad), Err(reason), "{bad:?}");
        }
    }

    #[test]
    fn our_own_origin_is_written_as_browsers_do() {
        assert_eq!(origin_of("https://ID.example.com:443/base/"), "https://id.example.com");
        assert_eq!(origin_of("http://127.0.0.1:8080"), "http://127.0.0.1:8080");
        assert_eq!(origin_of("http://[::1]:80"), "http://[::1]");
    }
}
