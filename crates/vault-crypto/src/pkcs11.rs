//! Keys that stand in the configuration only as a PKCS#11 token wrapped them (AES key wrap,
//! RFC 3394): whoever reads the configuration has nothing without the token and its PIN.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use zeroize::Zeroizing;

use crate::cipher::{KEY_BYTES, Key};
use crate::in_time::in_time;
use crate::pkcs11_error::Pkcs11Error;

/// Where the wrapping key is.
#[derive(Clone, Copy)]
pub struct WrappingKeyPlace<'a> {
    /// Path of the PKCS#11 module, a shared library.
    pub module: &'a str,
    /// Label of the token.
    pub token: &'a str,
    /// The user's PIN.
    pub pin: &'a str,
    /// Label of the AES-256 key.
    pub key: &'a str,
}

/// An AES-256 key in a PKCS#11 token that wraps the keys of a ring. Its session ends on drop.
pub struct WrappingKey {
    key: ObjectHandle,
    session: Session,
}

/// Modules by path. A module is initialized once a process, whoever uses it, and finalizing it
/// would end the sessions of all others; so that it stays to the end of the process.
static MODULES: Mutex<BTreeMap<String, Pkcs11>> = Mutex::new(BTreeMap::new());

impl WrappingKey {
    /// Loads the module, signs in to the token and finds the key; an error where that takes longer
    /// than ten seconds.
    pub fn find(place: &WrappingKeyPlace<'_>) -> Result<Self, Pkcs11Error> {
        let [module, token, label] = [place.module, place.token, place.key].map(str::to_owned);
        let pin = Zeroizing::new(place.pin.to_owned());
        in_time(place.module, move || {
            let session = sign_in(&load(&module)?, &token, &pin, false)?;
            Ok(Self { key: find_key(&session, &label)?, session })
        })
    }

    /// Makes a fresh AES-256 key in the token and answers it wrapped, 40 bytes; the key itself
    /// never leaves the token.
    pub fn wrap_new_key(&self) -> Result<Vec<u8>, Pkcs11Error> {
        let session = &self.session;
        let mut template = plain_key();
        template.push(Attribute::ValueLen(length()));
        let fresh = session
            .generate_key(&Mechanism::AesKeyGen, &template)
            .map_err(|error| failed("no key can be made", &error))?;
        let wrapped = session.wrap_key(&Mechanism::AesKeyWrap, self.key, fresh);
        // A session object; it would end with the session anyway.
        let _ = session.destroy_object(fresh);
        wrapped.map_err(|error| failed("the wrapping key does not wrap", &error))
    }

    /// The key inside `wrapped`.
    pub(crate) fn unwrap(&self, wrapped: &[u8]) -> Result<Key, Pkcs11Error> {
        let session = &self.session;
        let handle = session
            .unwrap_key(&Mechanism::AesKeyWrap, self.key, wrapped, &plain_key())
            .map_err(|error| failed("the token does not unwrap it", &error))?;
        let value = session.get_attributes(handle, &[AttributeType::Value]);
        let _ = session.destroy_object(handle);
        let attributes = value.map_err(|error| failed("it can't be read", &error))?;
        let Some(Attribute::Value(value)) = attributes.into_iter().next() else {
            return Err(Pkcs11Error("it can't be read".to_owned()));
        };
        let value = Zeroizing::new(value);
        let bytes = value.as_slice().try_into().map_err(|_| {
            Pkcs11Error(format!("what it unwraps to is not {KEY_BYTES} bytes long"))
        })?;
        Ok(Key::new(bytes))
    }
}

pub(crate) fn load(module: &str) -> Result<Pkcs11, Pkcs11Error> {
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = modules.get(module) {
        return Ok(loaded.clone());
    }
    // A pipe would be waited for, with everybody who is to load anything.
    if std::fs::metadata(module).is_ok_and(|found| !found.is_file()) {
        return Err(Pkcs11Error(format!("the module {module} is no file")));
    }
    let loaded = Pkcs11::new(module)
        .map_err(|_| Pkcs11Error(format!("the module {module} can't be loaded")))?;
    match loaded.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        // By another library of this process.
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(failed("the module can't be initialized", &error)),
    }
    modules.insert(module.to_owned(), loaded.clone());
    Ok(loaded)
}

/// A session of the token's user, in which keys may be made where it is `writable`.
pub(crate) fn sign_in(
    context: &Pkcs11,
    token: &str,
    pin: &str,
    writable: bool,
) -> Result<Session, Pkcs11Error> {
    let slots = context
        .get_slots_with_token()
        .map_err(|error| failed("the tokens can't be listed", &error))?;
    let slot = slots
        .into_iter()
        .find(|slot| context.get_token_info(*slot).is_ok_and(|found| found.label() == token))
        .ok_or_else(|| Pkcs11Error(format!("there is no token `{token}`")))?;
    let opened =
        if writable { context.open_rw_session(slot) } else { context.open_ro_session(slot) };
    let session = opened.map_err(|error| failed("the token opens no session", &error))?;
    match session.login(UserType::User, Some(&AuthPin::new(pin.into()))) {
        // The sign-in is the process's, not the session's.
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
        Err(error) => Err(failed("the token refuses the PIN", &error)),
    }
}

fn find_key(session: &Session, label: &str) -> Result<ObjectHandle, Pkcs11Error> {
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::ValueLen(length()),
        Attribute::Label(label.as_bytes().to_vec()),
    ];
    let found =
        session.find_objects(&template).map_err(|error| failed("no key can be found", &error))?;
    match found.as_slice() {
        [key] => Ok(*key),
        [] => Err(Pkcs11Error(format!("the token has no AES-256 key `{label}`"))),
        _ => Err(Pkcs11Error(format!("the token has several AES-256 keys `{label}`"))),
    }
}

/// A key of this session alone, that may be read and wrapped.
fn plain_key() -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ]
}

fn length() -> cryptoki::types::Ulong {
    cryptoki::types::Ulong::from(KEY_BYTES as u64)
}

/// The module's own name for what went wrong, such as `CKR_PIN_INCORRECT`, where it gives one.
pub(crate) fn failed(what: &str, error: &Error) -> Pkcs11Error {
    match error {
        Error::Pkcs11(code, _) => Pkcs11Error(format!("{what} ({code:?})")),
        _ => Pkcs11Error(what.to_owned()),
    }
}
