//! Service keys as PEM files, made by `latchkey keygen`.

use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use token_verifier::Algorithm;
use zeroize::Zeroizing;

/// A key pair as PEM.
pub struct PemPair {
    /// PKCS#1 (`RSA PRIVATE KEY`) for RSA, SEC 1 (`EC PRIVATE KEY`) for P-256.
    pub private: Zeroizing<Vec<u8>>,
    /// `SubjectPublicKeyInfo`.
    pub public: Vec<u8>,
}

/// Makes a service key.
pub fn generate(algorithm: Algorithm, rsa_bits: u32) -> Result<PemPair, ErrorStack> {
    match algorithm {
        Algorithm::Rs256 => {
            let key = Rsa::generate(rsa_bits)?;
            let private = Zeroizing::new(key.private_key_to_pem()?);
            Ok(PemPair { private, public: PKey::from_rsa(key)?.public_key_to_pem()? })
        }
        Algorithm::Es256 => {
            let key = EcKey::generate(EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?.as_ref())?;
            let private = Zeroizing::new(key.private_key_to_pem()?);
            Ok(PemPair { private, public: PKey::from_ec_key(key)?.public_key_to_pem()? })
        }
    }
}
