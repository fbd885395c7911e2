//! Ports: which ones the services want, and whether they are free.

use std::net::TcpListener;

use anyhow::{Context as _, Result, bail};

use crate::environment::Environment;

/// A port that a service will listen on.
#[derive(Clone, Copy, Debug)]
pub struct Port {
    /// Whose.
    pub service: &'static str,
    /// How this machine calls itself there.
    pub host: &'static str,
    /// The variable that changes it.
    pub variable: &'static str,
    /// Its number where that is not set.
    pub default: u16,
}

impl Port {
    const fn new(service: &'static str, variable: &'static str, default: u16) -> Self {
        Self { service, host: "127.0.0.1", variable, default }
    }

    /// The port to be used.
    pub fn number(&self, environment: &Environment) -> Result<u16> {
        environment.get(self.variable).map_or(Ok(self.default), |text| {
            text.parse().with_context(|| format!("{} is not a port", self.variable))
        })
    }

    /// Where the service will be reached, over TLS where it is given a certificate.
    pub fn url(&self, environment: &Environment) -> Result<String> {
        let service = self.service.replace('-', "_").to_uppercase();
        let certificate = environment.get(&format!("{service}__TLS__CERTIFICATE_PATH"));
        let scheme = certificate.map_or("http", |_| "https");
        Ok(format!("{scheme}://{}:{}", self.host, self.number(environment)?))
    }

    /// One sentence where somebody else has it.
    fn fault(&self, environment: &Environment) -> Result<Option<String>> {
        let number = self.number(environment)?;
        let busy = TcpListener::bind(("127.0.0.1", number)).is_err();
        Ok(busy.then(|| {
            format!(
                "port {number}, which {} wants, is in use; stop what holds it (`ss -ltnp` shows \
                 what) or set {} to another port",
                self.service, self.variable
            )
        }))
    }
}

/// An error has a line for each of `ports` that somebody else has.
pub fn check<'a>(
    ports: impl IntoIterator<Item = &'a Port>,
    environment: &Environment,
) -> Result<()> {
    let faults = ports.into_iter().filter_map(|port| port.fault(environment).transpose());
    let faults = faults.collect::<Result<Vec<_>>>()?;
    if faults.is_empty() { Ok(()) } else { bail!("{}", faults.join("\n")) }
}

/// user-service's API.
pub const USER: Port = Port::new("user-service", "USER_SERVICE__HTTP__PORT", 8080);
/// chat-service's API.
pub const CHAT: Port = Port::new("chat-service", "CHAT_SERVICE__HTTP__PORT", 8081);
/// auth-manager's API, as the realm's redirect URIs have it.
pub const AUTH: Port =
    Port { host: "localhost", ..Port::new("auth-manager", "AUTH_MANAGER__HTTP__PORT", 8000) };
/// Keycloak, as people see it.
pub const KEYCLOAK: Port = Port::new("Keycloak", "LATCHKEY_KEYCLOAK_PORT", 8180);
/// Keycloak's own health and metrics.
pub const KEYCLOAK_MANAGEMENT: Port =
    Port::new("Keycloak", "LATCHKEY_KEYCLOAK_MANAGEMENT_PORT", 9180);
/// Redis, where there is one.
pub const REDIS: Port = Port::new("Redis", "LATCHKEY_REDIS_PORT", 63790);
/// The admin listeners.
pub const ADMIN: [Port; 3] = [
    Port::new("user-service", "USER_SERVICE__ADMIN__PORT", 9080),
    Port::new("chat-service", "CHAT_SERVICE__ADMIN__PORT", 9081),
    Port::new("auth-manager", "AUTH_MANAGER__ADMIN__PORT", 9082),
];

/// A free port, `preferred` if it is.
pub fn free(preferred: u16) -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", preferred))
        .or_else(|_| TcpListener::bind(("127.0.0.1", 0)))
        .context("no port is free")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_with_a_certificate_is_reached_over_tls() {
        let certificate = [("USER_SERVICE__TLS__CERTIFICATE_PATH", "tls.pem")];
        let environment = Environment::from(certificate);
        assert_eq!(USER.url(&environment).unwrap(), "https://127.0.0.1:8080");
        assert_eq!(CHAT.url(&environment).unwrap(), "http://127.0.0.1:8081");
    }

    #[test]
    fn each_busy_port_is_one_plain_sentence() {
        let listeners = ["user-service", "chat-service"].map(|service| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let default = listener.local_addr().unwrap().port();
            (Port::new(service, "NO_SUCH_VARIABLE_IS_SET", default), listener)
        });
        let ports = listeners.each_ref().map(|(port, _)| *port);
        let environment = Environment::default();
        let error = check(&ports, &environment).unwrap_err().to_string();
        assert_eq!(error.lines().count(), 2, "{error}");
        for (port, line) in ports.iter().zip(error.lines()) {
            for part in [&port.default.to_string(), port.service, port.variable] {
                assert!(line.contains(part), "{line}");
            }
        }
        drop(listeners);
        assert!(check(&ports, &environment).is_ok());
    }
}
