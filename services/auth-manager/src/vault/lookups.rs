//! What draws find in the database: one query for all that come while the one before is under way.
//!
//! A query begins after every draw that it answers, so none is told what was true before it came;
//! and the busier the service, the more draws share one round trip.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use common::database::{Pool, PoolError, is_unavailable};
use common::http::Problem;
use common::tasks::Tasks;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::timeout;
use uuid::Uuid;

use crate::error::Error;
use crate::models::drawn_token::DrawnToken;
use crate::models::grant::GrantHead;
use crate::models::persistent_token;

/// Draws in one query at most.
const BATCH: usize = 128;
/// How long one query may take: it reads a few rows by their keys.
const QUERY: Duration = Duration::from_secs(2);
/// How long a draw waits in all, those before it included.
const PATIENCE: Duration = Duration::from_secs(5);

/// The grant behind an id and the access token last drawn from it; none: there is no such id.
type Found = Option<(GrantHead, Option<DrawnToken>)>;

/// Looks up for all draws of a process; clones share everything.
#[derive(Clone)]
pub(super) struct Lookups(mpsc::Sender<Asked>);

struct Asked {
    id: Uuid,
    scope: String,
    answer: oneshot::Sender<Result<Found, Problem>>,
}

impl Lookups {
    /// Starts to answer; ends with its last clone.
    pub(super) fn start(pool: Pool, tasks: &Tasks) -> Self {
        let (sender, receiver) = mpsc::channel(BATCH);
        let receiver = Arc::new(Mutex::new(receiver));
        tasks.run("lookups", move || run(pool.clone(), Arc::clone(&receiver)));
        Self(sender)
    }

    /// What there is for `id` and `scope`. A problem with the database is everybody's in the query,
    /// and already logged.
    pub(super) async fn find(&self, id: Uuid, scope: &str) -> Result<Found, Error> {
        let ended = || Error::Internal("the look-up of a draw broke off".to_owned());
        let (answer, answered) = oneshot::channel();
        let asked = Asked { id, scope: scope.to_owned(), answer };
        let found = timeout(PATIENCE, async {
            self.0.send(asked).await.map_err(|_| ended())?;
            answered.await.map_err(|_| ended())
        });
        Ok(found.await.map_err(|_| PoolError::TimedOut)???)
    }
}

/// The receiver outlives a panic, which costs those their answers who waited for one.
async fn run(pool: Pool, receiver: Arc<Mutex<mpsc::Receiver<Asked>>>) {
    let mut receiver = receiver.lock().await;
    let mut batch = Vec::with_capacity(BATCH);
    while receiver.recv_many(&mut batch, BATCH).await > 0 {
        answer(&pool, &mut batch).await;
    }
}

/// Answers and empties `batch`.
async fn answer(pool: &Pool, batch: &mut Vec<Asked>) {
    // Nobody waits any more for those whose connection ended.
    batch.retain(|asked| !asked.answer.is_closed());
    let mut found = find_all(pool, batch).await;
    if matches!(&found, Err(Error::Database(error)) if is_unavailable(error)) {
        // That connection is gone; the next one may be well.
        found = find_all(pool, batch).await;
    }
    let found = found.map_err(|error| error.problem());
    for Asked { id, scope, answer } in batch.drain(..) {
        let own = found.as_ref().map(|found| {
            let (head, drawn) = found.get(&id)?;
            Some((head.clone(), drawn.get(&scope).cloned()))
        });
        // Whoever asked may have gone.
        let _ = answer.send(own.map_err(Clone::clone));
    }
}

/// Heads by id, with what was drawn by scope.
async fn find_all(
    pool: &Pool,
    batch: &[Asked],
) -> Result<HashMap<Uuid, (GrantHead, HashMap<String, DrawnToken>)>, Error> {
    let ids: BTreeSet<_> = batch.iter().map(|asked| asked.id).collect();
    let scopes: BTreeSet<_> = batch.iter().map(|asked| asked.scope.as_str()).collect();
    let mut connection = pool.get().await?;
    let listed = persistent_token::list_for_draws(&mut connection, ids, scopes);
    let listed = timeout(QUERY, listed).await;
    let rows = connection.answered(listed)?;
    let mut found = HashMap::<_, (GrantHead, HashMap<_, _>)>::new();
    for (id, head, drawn) in rows {
        let (_, by_scope) = found.entry(id).or_insert_with(|| (head, HashMap::new()));
        by_scope.extend(drawn.map(|drawn| (drawn.scope.clone(), drawn)));
    }
    Ok(found)
}
