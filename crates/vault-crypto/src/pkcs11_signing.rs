//! Signing keys that never leave their PKCS#11 token.

use std::sync::{Mutex, PoisonError};

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::types::Ulong;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::in_time::in_time;
use crate::pkcs11::{failed, load, sign_in};
use crate::pkcs11_error::Pkcs11Error;

/// DER of the object identifier of P-256 (RFC 5480, section 2.1.1.1).
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// An uncompressed point of P-256: 0x04, then x and y of 32 bytes each (SEC 1, section 2.3.3).
const POINT_BYTES: usize = 65;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningKind {
    /// RSASSA-PKCS1-v1_5 with SHA-256, and a modulus of so many bits.
    Rsa(u32),
    /// ECDSA on P-256 with SHA-256.
    P256,
}

/// The public numbers of a key, big-endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SigningPublic {
    /// Modulus and exponent.
    Rsa {
        /// Modulus.
        n: Vec<u8>,
        /// Exponent.
        e: Vec<u8>,
    },
    /// A point.
    P256 {
        /// 32 bytes.
        x: Vec<u8>,
        /// 32 bytes.
        y: Vec<u8>,
    },
}

/// A token that makes signing keys and signs with them.
pub struct SigningToken {
    module: String,
    token: String,
    pin: Zeroizing<String>,
    /// Signed in and not at work, each with the key that it signed with last.
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    session: Session,
    key: Option<(String, ObjectHandle)>,
}

impl SigningToken {
    /// Loads the module and signs in once, so that what is wrong with either is told at once; an
    /// error where that takes longer than ten seconds.
    pub fn open(module: &str, token: &str, pin: &str) -> Result<Self, Pkcs11Error> {
        let opened = Self {
            module: module.to_owned(),
            token: token.to_owned(),
            pin: Zeroizing::new(pin.to_owned()),
            idle: Mutex::default(),
        };
        in_time(module, move || {
            let session = opened.session(false)?;
            opened.give_back(Idle { session, key: None });
            Ok(opened)
        })
    }

    fn session(&self, writable: bool) -> Result<Session, Pkcs11Error> {
        sign_in(&load(&self.module)?, &self.token, &self.pin, writable)
    }

    fn give_back(&self, idle: Idle) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(idle);
    }

    /// Makes a pair in the token under `label`, never to leave it.
    pub fn make(&self, kind: SigningKind, label: &str) -> Result<SigningPublic, Pkcs11Error> {
        let session = self.session(true)?;
        let (mechanism, special) = match kind {
            SigningKind::Rsa(bits) => (
                Mechanism::RsaPkcsKeyPairGen,
                vec![
                    Attribute::ModulusBits(Ulong::from(u64::from(bits))),
                    Attribute::PublicExponent(vec![1, 0, 1]),
                ],
            ),
            SigningKind::P256 => {
                (Mechanism::EccKeyPairGen, vec![Attribute::EcParams(P256.to_vec())])
            }
        };
        let named = [
            Attribute::Token(true),
            Attribute::Label(label.as_bytes().to_vec()),
            Attribute::Id(label.as_bytes().to_vec()),
        ];
        let public = [&named[..], &[Attribute::Verify(true)], &special].concat();
        let secret = [
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
        ];
        let private = [&named[..], &secret].concat();
        let (public, _) = session
            .generate_key_pair(&mechanism, &public, &private)
            .map_err(|error| failed("no key pair can be made", &error))?;
        read_public(&session, kind, public)
    }

    /// Removes the pair of that label from the token, whatever of it is there.
    pub fn remove(&self, label: &str) -> Result<(), Pkcs11Error> {
        let session = self.session(true)?;
        let found = session
            .find_objects(&[Attribute::Label(label.as_bytes().to_vec())])
            .map_err(|error| failed("no key can be found", &error))?;
        found.into_iter().try_for_each(|key| {
            session.destroy_object(key).map_err(|error| failed("the key can't be removed", &error))
        })
    }

    /// Signs `input`: PKCS#1 for RSA, the two numbers one after the other for P-256. A session that
    /// the token has lost is replaced by a new one, once.
    pub fn sign(
        &self,
        kind: SigningKind,
        label: &str,
        input: &[u8],
    ) -> Result<Vec<u8>, Pkcs11Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(idle) = idle
            && let Ok(signature) = self.sign_in_session(idle, kind, label, input)
        {
            return Ok(signature);
        }
        let fresh = Idle { session: self.session(false)?, key: None };
        self.sign_in_session(fresh, kind, label, input)
    }

    fn sign_in_session(
        &self,
        mut idle: Idle,
        kind: SigningKind,
        label: &str,
        input: &[u8],
    ) -> Result<Vec<u8>, Pkcs11Error> {
        let key = match &idle.key {
            Some((known, key)) if known == label => *key,
            _ => find_private(&idle.session, label)?,
        };
        idle.key = Some((label.to_owned(), key));
        let signature = match kind {
            SigningKind::Rsa(_) => idle.session.sign(&Mechanism::Sha256RsaPkcs, key, input),
            SigningKind::P256 => idle.session.sign(&Mechanism::Ecdsa, key, &Sha256::digest(input)),
        };
        let signature = signature.map_err(|error| failed("the token does not sign", &error))?;
        self.give_back(idle);
        Ok(signature)
    }
}

fn find_private(session: &Session, label: &str) -> Result<ObjectHandle, Pkcs11Error> {
    let template =
        [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(label.as_bytes().to_vec())];
    let found =
        session.find_objects(&template).map_err(|error| failed("no key can be found", &error))?;
    match found.as_slice() {
        [key] => Ok(*key),
        [] => Err(Pkcs11Error(format!("the token has no private key `{label}`"))),
        _ => Err(Pkcs11Error(format!("the token has several private keys `{label}`"))),
    }
}

fn read_public(
    session: &Session,
    kind: SigningKind,
    key: ObjectHandle,
) -> Result<SigningPublic, Pkcs11Error> {
    let asked = match kind {
        SigningKind::Rsa(_) => vec![AttributeType::Modulus, AttributeType::PublicExponent],
        SigningKind::P256 => vec![AttributeType::EcPoint],
    };
    let attributes = session
        .get_attributes(key, &asked)
        .map_err(|error| failed("the public key can't be read", &error))?;
    let public = match attributes.as_slice() {
        [Attribute::Modulus(n), Attribute::PublicExponent(e)] => {
            Some(SigningPublic::Rsa { n: stripped(n), e: stripped(e) })
        }
        // The point may stand in a DER octet string, or by itself: it is what ends both.
        [Attribute::EcPoint(point)] => point
            .len()
            .checked_sub(POINT_BYTES)
            .map(|start| &point[start..])
            .filter(|point| point[0] == 4)
            .map(|point| SigningPublic::P256 { x: point[1..33].to_vec(), y: point[33..].to_vec() }),
        _ => None,
    };
    public.ok_or_else(|| Pkcs11Error("the public key can't be read".to_owned()))
}

fn stripped(number: &[u8]) -> Vec<u8> {
    number.iter().copied().skip_while(|byte| *byte == 0).collect()
}
