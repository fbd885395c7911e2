use openssl::rsa::Rsa;
use serde_json::json;

use super::*;

fn encode(number: &openssl::bn::BigNumRef) -> String {
    URL_SAFE_NO_PAD.encode(number.to_vec())
}

fn rsa_jwk(key: &Rsa<Private>) -> Value {
    json!({
        "kty": "RSA", "kid": "k1", "n": encode(key.n()), "e": encode(key.e()),
        "d": encode(key.d()), "p": encode(key.p().unwrap()), "q": encode(key.q().unwrap()),
        "dp": encode(key.dmp1().unwrap()), "dq": encode(key.dmq1().unwrap()),
        "qi": encode(key.iqmp().unwrap()),
    })
}

fn kid(value: &Value) -> Result<Option<String>, &'static str> {
    parse(&value.to_string()).map(|(_, kid)| kid)
}

#[test]
fn a_key_is_read_in_every_form_that_older_layouts_had() {
    let rsa = Rsa::generate(2048).unwrap();
    let jwk = rsa_jwk(&rsa);
    let pem = String::from_utf8(rsa.private_key_to_pem().unwrap()).unwrap();
    assert_eq!(kid(&jwk), Ok(Some("k1".to_owned())));
    assert_eq!(kid(&json!(jwk.to_string())), Ok(Some("k1".to_owned())));
    assert_eq!(kid(&json!(pem)), Ok(None));
    assert_eq!(kid(&json!({ "private_key": pem, "kid": "k2" })), Ok(Some("k2".to_owned())));
    assert_eq!(kid(&json!({ "jwk": jwk })), Ok(Some("k1".to_owned())));
    let (read, _) = parse(&jwk.to_string()).unwrap();
    assert_eq!(read.private_key_to_der().unwrap(), rsa.private_key_to_der().unwrap());
}

#[test]
fn an_elliptic_key_is_read_only_with_its_own_public_part() {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let jwk = |private: &EcKey<Private>, public: &EcKey<Private>| {
        let (mut x, mut y) = (BigNum::new().unwrap(), BigNum::new().unwrap());
        let mut context = openssl::bn::BigNumContext::new().unwrap();
        let point = public.public_key();
        point.affine_coordinates(&group, &mut x, &mut y, &mut context).unwrap();
        let (x, y, d) = (encode(&x), encode(&y), encode(private.private_key()));
        json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "d": d })
    };
    let (one, other) = (EcKey::generate(&group).unwrap(), EcKey::generate(&group).unwrap());
    assert_eq!(kid(&jwk(&one, &one)), Ok(None));
    assert_eq!(kid(&jwk(&one, &other)), Err(INCONSISTENT));
}

#[test]
fn what_is_no_private_key_is_refused_in_words_that_show_nothing_of_it() {
    let rsa = Rsa::generate(2048).unwrap();
    let mut public = rsa_jwk(&rsa);
    public.as_object_mut().unwrap().remove("d");
    let mut mixed = rsa_jwk(&rsa);
    mixed["n"] = encode(Rsa::generate(2048).unwrap().n()).into();
    assert_eq!(kid(&public), Err(MALFORMED));
    assert_eq!(kid(&mixed), Err(INCONSISTENT));
    let ed25519 = PKey::generate_ed25519().unwrap().private_key_to_pem_pkcs8().unwrap();
    let ed25519 = json!(String::from_utf8(ed25519).unwrap());
    assert_eq!(kid(&ed25519), Err("its key is neither RSA nor P-256"));
    for text in [
        "",
        "{}",
        "null",
        "[]",
        "{\"kty\":\"RSA\"}",
        "\"-----BEGIN nonsense\"",
        "{\"jwk\":{\"jwk\":{\"jwk\":{}}}}",
    ] {
        assert_eq!(parse(text).map(|_| ()), Err(MALFORMED), "{text}");
    }
}
