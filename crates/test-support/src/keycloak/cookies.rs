use std::collections::BTreeMap;

use url::Url;

/// Cookies as a browser keeps them, but for `Secure`: on loopback a browser sends those too, most
/// HTTP clients do not.
#[derive(Default)]
pub(super) struct Cookies(BTreeMap<Key, String>);

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    host: String,
    path: String,
    name: String,
}

impl Cookies {
    /// Keeps, replaces or removes what a `Set-Cookie` of `url` says.
    pub(super) fn set(&mut self, url: &Url, header: &str) {
        let mut parts = header.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let (mut path, mut removed) = ("/".to_owned(), false);
        for (attribute, value) in parts.filter_map(|part| part.split_once('=')) {
            match attribute.to_ascii_lowercase().as_str() {
                "path" => value.clone_into(&mut path),
                "max-age" => removed = value.parse().is_ok_and(|age: i64| age <= 0),
                _ => {}
            }
        }
        let key = Key { host: host(url), path, name: name.to_owned() };
        if removed {
            self.0.remove(&key);
        } else {
            self.0.insert(key, value.to_owned());
        }
    }

    /// The `Cookie` header of a request to `url`.
    pub(super) fn header(&self, url: &Url) -> String {
        let sent = self.0.iter().filter(|(key, _)| key.covers(url));
        sent.map(|(key, value)| format!("{}={value}", key.name)).collect::<Vec<_>>().join("; ")
    }
}

impl Key {
    /// RFC 6265, section 5.1.4.
    fn covers(&self, url: &Url) -> bool {
        let rest = url.path().strip_prefix(&self.path);
        let below =
            |rest: &str| rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/');
        self.host == host(url) && rest.is_some_and(below)
    }
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_go_where_they_came_from_and_no_further() {
        let at = |url: &str| Url::parse(url).unwrap();
        let mut cookies = Cookies::default();
        cookies.set(&at("http://localhost:1/x"), "a=1; Path=/realms/one/; Secure; HttpOnly");
        cookies.set(&at("http://localhost:1/x"), "b=2=2;Version=1;path=/api");
        assert_eq!(cookies.header(&at("http://localhost:2/realms/one/auth")), "a=1");
        assert_eq!(cookies.header(&at("http://localhost/realms/two/auth")), "");
        assert_eq!(cookies.header(&at("http://localhost/api/x")), "b=2=2");
        assert_eq!(cookies.header(&at("http://localhost/apis")), "");
        assert_eq!(cookies.header(&at("http://127.0.0.1/api")), "");
        cookies.set(&at("http://localhost/"), "b=; Max-Age=0; path=/api");
        assert_eq!(cookies.header(&at("http://localhost/api")), "");
    }
}
