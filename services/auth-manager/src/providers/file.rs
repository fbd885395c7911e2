//! The providers' file: read whole at start, and refused with a line for each thing that is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use common::settings::{DeploymentEnvironment, Secret};
use url::{Host, Url};

use super::settings::{ClientCredentials, ProviderKind, ProviderSettings};

/// Secrets that everybody knows have this in them; only development takes them.
const DEVELOPMENT_SECRET: &str = "development-";
/// Names stand in URLs, rows and metric labels.
const MAX_NAME: usize = 32;

/// A provider, secrets from files in place; else a line for each thing that is wrong with it.
type Described = Result<ProviderSettings, Vec<String>>;

/// Reads the providers by name.
pub(super) fn read(
    path: &str,
    environment: DeploymentEnvironment,
) -> Result<BTreeMap<String, Described>, String> {
    let text =
        fs::read_to_string(path).map_err(|error| format!("{path} can't be read: {error}"))?;
    parse(&text, environment).map_err(|wrong| format!("{path}: {wrong}"))
}

fn parse(
    text: &str,
    environment: DeploymentEnvironment,
) -> Result<BTreeMap<String, Described>, String> {
    // The parser's own display quotes the line, which may hold a secret.
    let tables: toml::Table = toml::from_str(text).map_err(|_| "not valid TOML".to_owned())?;
    let (mut issuers, mut providers) = (BTreeSet::new(), BTreeMap::new());
    for (name, table) in tables {
        let mut described = describe(&name, table, environment);
        if let Ok(provider) = &described
            && !issuers.insert(provider.issuer.clone())
        {
            described = Err(vec![format!("`{name}.issuer` is another provider's too")]);
        }
        providers.insert(name, described);
    }
    Ok(providers)
}

fn describe(name: &str, table: toml::Value, environment: DeploymentEnvironment) -> Described {
    // Under its name, so that the path of what is wrong begins with it.
    let named = toml::Table::from_iter([(name.to_owned(), table)]);
    let mut read: BTreeMap<String, ProviderSettings> = serde_path_to_error::deserialize(named)
        .map_err(|error| vec![format!("`{}`: {}", error.path(), said(error.inner().message()))])?;
    let mut provider = read.remove(name).ok_or_else(Vec::new)?;
    let faults = complete(name, &mut provider, environment);
    if faults.is_empty() { Ok(provider) } else { Err(faults) }
}

/// "invalid type: string "…"" would quote what stands there.
fn said(message: &str) -> &str {
    if message.starts_with("invalid") { "of the wrong type or form" } else { message }
}

/// All that is wrong.
fn complete(
    name: &str,
    provider: &mut ProviderSettings,
    environment: DeploymentEnvironment,
) -> Vec<String> {
    let mut checks = vec![check_name(name)];
    let issuer = check_issuer(provider, environment);
    checks.push(issuer.map_err(|wrong| format!(".issuer` {wrong}")));
    for (key, url) in provider.endpoints.given() {
        let checked = web_url(url).map(drop);
        checks.push(checked.map_err(|wrong| format!(".endpoints.{key}` {wrong}")));
    }
    for client in provider.clients_mut() {
        checks.push(complete_secret(client, environment));
    }
    checks.extend([check_clients(provider), check_kind(provider)]);
    // What is wrong goes on where the name in backticks left off.
    let faults = checks.into_iter().filter_map(Result::err);
    faults.map(|wrong| format!("`{name}{wrong}")).collect()
}

fn check_name(name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(allowed) {
        return Err("` is no name: 1 to 32 of a-z, 0-9 and `-`".to_owned());
    }
    Ok(())
}

fn complete_secret(
    client: &mut ClientCredentials,
    environment: DeploymentEnvironment,
) -> Result<(), String> {
    let of = |wrong: &str| format!("`, client `{}`: {wrong}", client.id);
    if let Some(path) = &client.secret_file {
        if client.secret.is_some() {
            return Err(of("`secret` and `secret_file` are both given; keep one"));
        }
        let text = fs::read_to_string(path)
            .map_err(|error| of(&format!("`secret_file` {path} can't be read: {error}")))?;
        client.secret = Some(Secret::from(text.trim_end().to_owned()));
    }
    let secret = client.secret.as_ref().map_or("-", Secret::expose);
    if secret.is_empty() {
        return Err(of("its secret is empty; leave it out for a public client"));
    }
    let known = secret.contains(DEVELOPMENT_SECRET);
    if known && environment != DeploymentEnvironment::Development {
        return Err(of("its secret is a development secret, which only `environment = \
                       development` accepts"));
    }
    Ok(())
}

/// A token of one client must never pass for another's.
fn check_clients(provider: &ProviderSettings) -> Result<(), String> {
    let mut ids = BTreeSet::new();
    for client in provider.clients() {
        if client.id.is_empty() || !ids.insert(client.id.as_str()) {
            return Err(format!("`, client `{}`: each client has an id of its own", client.id));
        }
    }
    for service in &provider.service_clients {
        let other = service.client_id != provider.login_client.id;
        if !other || service.subject.is_empty() || service.scopes.is_empty() {
            return Err(format!(
                ".service_clients` `{}`: needs a `subject` and `scopes`, and is not the login \
                 client",
                service.client_id
            ));
        }
    }
    Ok(())
}

fn check_kind(provider: &ProviderSettings) -> Result<(), String> {
    let endpoints = &provider.endpoints;
    let complete = endpoints.authorization.is_some()
        && endpoints.token.is_some()
        && endpoints.userinfo.is_some();
    match provider.kind {
        ProviderKind::Oauth2 if !complete => {
            Err(".endpoints` needs `authorization`, `token` and `userinfo`".to_owned())
        }
        ProviderKind::Openid | ProviderKind::Oauth2 if provider.admin_client.is_some() => {
            Err(".admin_client` is for `kind = \"keycloak\"` alone".to_owned())
        }
        ProviderKind::Keycloak | ProviderKind::Openid | ProviderKind::Oauth2 => Ok(()),
    }
}

/// Tokens travel there: TLS, but on one's own machine.
fn check_issuer(
    provider: &ProviderSettings,
    environment: DeploymentEnvironment,
) -> Result<(), String> {
    let url = web_url(&provider.issuer)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or fragment".to_owned());
    }
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() == "http" && !here && environment != DeploymentEnvironment::Development {
        return Err("must be https".to_owned());
    }
    if provider.kind == ProviderKind::Keycloak && !provider.issuer.contains("/realms/") {
        return Err("is no realm's: `…/realms/<realm>`".to_owned());
    }
    Ok(())
}

fn web_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
    let web = matches!(url.scheme(), "http" | "https");
    if web && url.username().is_empty() && url.password().is_none() {
        Ok(url)
    } else {
        Err("is no http or https URL without credentials".to_owned())
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
