use std::fmt::Write as _;
use std::path::Path;

use tempfile::TempDir;

use super::{FaultProxy, TestRealm};

/// A providers' file of auth-manager, in a folder of its own.
pub struct ProvidersFile {
    folder: TempDir,
    text: String,
}

impl ProvidersFile {
    /// One without providers.
    #[expect(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), text: String::new() }
    }

    /// Adds `realm` as the provider `name`, reached through `proxy` where there is one; `more`
    /// are further lines of its table, such as `refresh_token_max_reuse = 1`.
    pub fn with_realm(
        mut self,
        name: &str,
        realm: &TestRealm,
        proxy: Option<&FaultProxy>,
        more: &str,
    ) -> Self {
        let client =
            |id: &str| format!("{{ id = \"{id}\", secret = \"{}\" }}", TestRealm::secret(id));
        let (login, offline) = (client("latchkey-login"), client("latchkey-offline"));
        let (admin, issuer, job) = (client("latchkey-admin"), realm.issuer(), realm.job_subject());
        let _ = write!(
            self.text,
            r#"
[{name}]
kind = "keycloak"
issuer = "{issuer}"
login_client = {login}
offline_client = {offline}
admin_client = {admin}
{more}
[[{name}.service_clients]]
client_id = "latchkey-job"
subject = "{job}"
consent_clients = ["latchkey-offline"]
scopes = ["openid", "email", "profile"]
"#
        );
        if let Some(proxy) = proxy {
            self.text.push_str(&endpoints(name, realm, proxy));
        }
        self.write()
    }

    /// Adds tables as they are.
    pub fn with(mut self, tables: &str) -> Self {
        self.text.push_str(tables);
        self.write()
    }

    /// For the setting `providers.file`.
    pub fn path(&self) -> String {
        self.file().display().to_string()
    }

    fn write(self) -> Self {
        std::fs::write(self.file(), &self.text).unwrap();
        self
    }

    fn file(&self) -> Box<Path> {
        self.folder.path().join("providers.toml").into()
    }
}

/// Keycloak's addresses are fixed by its own host name, so each is given; browsers go to Keycloak
/// itself.
fn endpoints(name: &str, realm: &TestRealm, proxy: &FaultProxy) -> String {
    let mut text = format!("[{name}.endpoints]\n");
    let connect = "/protocol/openid-connect";
    for (key, path) in [
        ("discovery", realm.path("/.well-known/openid-configuration")),
        ("token", realm.path(&format!("{connect}/token"))),
        ("introspection", realm.path(&format!("{connect}/token/introspect"))),
        ("revocation", realm.path(&format!("{connect}/revoke"))),
        ("userinfo", realm.path(&format!("{connect}/userinfo"))),
        ("jwks", realm.path(&format!("{connect}/certs"))),
        ("admin", format!("/admin{}", realm.path(""))),
    ] {
        let _ = writeln!(text, "{key} = \"{}{path}\"", proxy.url());
    }
    text
}
