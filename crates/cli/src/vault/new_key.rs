use anyhow::{Result, anyhow};
use common::settings::{Secret, SettingsError};
use vault_crypto::{Keyring, WrappingKey, WrappingKeyPlace};

use super::opened::Service;
use crate::settings::environment;

/// Prints what goes into `vault.keys`.
pub(super) fn run(service: Service, id: Option<&str>) -> Result<()> {
    let environment = environment()?;
    let value =
        |key| -> Result<Secret, SettingsError> { service.schema().value(key, &environment) };
    let (module, token) = (value("vault.pkcs11_module")?, value("vault.pkcs11_token")?);
    let (pin, key) = (value("vault.pkcs11_pin")?, value("vault.pkcs11_key")?);
    let place = WrappingKeyPlace {
        module: module.expose(),
        token: token.expose(),
        pin: pin.expose(),
        key: key.expose(),
    };
    let wrapping_key = WrappingKey::find(&place)
        .map_err(|error| SettingsError(format!("`vault.pkcs11_module`: {error}")))?;
    let wrapped = format!("pkcs11:{}", hex::encode(wrapping_key.wrap_new_key()?));
    let entry = id.map_or_else(|| wrapped.clone(), |id| format!("{id}:{wrapped}"));
    // Unwrapped once here, so that what is printed is known to work.
    let ring = Keyring::parse_with(&entry, Some(&wrapping_key)).map_err(|error| anyhow!(error))?;
    println!("{}:{wrapped}", ring.writing_key_id());
    Ok(())
}
