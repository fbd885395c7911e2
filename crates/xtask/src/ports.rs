//! Ports: which ones the services want, and whether they are free.

use std::net::TcpListener;

use anyhow::{Context as _, Result, bail};

use crate::environment::Environment;

/// A port that a service will listen on.
#[derive(Clone, Copy, Debug)]
pub struct Port {
    /// Whose.
    pub service: &'static str,
    /// The variable that changes it.
    pub variable: &'static str,
    /// Its number where that is not set.
    pub default: u16,
}

impl Port {
    /// The port to be used.
    pub fn number(&self, environment: &Environment) -> Result<u16> {
        environment.get(self.variable).map_or(Ok(self.default), |text| {
            text.parse().with_context(|| format!("{} is not a port", self.variable))
        })
    }

    /// Where the service will be reached.
    pub fn url(&self, environment: &Environment) -> Result<String> {
        Ok(format!("http://127.0.0.1:{}", self.number(environment)?))
    }

    /// An error in one sentence where somebody else has it.
    pub fn check(&self, environment: &Environment) -> Result<()> {
        let number = self.number(environment)?;
        if TcpListener::bind(("127.0.0.1", number)).is_err() {
            bail!(
                "port {number}, which {} wants, is in use; stop what holds it (`ss -ltnp` shows \
                 what) or set {} to another port",
                self.service,
                self.variable
            );
        }
        Ok(())
    }
}

/// user-service's API.
pub const USER: Port =
    Port { service: "user-service", variable: "USER_SERVICE__HTTP__PORT", default: 8080 };
/// chat-service's API.
pub const CHAT: Port =
    Port { service: "chat-service", variable: "CHAT_SERVICE__HTTP__PORT", default: 8081 };
/// auth-manager's API.
pub const AUTH: Port =
    Port { service: "auth-manager", variable: "AUTH_MANAGER__HTTP__PORT", default: 8000 };
/// Keycloak, as people see it.
pub const KEYCLOAK: Port =
    Port { service: "Keycloak", variable: "LATCHKEY_KEYCLOAK_PORT", default: 8180 };
/// Keycloak's own health and metrics.
pub const KEYCLOAK_MANAGEMENT: Port =
    Port { service: "Keycloak", variable: "LATCHKEY_KEYCLOAK_MANAGEMENT_PORT", default: 9180 };
/// The admin listeners.
pub const ADMIN: [Port; 3] = [
    Port { service: "user-service", variable: "USER_SERVICE__ADMIN__PORT", default: 9080 },
    Port { service: "chat-service", variable: "CHAT_SERVICE__ADMIN__PORT", default: 9081 },
    Port { service: "auth-manager", variable: "AUTH_MANAGER__ADMIN__PORT", default: 9082 },
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
    fn a_busy_port_is_one_plain_sentence() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let default = listener.local_addr().unwrap().port();
        let port = Port { service: "user-service", variable: "NO_SUCH_VARIABLE_IS_SET", default };
        let environment = Environment::default();
        let error = port.check(&environment).unwrap_err().to_string();
        assert!(error.contains(&default.to_string()) && error.contains("user-service"), "{error}");
        assert!(error.contains("NO_SUCH_VARIABLE_IS_SET") && !error.contains('\n'), "{error}");
        drop(listener);
        assert!(port.check(&environment).is_ok());
    }
}
