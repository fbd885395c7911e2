use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256};

/// How often the file is looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Believes servers for which the authorities in a file of PEM vouch, and no others. The file is
/// looked at when a connection is made; one that is no good any more changes nothing.
#[derive(Debug)]
pub(crate) struct Authorities {
    path: String,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    verifier: Arc<WebPkiServerVerifier>,
    /// Of the file when it was last looked at; none if it could not be read.
    digest: Option<[u8; 32]>,
    looked_at: Instant,
}

/// What a client speaks TLS by that believes whom `verifier` does. It resumes nothing: a session
/// that is resumed shows no certificate.
pub(crate) fn client_config(verifier: Arc<dyn ServerCertVerifier>) -> Result<ClientConfig, String> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// The file, if it holds certificates; an error is one line that names it.
pub(crate) fn read_authorities(path: &str) -> Result<Vec<u8>, String> {
    let pem = fs::read(path).map_err(|error| format!("{path} can't be read: {error}"))?;
    verifier(path, &pem)?;
    Ok(pem)
}

fn verifier(path: &str, pem: &[u8]) -> Result<Arc<WebPkiServerVerifier>, String> {
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| format!("{path} is not PEM"))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate).map_err(|_| format!("{path} has a damaged certificate"))?;
    }
    WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::new(default_provider()))
        .build()
        .map_err(|_| format!("{path} has no certificate in PEM"))
}

impl Authorities {
    /// Those in the file at `path`; an error is one line that names it.
    pub(crate) fn read(path: &str) -> Result<Arc<Self>, String> {
        let pem = read_authorities(path)?;
        let known = Known {
            verifier: verifier(path, &pem)?,
            digest: Some(Sha256::digest(&pem).into()),
            looked_at: Instant::now(),
        };
        Ok(Arc::new(Self { path: path.to_owned(), known: Mutex::new(known) }))
    }

    fn current(&self) -> Arc<WebPkiServerVerifier> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.looked_at.elapsed() >= LOOK_EVERY {
            known.looked_at = Instant::now();
            self.look(&mut known);
        }
        Arc::clone(&known.verifier)
    }

    /// Reads some kilobytes at most once in a while, for which no thread of its own is needed.
    fn look(&self, known: &mut Known) {
        let Self { path, .. } = self;
        let pem = fs::read(path).map_err(|error| format!("{path} can't be read: {error}"));
        let digest = pem.as_ref().ok().map(|pem| Sha256::digest(pem).into());
        if digest == known.digest {
            return;
        }
        known.digest = digest;
        match pem.and_then(|pem| verifier(path, &pem)) {
            Ok(verifier) => {
                known.verifier = verifier;
                tracing::info!(path, "tls_authorities_replaced");
            }
            Err(reason) => tracing::error!(reason, "tls_authorities_refused"),
        }
    }
}

impl ServerCertVerifier for Authorities {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.current().verify_server_cert(certificate, chain, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current().verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current().verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current().supported_verify_schemes()
    }
}
