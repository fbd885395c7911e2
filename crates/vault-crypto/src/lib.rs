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
//! # Ok::<(), vault_crypto::KeyringError>(())
//! ```

mod cipher;
mod identity;
mod keyring;
mod sealed;
mod token_hash;

pub use identity::Identity;
pub use keyring::{Keyring, KeyringError, OpenError};
pub use sealed::{Sealed, key_id_of};
pub use token_hash::TokenHasher;
