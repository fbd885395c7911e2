//! Redis over TLS, whose certificate an authority of one's own vouches for.

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Name, X509NameBuilder};
use test_support::TestRedis;

use super::support::TestApp;

type Identity = (X509, PKey<Private>);

/// A certificate for this machine's loopback address, or an authority that issues them.
fn certificate(name: &str, issuer: Option<&Identity>) -> Identity {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject: X509Name = subject.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let serial = BigNum::from_u32(1 + u32::from(issuer.is_some())).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(2).unwrap()).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_pubkey(&key).unwrap();
    if let Some((authority, _)) = issuer {
        builder.set_issuer_name(authority.subject_name()).unwrap();
        let context = builder.x509v3_context(Some(authority), None);
        let names = SubjectAlternativeName::new().ip("127.0.0.1").build(&context).unwrap();
        builder.append_extension(names).unwrap();
    } else {
        builder.set_issuer_name(&subject).unwrap();
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    }
    let signer = issuer.map_or(&key, |(_, key)| key);
    builder.sign(signer, MessageDigest::sha256()).unwrap();
    (builder.build(), key)
}

#[tokio::test]
async fn redis_is_asked_over_tls_and_only_where_the_authority_is_the_configured_one() {
    let folder = tempfile::tempdir().unwrap();
    let authority = certificate("an authority", None);
    let (chain, key) = certificate("redis", Some(&authority));
    let write = |name: &str, pem: Vec<u8>| {
        let path = folder.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let ca = write("ca.pem", authority.0.to_pem().unwrap());
    let other = write("other.pem", certificate("another", None).0.to_pem().unwrap());
    let chain = write("redis.pem", chain.to_pem().unwrap());
    let key = write("redis.key", key.private_key_to_pem_pkcs8().unwrap());
    let port = {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.local_addr().unwrap().port().to_string()
    };
    let _redis = TestRedis::start_with(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        &chain,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
        "--tls-auth-clients",
        "no",
    ])
    .await;
    let url = format!("rediss://127.0.0.1:{port}");
    for (ca, up) in [(Some(&ca), 1), (Some(&other), 0), (None, 0)] {
        let mut settings = vec![
            ("USER_SERVICE__REDIS__URL", url.as_str()),
            // A handshake on a busy machine decides nothing.
            ("USER_SERVICE__REDIS__TIMEOUT", "5s"),
            ("USER_SERVICE__LIMITS__STORE", "redis"),
        ];
        settings.extend(ca.map(|ca| ("USER_SERVICE__REDIS__CA_FILE", ca.as_str())));
        let app = TestApp::with(&settings).await;
        let _ = app.register("alice").await.expect(201);
        assert_eq!(app.metric("user_service_redis_up").await, up, "{ca:?}");
    }
}
