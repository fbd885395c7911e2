//! Cookies that go: our own, and those that somebody else has set under our names.

use std::net::IpAddr;

use super::cookies::{Cookie, CookiePolicy, Kind, Prefix, named};
use super::generation::Generation;

/// Bytes for cookies in an answer's head: proxies allow 4 KiB for all of it.
const ROOM: usize = 3200;

/// A cookie of ours, by what its name says.
pub type Named = (Generation, Kind);

impl CookiePolicy {
    /// Takes away what was the session's in both generations, whatever else is in doubt, and of
    /// every known variant of the latter as [`Self::with_planted`] does. A browser whose own cookie is
    /// not in doubt is the same one afterwards.
    #[must_use]
    pub fn clear_doubtful(&self, doubtful: &[Named], path: &str) -> Vec<Cookie> {
        let others = doubtful.iter().filter(|(_, kind)| !Kind::OF_SESSION.contains(kind));
        let others = others.map(|(generation, kind)| self.clear(*generation, *kind));
        self.with_planted(self.clear_own().chain(others).collect(), doubtful, path)
    }

    /// Takes away what was the session's; the browser is the same one afterwards.
    #[must_use]
    pub fn clear_session(&self, path: &str) -> Vec<Cookie> {
        // The access cookie alone may have been another's, or have been set for other hosts.
        let access = [(Generation::V5, Kind::Access)];
        self.with_planted(self.clear_own().collect(), &access, path)
    }

    fn clear_own(&self) -> impl Iterator<Item = Cookie> {
        let of = |generation| Kind::OF_SESSION.map(|kind| self.clear(generation, kind));
        Generation::ALL.into_iter().flat_map(of)
    }

    /// The cookies of an answer, and after them what takes away what we do not set, or did under
    /// another configuration; `path` is that of the request which brought it. There is room for a
    /// part of it, of the first names first: a few answers together take away everything.
    #[must_use]
    pub fn with_planted(
        &self,
        mut cookies: Vec<Cookie>,
        doubtful: &[Named],
        path: &str,
    ) -> Vec<Cookie> {
        if doubtful.is_empty() {
            return cookies;
        }
        // A proxy has taken the base path away, and browsers go by what they asked for.
        let (path, turn) = (format!("{}{path}", self.base_path), usize::from(self.turns.next()));
        let variants = doubtful.iter().flat_map(|(of, kind)| {
            let mut planted = self.planted(*of, *kind, &path);
            let begin = (planted.len() * turn) >> u16::BITS;
            planted.rotate_left(begin);
            planted
        });
        let mut room = ROOM.saturating_sub(cookies.iter().map(size).sum());
        for cookie in variants {
            if let Some(left) = room.checked_sub(size(&cookie)) {
                room = left;
                cookies.push(cookie);
            }
        }
        cookies
    }

    fn planted(&self, generation: Generation, kind: Kind, path: &str) -> Vec<Cookie> {
        let (prefix, own) = (self.prefix(generation, kind), self.clear(generation, kind));
        // What is not needed to be heeded (RFC 6265bis, section 5.7) only takes room.
        let needed = |same_site: &&str| *same_site == "None";
        let bare =
            Cookie { http_only: false, same_site: own.same_site.filter(needed), ..own.clone() };
        let mut planted = Vec::new();
        if generation == Generation::V5 && prefix == Prefix::Secure {
            // What it was before it had a domain.
            let name = named(Prefix::Host, generation, kind);
            planted.push(Cookie { name, domain: None, ..bare.clone() });
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
                ..bare.clone()
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

/// Bytes of the line that sets it.
fn size(cookie: &Cookie) -> usize {
    "set-cookie: \r\n".len() + cookie.to_string().len()
}

/// Every `Path` with which a cookie is sent to `path` (RFC 6265, section 5.1.4); none has a `;`.
fn paths_to(path: &str) -> impl Iterator<Item = &str> {
    let slashes = path.match_indices('/').map(|(at, _)| at);
    let prefixes = slashes.flat_map(|at| [&path[..at], &path[..=at]]);
    let prefixes = prefixes.filter(|prefix| !prefix.is_empty());
    prefixes.chain((path.len() > 1).then_some(path)).filter(|path| !path.contains(';'))
}
