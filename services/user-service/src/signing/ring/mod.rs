//! The ring of service keys: next, current, and those that still verify.
//!
//! It stands in a table, for all replicas alike, and each keeps what it read last: a change wakes
//! them as a revocation does, and polling stands behind it. Who configures PEM files has a ring of
//! files instead, read once.

mod decide;
mod keep;
mod pem_files;
mod readiness;
pub mod rotate;
mod snapshot;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use common::clock::Clock;
use common::database::Pool;
use common::tasks::Tasks;
use serde_json::Value;
use token_verifier::Key;
use tokio::sync::{Mutex, Notify};
use tokio::time::timeout;
use vault_crypto::Keyring;

use self::readiness::Turn;
use self::rotate::Rules;
use self::snapshot::Snapshot;
use super::signer::Signer;
use super::store::KeyStores;
use crate::config::{Settings, SigningMode};
use crate::error::Error;
use crate::models::service_key;

/// What was read longer ago is read again before it is used. So long a key may verify beyond its
/// end, when its last token is past.
const FRESH: Duration = Duration::from_secs(5);

/// How long a signature waits for a key that is being made, as at the first start.
const PATIENCE: Duration = Duration::from_secs(10);

/// The ring; clones share everything.
#[derive(Clone)]
pub(super) struct ServiceRing {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Clock,
    kept: RwLock<Kept>,
    /// None: the ring is in files.
    table: Option<Table>,
}

/// What was read, and when that began.
struct Kept {
    read_at: Option<Instant>,
    snapshot: Arc<Snapshot>,
    /// Whether there has been a key that signs.
    has_signed: bool,
}

/// The ring as the database has it.
struct Table {
    database: Pool,
    stores: KeyStores,
    rules: Rules,
    /// Whether these keys sign here: then the ring is never left empty.
    signs: bool,
    /// Held while the table is read, so that many askers cost one reading.
    reading: Mutex<()>,
    wake: Arc<Notify>,
    /// Told each time that what keeps the ring has looked at it.
    turned: Notify,
    /// How that went.
    turn: std::sync::Mutex<Turn>,
}

impl ServiceRing {
    /// Reads the files that the settings name, or begins to follow the table.
    pub(super) fn start(
        settings: &Settings,
        database: Pool,
        keyring: Keyring,
        clock: Clock,
        tasks: &Tasks,
    ) -> Result<Self, String> {
        let signing = &settings.signing;
        if signing.is_in_files() {
            let snapshot = pem_files::read(signing)?;
            return Ok(Self::with(clock, snapshot, None));
        }
        let wake = Arc::new(Notify::new());
        let table = Table {
            database,
            stores: KeyStores::new(signing, keyring)?,
            rules: Rules::of(settings),
            signs: signing.mode == SigningMode::Service,
            reading: Mutex::new(()),
            wake: Arc::clone(&wake),
            turned: Notify::new(),
            turn: std::sync::Mutex::new(Turn::new(None)),
        };
        let ring = Self::with(clock, Snapshot::default(), Some(table));
        let every = signing.rotate_every.as_delta();
        let kept = Arc::downgrade(&ring.inner);
        tasks.run("service_keys", move || keep::run(kept.clone(), Arc::clone(&wake), every));
        Ok(ring)
    }

    fn with(clock: Clock, snapshot: Snapshot, table: Option<Table>) -> Self {
        let has_signed = snapshot.signer().is_some();
        let kept = RwLock::new(Kept { read_at: None, snapshot: Arc::new(snapshot), has_signed });
        Self { inner: Arc::new(Inner { clock, kept, table }) }
    }

    /// The key that signs; where none can, 503.
    pub(super) async fn signer(&self) -> Result<Arc<Signer>, Error> {
        let mut snapshot = self.inner.fresh().await?;
        if snapshot.signer().is_none() {
            snapshot = self.inner.look_again().await;
        }
        snapshot
            .signer()
            .ok_or_else(|| Error::SignerUnavailable("no service key that can be used".to_owned()))
    }

