use std::cmp::Ordering;
use std::fs;
use std::sync::Arc;

use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::error::ErrorStack;
use openssl::x509::X509;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// A certificate with its chain and its key, looked at and found good.
pub(super) struct Pair {
    pub(super) key: Arc<CertifiedKey>,
    /// When it does, in seconds since 1970.
    pub(super) expires: i64,
}

/// The two files as they are, for [`Pair::of`] or to be compared.
pub(super) struct Files {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl Files {
    pub(super) fn read(certificate_path: &str, key_path: &str) -> Result<Self, String> {
        let read = |setting: &str, path: &str| {
            fs::read(path).map_err(|error| format!("`{setting}`: {path} can't be read: {error}"))
        };
        Ok(Self {
            certificate: read("tls.certificate_path", certificate_path)?,
            key: Zeroizing::new(read("tls.key_path", key_path)?),
        })
    }

    pub(super) fn digest(&self) -> [u8; 32] {
        let hasher = Sha256::new().chain_update(self.certificate.len().to_be_bytes());
        hasher.chain_update(&self.certificate).chain_update(&*self.key).finalize().into()
    }
}

impl Pair {
    pub(super) fn read(certificate_path: &str, key_path: &str) -> Result<Self, String> {
        Self::of(&Files::read(certificate_path, key_path)?, certificate_path, key_path)
    }

    /// The paths are for what is said of them.
    pub(super) fn of(files: &Files, certificate: &str, key: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("`tls.certificate_path`: {certificate} {what}");
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(&files.certificate)
                .collect::<Result<_, _>>()
                .map_err(|_| wrong("is not PEM"))?;
        let first = chain.first().ok_or_else(|| wrong("has no certificate in PEM"))?;
        let first = X509::from_der(first).map_err(|_| wrong("has no certificate of X.509"))?;
        let expires = expires(&first).map_err(|what| wrong(&what))?;
        let secret = PrivateKeyDer::from_pem_slice(&files.key).map_err(|_| {
            format!("`tls.key_path`: {key} has no private key in PEM without a passphrase")
        })?;
        let pair = CertifiedKey::from_der(chain, secret, &default_provider()).map_err(|_| {
            format!("`tls.key_path`: {key} is not the key of the certificate in {certificate}")
        })?;
        Ok(Self { key: Arc::new(pair), expires })
    }
}

/// When it expires, if it is good now.
fn expires(certificate: &X509) -> Result<i64, String> {
    let unreadable = |_: ErrorStack| "has times that can't be read".to_owned();
    let now = Asn1Time::days_from_now(0).map_err(unreadable)?;
    let is_past = |time: &Asn1TimeRef| -> Result<bool, String> {
        Ok(time.compare(&now).map_err(unreadable)? != Ordering::Greater)
    };
    let (from, until) = (certificate.not_before(), certificate.not_after());
    if is_past(until)? {
        return Err(format!("expired at {until}; renew it"));
    }
    if !is_past(from)? {
        return Err(format!("is not good before {from}"));
    }
    let epoch = Asn1Time::from_unix(0).map_err(unreadable)?;
    let left = epoch.diff(until).map_err(unreadable)?;
    Ok(i64::from(left.days) * 24 * 60 * 60 + i64::from(left.secs))
}

#[cfg(test)]
mod tests {
    use test_support::{TestAuthority, TestCertificate};

    use super::*;

    fn error(pair: &TestCertificate) -> String {
        Pair::read(&pair.certificate_path, &pair.key_path).map(drop).unwrap_err()
    }

    #[test]
    fn a_certificate_that_can_t_serve_is_refused_with_its_setting_and_what_is_wrong() {
        let authority = TestAuthority::new();
        let good = authority.issue("localhost");
        let pair = Pair::read(&good.certificate_path, &good.key_path).unwrap();
        let now = crate::clock::Clock::default().now().timestamp();
        assert!((now..=now + 24 * 60 * 60).contains(&pair.expires), "{}", pair.expires);
        let other = authority.issue("localhost");
        let with = |certificate: &str, key: &str| TestCertificate {
            certificate_path: certificate.to_owned(),
            key_path: key.to_owned(),
        };
        for (pair, setting, what) in [
            (with("/no/such", &good.key_path), "certificate_path", "can't be read"),
            (with(&good.certificate_path, "/no/such"), "key_path", "can't be read"),
            (with(&good.key_path, &good.key_path), "certificate_path", "no certificate in PEM"),
            (with(&good.certificate_path, &other.certificate_path), "key_path", "no private key"),
            (with(&good.certificate_path, &other.key_path), "key_path", "is not the key of"),
            (authority.issue_expired("localhost"), "certificate_path", "expired at"),
        ] {
            let error = error(&pair);
            assert!(error.starts_with(&format!("`tls.{setting}`: ")), "{error}");
            assert!(error.contains(what) && !error.contains('\n'), "{error}");
        }
    }
}
