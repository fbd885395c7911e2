//! HTTP calls to the issuer: key fetches and the feed.

use std::time::Duration;

use common::tls::{self, trust};
use reqwest::{Client, redirect};

const CA_PATH: &str = "verifier.ca_path";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A client without redirects and proxies that trusts the authorities of `ca_path`, or the
/// machine's own.
pub(crate) fn client(ca_path: Option<&str>) -> Result<Client, String> {
    let client = Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT);
    let client = trust(client, CA_PATH, ca_path)?;
    client.build().map_err(|error| error.to_string())
}

/// Why a call failed, and what to do about it. It names the URL, which here holds nothing secret.
pub(crate) fn describe(error: &reqwest::Error) -> String {
    tls::describe(error, CA_PATH)
}