    /// The public JWK of the key that signs.
    pub(super) async fn current_public(&self) -> Result<Option<Value>, Error> {
        Ok(self.inner.fresh().await?.current().cloned())
    }

    /// What the JWKS shows of the ring, the current key first.
    pub(super) async fn list_public(&self) -> Result<Vec<Value>, Error> {
        Ok(self.inner.fresh().await?.keys().iter().map(|key| key.jwk.clone()).collect())
    }

    /// The key `kid` of the ring, public JWK and parsed.
    pub(super) async fn find(&self, kid: &str) -> Result<Option<(Value, Key)>, Error> {
        // Keys of devices are asked for far more often, and must not wait for this table.
        let (read_at, snapshot) = self.inner.kept();
        if read_at.is_some() && !snapshot.contains(kid) {
            return Ok(None);
        }
        let snapshot = self.inner.fresh().await?;
        let found = snapshot.keys().iter().find(|key| key.is_called(kid));
        Ok(found.map(|key| (key.jwk.clone(), key.key.clone())))
    }

    /// Has the table read again, where it may concern us.
    pub(super) fn wake(&self) {
        if let Some(table) = &self.inner.table
            && (table.signs || !self.inner.kept().1.is_empty())
        {
            table.wake.notify_one();
        }
    }

    /// `kid` was revoked: it is not waited for the table to say so.
    pub(super) fn forget(&self, kid: &str) {
        let mut kept = self.inner.kept.write().unwrap_or_else(PoisonError::into_inner);
        if self.inner.table.is_some() && kept.snapshot.contains(kid) {
            kept.snapshot = Arc::new(kept.snapshot.without(kid));
            kept.read_at = None;
        }
    }
}

impl Inner {
    fn kept(&self) -> (Option<Instant>, Arc<Snapshot>) {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        (kept.read_at, Arc::clone(&kept.snapshot))
    }

    /// Whether there has been a key that signs since the start.
    fn has_signed(&self) -> bool {
        self.kept.read().unwrap_or_else(PoisonError::into_inner).has_signed
    }

    /// The ring as it was some seconds ago at most.
    async fn fresh(&self) -> Result<Arc<Snapshot>, Error> {
        let (read_at, snapshot) = self.kept();
        let is_fresh = read_at.is_some_and(|at| at.elapsed() < FRESH);
        if is_fresh || self.table.is_none() {
            return Ok(snapshot);
        }
        self.read(Instant::now()).await
    }

    /// The ring after what keeps it has looked again, and made the keys that it lacked.
    async fn look_again(&self) -> Arc<Snapshot> {
        if let Some(table) = &self.table {
            let turned = table.turned.notified();
            table.wake.notify_one();
            // In vain where none can be made now.
            let _ = timeout(PATIENCE, turned).await;
        }
        self.kept().1
    }

    /// The ring as a reading that began at `since` or later has it.
    async fn read(&self, since: Instant) -> Result<Arc<Snapshot>, Error> {
        let Some(table) = &self.table else { return Ok(self.kept().1) };
        let _one = table.reading.lock().await;
        let (read_at, before) = self.kept();
        if read_at.is_some_and(|at| at >= since) {
            return Ok(before);
        }
        let began = Instant::now();
        let mut connection = table.database.get().await?;
        // Whoever retired a key said by the database's clock until when: ours may go wrong.
        let now = service_key::now(&mut connection, &self.clock).await?;
        let keys = service_key::list_published(&mut connection, now).await?;
        drop(connection);
        let snapshot = Arc::new(Snapshot::of(&keys, &before, &table.stores));
        snapshot.tell_change(&before);
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        // What was forgotten meanwhile may stand in what was read.
        if Arc::ptr_eq(&kept.snapshot, &before) {
            let has_signed = kept.has_signed || snapshot.signer().is_some();
            *kept = Kept { read_at: Some(began), snapshot: Arc::clone(&snapshot), has_signed };
        }
        Ok(snapshot)
    }
}
