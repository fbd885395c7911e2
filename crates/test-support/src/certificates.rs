use std::fs;

use common::tls::TlsSettings;
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder};
use reqwest::Certificate;
use tempfile::TempDir;
use uuid::Uuid;

const DAY: i64 = 24 * 60 * 60;

/// An authority of one's own, whose files are gone at the end.
pub struct TestAuthority {
    certificate: X509,
    key: PKey<Private>,
    folder: TempDir,
    ca_path: String,
}

/// A certificate and its private key in PEM files.
pub struct TestCertificate {
    /// Where the certificate is.
    pub certificate_path: String,
    /// Where its key is.
    pub key_path: String,
}

impl TestAuthority {
    /// One that nobody else trusts.
    #[expect(clippy::new_without_default, reason = "it makes files")]
    pub fn new() -> Self {
        let key = new_key();
        // Each its own, or a client would look for the one and find the other.
        let name = name(&format!("authority {}", Uuid::new_v4()));
        let mut builder = builder(&name, &key, -DAY, 2 * DAY);
        builder.set_issuer_name(&name).unwrap();
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        let (certificate, folder) = (builder.build(), tempfile::tempdir().unwrap());
        let ca_path = write(&folder, "ca.pem", &certificate.to_pem().unwrap());
        Self { certificate, key, folder, ca_path }
    }

    /// PEM of the authority.
    pub fn ca_path(&self) -> &str {
        &self.ca_path
    }

    /// The same for a client's `tls_certs_only`.
    pub fn roots(&self) -> [Certificate; 1] {
        [Certificate::from_pem(&self.certificate.to_pem().unwrap()).unwrap()]
    }

    /// For a host, a name or an address, and good now.
    pub fn issue(&self, host: &str) -> TestCertificate {
        self.issue_until(host, DAY)
    }

    /// The same, and good no more.
    pub fn issue_expired(&self, host: &str) -> TestCertificate {
        self.issue_until(host, -60)
    }

    fn issue_until(&self, host: &str, seconds: i64) -> TestCertificate {
        let key = new_key();
        let mut builder = builder(&name("a server"), &key, -DAY, seconds);
        builder.set_issuer_name(self.certificate.subject_name()).unwrap();
        let mut names = SubjectAlternativeName::new();
        if host.parse::<std::net::IpAddr>().is_ok() {
            names.ip(host)
        } else {
            names.dns(host)
        };
        let names = names.build(&builder.x509v3_context(Some(&self.certificate), None)).unwrap();
        builder.append_extension(names).unwrap();
        builder.sign(&self.key, MessageDigest::sha256()).unwrap();
        let (pem, file) = (builder.build().to_pem().unwrap(), Uuid::new_v4());
        let secret = key.private_key_to_pem_pkcs8().unwrap();
        TestCertificate {
            certificate_path: write(&self.folder, &format!("{file}.pem"), &pem),
            key_path: write(&self.folder, &format!("{file}.key"), &secret),
        }
    }
}

impl TestCertificate {
    /// Section `tls` of a service that speaks TLS by it.
    pub fn settings(&self) -> TlsSettings {
        TlsSettings {
            certificate_path: Some(self.certificate_path.clone()),
            key_path: Some(self.key_path.clone()),
        }
    }

    /// Takes another's place, as a renewal does.
    pub fn replace(&self, other: &Self) {
        fs::copy(&self.certificate_path, &other.certificate_path).unwrap();
        fs::copy(&self.key_path, &other.key_path).unwrap();
    }
}

fn new_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn name(text: &str) -> X509Name {
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", text).unwrap();
    name.build()
}

/// Times are in seconds from now.
fn builder(subject: &X509Name, key: &PKey<Private>, from: i64, until: i64) -> X509Builder {
    #[expect(clippy::disallowed_methods, reason = "no clock that a test turns has a say here")]
    let now = chrono::Utc::now().timestamp();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let serial = BigNum::from_slice(Uuid::new_v4().as_bytes()).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_not_before(&Asn1Time::from_unix(now + from).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::from_unix(now + until).unwrap()).unwrap();
    builder.set_subject_name(subject).unwrap();
    builder.set_pubkey(key).unwrap();
    builder
}

fn write(folder: &TempDir, name: &str, pem: &[u8]) -> String {
    let path = folder.path().join(name);
    fs::write(&path, pem).unwrap();
    path.to_str().unwrap().to_owned()
}
