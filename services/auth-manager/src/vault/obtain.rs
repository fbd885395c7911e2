//! The way to the provider: one caller of all processes takes the lease on the grant and asks; the
//! others look again until what it obtained is stored.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::draw::{COME_BACK, Draws, Flown};
use super::permission::refuse_ended;
use super::refresh::Refreshed;
use super::scope::Scope;
use crate::error::Error;
use crate::models::grant::GrantHead;

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

impl Draws {
    /// Obtains an access token by this or another process; `head` is what the caller saw of the
    /// grant.
    pub(super) async fn obtain(
        &self,
        mut head: GrantHead,
        scope: &Scope,
        min_ttl: Duration,
    ) -> Result<Flown, Error> {
        let need = self.need(min_ttl);
        let until = Instant::now() + self.tools.settings.wait.0;
        let (mut pause, mut waited) = (FIRST_PAUSE, false);
        loop {
            refuse_ended(&head)?;
            if let Some(lease) = self.take_lease(&head).await? {
                match self.refresh(&lease, scope).await? {
                    Refreshed::Obtained(token) => return Ok(Flown { token, obtained: true }),
                    Refreshed::Overtaken => {}
                }
            } else if !std::mem::replace(&mut waited, true) {
                self.count_lease("waited");
            }
            if Instant::now() + pause >= until {
                return Err(Error::ProviderUnavailable(COME_BACK));
            }
            sleep(pause.mul_f64(rand::random_range(0.5..=1.0))).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            let stored;
            (head, stored) = self.look(head.id, scope).await?;
            refuse_ended(&head)?;
            if let Some(token) = self.open_fresh(&head, stored, need) {
                return Ok(Flown { token, obtained: false });
            }
        }
    }
}
