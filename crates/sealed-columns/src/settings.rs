//! The keyring as settings give it: plain, or wrapped by a PKCS#11 token.

use common::settings::{Secret, Setting};
use vault_crypto::{Keyring, WrappingKey, WrappingKeyPlace};

/// Where the key is that wraps the ring's keys; each service that seals has these settings.
pub const PKCS11: &[Setting] = &[
    Setting::new(
        "vault.pkcs11_module",
        "PKCS#11 module (a shared library) of the token that wraps keys of `vault.keys` written as `id:pkcs11:<hex>`",
    ),
    Setting::new("vault.pkcs11_token", "Label of the token"),
    Setting::new("vault.pkcs11_pin", "The token's user PIN").secret(),
    Setting::new("vault.pkcs11_key", "Label of the AES-256 key in the token that wraps"),
];

/// Section `vault`, as far as the keyring goes.
#[derive(Clone, Copy, Debug)]
pub struct KeyringSettings<'a> {
    /// See [`Keyring::parse_with`].
    pub keys: &'a Secret,
    /// Path of the PKCS#11 module; none: all keys are plain.
    pub pkcs11_module: Option<&'a str>,
    /// Label of the token.
    pub pkcs11_token: Option<&'a str>,
    /// The user's PIN.
    pub pkcs11_pin: Option<&'a Secret>,
    /// Label of the wrapping key.
    pub pkcs11_key: Option<&'a str>,
}

impl KeyringSettings<'_> {
    /// The keyring; an error is one line that names the setting and shows no key. Signs in to the
    /// token where one is configured.
    pub fn keyring(&self) -> Result<Keyring, String> {
        let wrapping_key = self.wrapping_key()?;
        Keyring::parse_with(self.keys.expose(), wrapping_key.as_ref())
            .map_err(|error| format!("`vault.keys`: {error}"))
    }

    /// The token's key; none where no token is configured.
    pub fn wrapping_key(&self) -> Result<Option<WrappingKey>, String> {
        let Some(module) = self.pkcs11_module else {
            let stray = [
                ("token", self.pkcs11_token.is_some()),
                ("pin", self.pkcs11_pin.is_some()),
                ("key", self.pkcs11_key.is_some()),
            ];
            return match stray.iter().find(|(_, given)| *given) {
                Some((name, _)) => {
                    Err(format!("`vault.pkcs11_{name}` says nothing without `vault.pkcs11_module`"))
                }
                None => Ok(None),
            };
        };
        let missing = |name: &str| format!("`vault.pkcs11_module` needs `vault.pkcs11_{name}` too");
        let place = WrappingKeyPlace {
            module,
            token: self.pkcs11_token.ok_or_else(|| missing("token"))?,
            pin: self.pkcs11_pin.ok_or_else(|| missing("pin"))?.expose(),
            key: self.pkcs11_key.ok_or_else(|| missing("key"))?,
        };
        WrappingKey::find(&place)
            .map(Some)
            .map_err(|error| format!("`vault.pkcs11_module`: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_configured_whole_or_not_at_all() {
        let keys = Secret::from(format!("a:{}", "11".repeat(32)));
        let pin = Secret::from("2468".to_owned());
        let plain = KeyringSettings {
            keys: &keys,
            pkcs11_module: None,
            pkcs11_token: None,
            pkcs11_pin: None,
            pkcs11_key: None,
        };
        assert_eq!(plain.keyring().unwrap().writing_key_id(), "a");
        let stray = KeyringSettings { pkcs11_pin: Some(&pin), ..plain }.keyring().unwrap_err();
        assert_eq!(stray, "`vault.pkcs11_pin` says nothing without `vault.pkcs11_module`");
        let half = KeyringSettings { pkcs11_module: Some("/no/such.so"), ..plain };
        let half = KeyringSettings { pkcs11_token: Some("t"), ..half }.keyring().unwrap_err();
        assert_eq!(half, "`vault.pkcs11_module` needs `vault.pkcs11_pin` too");
    }
}
