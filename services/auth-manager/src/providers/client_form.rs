//! Forms that our clients send, authenticated as RFC 6749, section 2.3.1 has it.

use common::settings::Secret;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, RequestBuilder};
use url::{Url, form_urlencoded};

use super::ClientCredentials;

/// Builds the request of one form; anew for each try.
pub(crate) fn post(
    http: &Client,
    url: &Url,
    client: &ClientCredentials,
    in_form: bool,
    form: &[(&str, &str)],
) -> RequestBuilder {
    let request = http
        .post(url.clone())
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(form);
    let request = match client.secret.as_ref().map(Secret::expose) {
        Some(secret) if !in_form => request.basic_auth(encode(&client.id), Some(encode(secret))),
        Some(secret) => {
            body.append_pair("client_id", &client.id).append_pair("client_secret", secret);
            request
        }
        // A public client only says who it is.
        None => {
            body.append_pair("client_id", &client.id);
            request
        }
    };
    request.body(body.finish())
}

/// Ids and secrets are form-encoded before they are joined by a colon.
fn encode(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
