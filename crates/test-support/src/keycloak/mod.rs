//! A real Keycloak: realms of a test's own, people who sign in there without a browser, and what
//! goes wrong on the way to it.

mod admin;
mod browser;
mod cookies;
mod page;
mod process;
mod providers;
mod proxy;
mod realm;
mod tokens;

pub use browser::Browser;
pub use process::OwnKeycloak;
pub use providers::ProvidersFile;
pub use proxy::{FaultProxy, ProxyFault};
pub use realm::{TestRealm, TestUser};

/// The Keycloak that the tests run with; its administrator is `admin`, password `admin`.
///
/// # Panics
/// Where `TEST_KEYCLOAK_URL` names none.
#[must_use]
pub fn keycloak_url() -> String {
    let url = std::env::var("TEST_KEYCLOAK_URL")
        .expect("TEST_KEYCLOAK_URL names no Keycloak; run `cargo xtask test`");
    url.trim_end_matches('/').to_owned()
}

/// A form's body.
fn form(pairs: &[(&str, &str)]) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(pairs).finish()
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
