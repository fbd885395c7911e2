use chrono::{DateTime, Utc};
use common::device_key::{DeviceKey, encode_public_key, parse_public_key};
use common::http::Problem;
use rand::RngExt as _;
use uuid::Uuid;
use vault_crypto::{Identity, Keyring};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::models::device::Device;

/// A device whose key was agreed and sealed.
pub struct Registered {
    /// The row to be stored.
    pub device: Device,
    /// The server's half, base64.
    pub server_public_key: String,
}

/// Agrees on a key with a new device; `public_key` is its half, base64 of raw 32 bytes.
pub fn agree(
    keyring: &Keyring,
    public_key: &str,
    now: DateTime<Utc>,
) -> Result<Registered, Problem> {
    let refused = || {
        let message = "`public_key` must be an X25519 public key, raw 32 bytes in base64";
        Problem::invalid_field("public_key", message)
    };
    let client = parse_public_key(public_key).ok_or_else(refused)?;
    let mut random = Zeroizing::new([0; 32]);
    rand::rng().fill(random.as_mut_slice());
    let secret = StaticSecret::from(*random);
    let server = PublicKey::from(&secret);
    let key = DeviceKey::agree(&secret, &client, &client, &server).ok_or_else(refused)?;
    let device = sealed_device(keyring, Uuid::new_v4(), key.as_bytes(), now);
    Ok(Registered { device, server_public_key: encode_public_key(&server) })
}

/// A device that nobody can prove to be: its key is random and given to no one.
pub fn without_proof(keyring: &Keyring, id: Uuid, now: DateTime<Utc>) -> Device {
    let mut key = Zeroizing::new([0; 32]);
    rand::rng().fill(key.as_mut_slice());
    Device { browser: true, ..sealed_device(keyring, id, &*key, now) }
}

fn sealed_device(keyring: &Keyring, id: Uuid, key: &[u8], now: DateTime<Utc>) -> Device {
    let sealed = keyring.seal(&identity(id), key);
    Device {
        id,
        user_id: None,
        device_name: None,
        device_info: None,
        sealing_key_id: sealed.key_id().to_owned(),
        sealed_key: sealed.into_bytes(),
        created_at: now,
        bound_at: None,
        last_used_at: None,
        trusted: false,
        browser: false,
    }
}

/// A device's key.
pub fn open_key(keyring: &Keyring, device: &Device) -> Result<DeviceKey, Error> {
    let key = keyring.open(&identity(device.id), &device.sealed_key)?;
    DeviceKey::from_bytes(&key).ok_or_else(|| Error::Internal("a device key is damaged".to_owned()))
}

/// What a device's sealed key is bound to.
pub fn identity(device: Uuid) -> Identity {
    Identity::new("devices.key").field(device.to_string())
}
