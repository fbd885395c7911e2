use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Public};
use openssl::rsa::Rsa;
use serde_json::Value;

/// A public JWK as PEM `SubjectPublicKeyInfo` (RFC 5280, section 4.1.2.7); `None` unless it is an
/// RSA or P-256 key.
#[must_use]
pub fn to_pem(jwk: &Value) -> Option<Vec<u8>> {
    let key = match jwk["kty"].as_str()? {
        "RSA" => rsa(jwk)?,
        "EC" => ec(jwk)?,
        _ => return None,
    };
    key.public_key_to_pem().ok()
}

fn rsa(jwk: &Value) -> Option<PKey<Public>> {
    let key = Rsa::from_public_components(number(jwk, "n")?, number(jwk, "e")?).ok()?;
    PKey::from_rsa(key).ok()
}

fn ec(jwk: &Value) -> Option<PKey<Public>> {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).ok()?;
    let (x, y) = (number(jwk, "x")?, number(jwk, "y")?);
    let key = EcKey::from_public_key_affine_coordinates(&curve, &x, &y).ok()?;
    PKey::from_ec_key(key).ok()
}

fn number(jwk: &Value, member: &str) -> Option<BigNum> {
    let bytes = URL_SAFE_NO_PAD.decode(jwk[member].as_str()?).ok()?;
    BigNum::from_slice(&bytes).ok()
}
