//! A private key as older layouts stored it: a JWK (RFC 7517), or PEM; by itself or as a member.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use openssl::rsa::RsaPrivateKeyBuilder;
use serde_json::Value;
use zeroize::Zeroizing;

const MALFORMED: &str = "key_data is no private key";
const INCONSISTENT: &str = "the parts of its private key do not belong together";
/// Members that held the key where it was not the whole value.
const MEMBERS: [&str; 4] = ["private_key", "private_key_pem", "private", "jwk"];

/// The private key and the key id that it names itself.
pub(super) fn parse(text: &str) -> Result<(PKey<Private>, Option<String>), &'static str> {
    let value: Value = serde_json::from_str(text).map_err(|_| MALFORMED)?;
    read(&value, 2).ok_or(MALFORMED)?
}

type Parsed = Result<(PKey<Private>, Option<String>), &'static str>;

fn read(value: &Value, depth: u8) -> Option<Parsed> {
    match value {
        Value::String(text) if text.trim_start().starts_with("-----BEGIN") => {
            let key = PKey::private_key_from_pem(text.trim().as_bytes()).ok()?;
            Some(checked(key).map(|key| (key, None)))
        }
        Value::String(text) if depth > 0 => read(&serde_json::from_str(text).ok()?, depth - 1),
        Value::Object(members) if members.contains_key("kty") => {
            let kid = members.get("kid").and_then(Value::as_str).map(str::to_owned);
            let key = from_jwk(value)?.map_err(|_| INCONSISTENT).and_then(checked);
            Some(key.map(|key| (key, kid)))
        }
        Value::Object(members) if depth > 0 => {
            let inner = MEMBERS.iter().find_map(|name| members.get(*name))?;
            let own = ["kid", "key_id"].iter().find_map(|name| members.get(*name)?.as_str());
            let parsed = read(inner, depth - 1)?;
            Some(parsed.map(|(key, kid)| (key, kid.or(own.map(str::to_owned)))))
        }
        _ => None,
    }
}

/// `None` where a member is missing or of the wrong form.
fn from_jwk(jwk: &Value) -> Option<Result<PKey<Private>, ErrorStack>> {
    let number = |name: &str| {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(jwk[name].as_str()?).ok()?);
        BigNum::from_slice(&bytes).ok()
    };
    match (jwk["kty"].as_str()?, jwk["crv"].as_str()) {
        ("RSA", _) => {
            let key = RsaPrivateKeyBuilder::new(number("n")?, number("e")?, number("d")?);
            let (factors, crt) =
                ((number("p")?, number("q")?), (number("dp")?, number("dq")?, number("qi")?));
            let key = key
                .and_then(|key| key.set_factors(factors.0, factors.1))
                .and_then(|key| key.set_crt_params(crt.0, crt.1, crt.2));
            Some(key.and_then(|key| PKey::from_rsa(key.build())))
        }
        ("EC", Some("P-256")) => {
            let (x, y, d) = (number("x")?, number("y")?, number("d")?);
            Some(ec(&x, &y, &d))
        }
        _ => None,
    }
}

fn ec(x: &BigNum, y: &BigNum, d: &BigNum) -> Result<PKey<Private>, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let public = EcKey::from_public_key_affine_coordinates(&group, x, y)?;
    PKey::from_ec_key(EcKey::from_private_components(&group, d, public.public_key())?)
}

/// A public part that is not the private one's would sign what nobody can verify.
fn checked(key: PKey<Private>) -> Result<PKey<Private>, &'static str> {
    let sound = match key.id() {
        Id::RSA => key.rsa().and_then(|rsa| rsa.check_key()),
        Id::EC => key.ec_key().and_then(|ec| ec.check_key()).map(|()| true),
        _ => return Err("its key is neither RSA nor P-256"),
    };
    if sound.unwrap_or(false) { Ok(key) } else { Err(INCONSISTENT) }
}

#[cfg(test)]
#[path = "key_data_tests.rs"]
mod tests;
