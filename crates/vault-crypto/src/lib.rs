//! AES-256-CBC with HMAC-SHA-256, bound to an identity, under a versioned keyring.
//!
//! Encrypt-then-MAC: the tag covers version, key id, identity, IV and ciphertext and is checked
//! in constant time before anything is decrypted. The identity is what a value is (table, natural
//! keys); a value moved to another row does not open. The first key of a ring writes, all read.
//!
//! ```
//! use vault_crypto::{Identity, Keyring};
//!
//! let ring = Keyring::parse(&format!("2026:{}", "5a".repeat(32)))?;
//! let whose = Identity::new("devices.key").field("0b7e…");
//! let sealed = ring.seal(&whose, b"32 bytes of device key").into_bytes();
//! assert_eq!(&**ring.open(&whose, &sealed).unwrap(), b"32 bytes of device key");
//! assert!(ring.open(&Identity::new("devices.key").field("another"), &sealed).is_err());
//!
//! // Rotation: the new key goes first, the old one stays until no stored value names it.
//! let rotated = Keyring::parse(&format!("2027:{},2026:{}", "c3".repeat(32), "5a".repeat(32)))?;
//! assert_eq!(vault_crypto::key_id_of(&sealed), Some("2026"));
//! let rewrapped = rotated.seal(&whose, &rotated.open(&whose, &sealed).unwrap());
//! assert_eq!(rewrapped.key_id(), "2027");
//! # Ok::<(), vault_crypto::KeyringError>(())
//! ```

mod cipher;
mod identity;
mod in_time;
mod keyring;
mod pkcs11;
mod pkcs11_error;
mod pkcs11_signing;
mod sealed;
mod token_hash;

pub use identity::Identity;
pub use keyring::{Keyring, KeyringError, OpenError};
pub use pkcs11::{WrappingKey, WrappingKeyPlace};
pub use pkcs11_error::Pkcs11Error;
pub use pkcs11_signing::{SigningKind, SigningPublic, SigningToken};
pub use sealed::{Sealed, key_id_of};
pub use token_hash::{TokenHasher, TokenKeyError};
