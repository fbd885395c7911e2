//! Cookies that go: our own, and those that somebody else has set under our names.

use std::net::IpAddr;

use super::cookies::{Cookie, CookiePolicy, Kind, Prefix, named};
use super::generation::Generation;

/// Bytes: proxies allow a head of 4 KiB, and there is more in it.
const ROOM: usize = 2800;

/// A cookie of ours, by what its name says.
pub type Named = (Generation, Kind);

impl CookiePolicy {
    /// Takes away what was the session's in both generations, whatever else is in doubt, and every
    /// known variant of the latter; `path` is that of the request which brought them. A browser whose
    /// own cookie is not in doubt is the same one afterwards.
    #[must_use]
    pub fn clear_doubtful(&self, doubtful: &[Named], path: &str) -> Vec<Cookie> {
        let others = doubtful.iter().filter(|(_, kind)| !Kind::OF_SESSION.contains(kind));
        let others = others.map(|(generation, kind)| self.clear(*generation, *kind));
        let own = self.clear_own().chain(others);
        own.chain(self.clear_planted(doubtful, path)).collect()
    }

    /// Takes away what was the session's; the browser is the same one afterwards.
    #[must_use]
    pub fn clear_session(&self, path: &str) -> Vec<Cookie> {
        // The access cookie alone may have been another's, or have been set for other hosts.
        let access = [(Generation::V5, Kind::Access)];
        self.clear_own().chain(self.clear_planted(&access, path)).collect()
    }

    fn clear_own(&self) -> impl Iterator<Item = Cookie> {
        let of = |generation| Kind::OF_SESSION.map(|kind| self.clear(generation, kind));
        Generation::ALL.into_iter().flat_map(of)
    }

    /// Takes away what we do not set, or did under another configuration, and leaves our own: as much
    /// as an answer's head has room for, the rest when it comes again.
    #[must_use]
    pub fn clear_planted(&self, doubtful: &[Named], path: &str) -> Vec<Cookie> {
        let variants = doubtful.iter().flat_map(|(of, kind)| self.planted(*of, *kind, path));
        let fitting = variants.scan(0, |bytes, cookie| {
            *bytes += "set-cookie: \r\n".len() + cookie.to_string().len();
            (*bytes <= ROOM).then_some(cookie)
        });
        fitting.collect()
    }

    fn planted(&self, generation: Generation, kind: Kind, path: &str) -> Vec<Cookie> {
        let (prefix, own) = (self.prefix(generation, kind), self.clear(generation, kind));
        let mut planted = Vec::new();
        if generation == Generation::V5 && prefix == Prefix::Secure {
            // What it was before it had a domain.
            let (name, same_site) = (named(Prefix::Host, generation, kind), self.same_site);
            planted.push(Cookie { name, same_site, domain: None, ..own.clone() });
        }
        if prefix != Prefix::Host {
            // Without `__Host-` other paths, and hosts beneath a domain, may set the name too.
            let domains: Vec<Option<&str>> = self.domains().map(Some).chain([None]).collect();
            let places = paths_to(path);
            let places = places.flat_map(|path| domains.iter().map(move |domain| (path, *domain)));
            let others = places.filter(|place| *place != (&own.path, own.domain.as_deref()));
            planted.extend(others.map(|(path, domain)| Cookie {
                path: path.to_owned(),
                domain: domain.map(str::to_owned),
                ..own.clone()
            }));
        }
        planted
    }

    /// Every `Domain` under which another host may set a cookie for this one.
    fn domains(&self) -> impl Iterator<Item = &str> {
        let named = self.is_secure() && self.host.parse::<IpAddr>().is_err();
        let host = if named { self.host.as_str() } else { "" };
        let starts = host.match_indices('.').map(|(dot, _)| dot + 1);
        let suffixes = [0].into_iter().chain(starts).map(move |start| &host[start..]);
        suffixes.filter(|domain| domain.contains('.') && !domain.starts_with('['))
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
