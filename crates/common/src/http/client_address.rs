use std::fmt;
use std::future::{Ready, ready};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use actix_web::dev::{Payload, ServiceRequest};
use actix_web::http::header::HOST;
use actix_web::{Error, FromRequest, HttpRequest, web};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Networks whose `X-Forwarded-For` is believed.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(pub Vec<IpNet>);

impl TrustedProxies {
    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The nearest address that is not one of our proxies; forged entries lie further out.
    fn client_of(&self, peer: IpAddr, forwarded: &[&str]) -> IpAddr {
        let mut client = peer;
        let hops = forwarded.iter().flat_map(|header| header.split(',')).map(str::trim);
        for hop in hops.rev().map(address_of) {
            if !self.trusts(client) {
                break;
            }
            let Some(hop) = hop else { break };
            client = hop.to_canonical();
        }
        client
    }
}

/// Whether a proxy of ours says that the request came to it over TLS.
pub(crate) fn came_by_tls(request: &ServiceRequest) -> bool {
    let said = said_by_proxy(request, "x-forwarded-proto");
    said.is_some_and(|said| said.eq_ignore_ascii_case("https"))
}

/// The host, with its port where there is one, that a request names, or that a proxy of ours says
/// it named there.
pub(crate) fn host_of(request: &ServiceRequest) -> Option<&str> {
    let own = || request.headers().get(HOST)?.to_str().ok();
    said_by_proxy(request, "x-forwarded-host").or_else(own)
}

/// What a proxy of ours says in a header; the last word is that of the nearest.
fn said_by_proxy<'a>(request: &'a ServiceRequest, header: &str) -> Option<&'a str> {
    let peer = request.peer_addr()?.ip().to_canonical();
    let proxies = request.app_data::<web::Data<TrustedProxies>>();
    proxies.filter(|proxies| proxies.trusts(peer))?;
    let said = request.headers().get_all(header).last()?.to_str().ok()?;
    said.rsplit(',').next().map(str::trim)
}

/// Where a request comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// As [`ClientAddress::range`], so that no line of a log has more by accident.
impl fmt::Debug for ClientAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.range())
    }
}

impl ClientAddress {
    /// What limits count by: the address, or an IPv6 customer's whole /64.
    #[must_use]
    pub fn limit_key(self) -> IpAddr {
        match self.0.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(network_of(address, 64)),
        }
    }

    /// What people and logs are shown: the /24 or /48, never the whole address.
    #[must_use]
    pub fn range(self) -> String {
        self.network().to_string()
    }

    /// The same as a network.
    #[must_use]
    pub fn network(self) -> IpNet {
        match self.0.to_canonical() {
            IpAddr::V4(address) => Ipv4Net::new_assert(address, 24).trunc().into(),
            IpAddr::V6(address) => Ipv6Net::new_assert(address, 48).trunc().into(),
        }
    }
}

/// Some proxies write the port as well.
fn address_of(hop: &str) -> Option<IpAddr> {
    hop.parse().ok().or_else(|| hop.parse().ok().map(|hop: SocketAddr| hop.ip()))
}

fn network_of(address: Ipv6Addr, prefix: u8) -> Ipv6Addr {
    Ipv6Net::new_assert(address, prefix).network()
}

impl FromRequest for ClientAddress {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let peer = request
            .peer_addr()
            .map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |address| address.ip().to_canonical());
        let forwarded: Vec<&str> = request
            .headers()
            .get_all("x-forwarded-for")
            .filter_map(|value| value.to_str().ok())
            .collect();
        let client = request
            .app_data::<web::Data<TrustedProxies>>()
            .map_or(peer, |proxies| proxies.client_of(peer, &forwarded));
        ready(Ok(Self(client)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let proxies = TrustedProxies(vec!["10.0.0.0/8".parse().unwrap()]);
        proxies.client_of(peer.parse().unwrap(), forwarded).to_string()
    }

    #[test]
    fn forwarded_addresses_are_believed_only_from_our_proxies() {
        assert_eq!(client("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["1.1.1.1, 198.51.100.1", "10.0.0.2"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["garbage"]), "10.0.0.1");
    }

    #[test]
    fn one_address_is_the_same_however_a_proxy_writes_it() {
        for written in [
            "198.51.100.1",
            " 198.51.100.1\t",
            "198.51.100.1:50321",
            "::ffff:198.51.100.1",
            "::FFFF:c633:6401",
            "[::ffff:198.51.100.1]:443",
        ] {
            assert_eq!(client("10.0.0.1", &[written]), "198.51.100.1", "{written}");
        }
        for written in ["2001:db8::1", "2001:0DB8:0:0::0:1", "[2001:db8::1]:443"] {
            assert_eq!(client("10.0.0.1", &[written]), "2001:db8::1", "{written}");
        }
        let mapped = ClientAddress("::ffff:198.51.100.1".parse().unwrap());
        assert_eq!(mapped.limit_key().to_string(), "198.51.100.1");
        assert_eq!(mapped.range(), "198.51.100.0/24");
    }

    #[test]
    fn an_ipv6_customer_counts_as_one() {
        let address = |text: &str| ClientAddress(text.parse().unwrap());
        assert_eq!(address("2001:db8::1").limit_key(), address("2001:db8::ffff").limit_key());
        assert_eq!(address("192.0.2.77").range(), "192.0.2.0/24");
    }
}
