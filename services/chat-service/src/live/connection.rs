use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use actix_ws::{AggregatedMessage, AggregatedMessageStream, Closed, ProtocolError, Session};
use bytestring::ByteString;
use common::settings::Secret;
use token_verifier::{Verified, Verifier};
use tokio::time::{MissedTickBehavior, interval, timeout};
use uuid::Uuid;

use super::PAGE;
use super::close::End;
use super::frame::{ClientFrame, MessageFrame, ServerFrame};
use super::mailbox::{Delivery, Mailbox, Waiting};
use super::places::{Open, Place};
use super::reading::{Reading, Step};
use crate::error::Error;
use crate::models::message::{self, Range};
use crate::models::room;
use crate::state::State;

/// How long a close frame may wait behind what a slow reader has not taken.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);
/// Pings without any sign of life before the peer counts as gone.
const MAX_UNANSWERED: u8 = 2;

/// What actix-ws says, without a kind of its own, of a message that is too large in its pieces.
const TOO_MANY_PIECES: &str = "Exceeded maximum continuation size";

/// One WebSocket: whose, and how far it has come in which rooms.
pub(crate) struct Connection {
    state: web::Data<State>,
    verifier: web::Data<Verifier>,
    session: Session,
    token: Secret,
    caller: Arc<Verified>,
    _place: Place,
    mailbox: Arc<Mailbox>,
    rooms: HashMap<Uuid, Reading>,
    unanswered: u8,
}

impl Connection {
    pub(crate) fn new(
        state: web::Data<State>,
        verifier: web::Data<Verifier>,
        session: Session,
        token: Secret,
        caller: Arc<Verified>,
        place: Place,
    ) -> Self {
        Self {
            state,
            verifier,
            session,
            token,
            caller,
            _place: place,
            mailbox: Arc::default(),
            rooms: HashMap::new(),
            unanswered: 0,
        }
    }

    /// Serves until the client leaves, the token ends or we do, and says so in the close frame.
    pub(crate) async fn serve(mut self, frames: AggregatedMessageStream) {
        let open = Open::count(&self.state.metrics.websockets);
        let (verifier, caller) = (self.verifier.clone(), Arc::clone(&self.caller));
        let draining = self.state.draining.clone();
        // Whatever `run` waits for, even a reader who takes nothing: these two end it.
        let end = tokio::select! {
            biased;
            ended = verifier.until_refused(&caller) => End::from(ended),
            () = draining.cancelled() => End::Draining,
            end = self.run(frames) => end,
        };
        let (code, reason) = end.code_and_reason();
        self.state.metrics.websockets_closed.with_label_values(&[&code.to_string()]).inc();
        tracing::info!(code, reason, "websocket_closed");
        self.rooms.clear();
        drop(open);
        let _gone_already = timeout(CLOSE_TIMEOUT, self.session.close(end.reason())).await;
    }

    async fn run(&mut self, mut frames: AggregatedMessageStream) -> End {
        let mailbox = Arc::clone(&self.mailbox);
        let mut heartbeat = interval(self.state.settings.live.ping_interval.0);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.reset();
        loop {
            let behind = self.rooms.iter().find(|(_, reading)| reading.behind);
            let behind = behind.map(|(room, _)| *room);
            let result = tokio::select! {
                frame = frames.recv() => self.receive(frame).await,
                deliveries = mailbox.take() => self.deliver(deliveries).await,
                Some(room) = std::future::ready(behind) => self.catch_up(room).await,
                _ = heartbeat.tick() => self.check_pulse().await,
            };
            if let Err(end) = result {
                return end;
            }
        }
    }

    async fn receive(
        &mut self,
        frame: Option<Result<AggregatedMessage, ProtocolError>>,
    ) -> Result<(), End> {
        self.unanswered = 0;
        match frame {
            Some(Ok(AggregatedMessage::Text(text))) => match ClientFrame::parse(&text) {
                Some(ClientFrame::Subscribe { room_id, after }) => {
                    self.subscribe(room_id, after).await
                }
                Some(ClientFrame::Unsubscribe { room_id }) => {
                    self.rooms.remove(&room_id);
                    Ok(())
                }
                Some(ClientFrame::Ping) => self.send(ServerFrame::Pong.encode()).await,
                None => self.refuse("invalid_frame", None).await,
            },
            Some(Ok(AggregatedMessage::Binary(_))) => self.refuse("invalid_frame", None).await,
            Some(Ok(AggregatedMessage::Ping(bytes))) => {
                within(self.limit(), self.session.pong(&bytes)).await
            }
            Some(Ok(AggregatedMessage::Pong(_))) => Ok(()),
            Some(Ok(AggregatedMessage::Close(_))) => Err(End::Left),
            Some(Err(ProtocolError::Overflow)) => Err(End::TooLarge),
            Some(Err(ProtocolError::Io(error))) if error.to_string() == TOO_MANY_PIECES => {
                Err(End::TooLarge)
            }
            // Text that is no UTF-8 comes as an error of this kind.
            Some(Err(ProtocolError::Io(error))) if error.kind() == ErrorKind::InvalidData => {
                Err(End::Protocol)
            }
            Some(Err(ProtocolError::Io(_))) | None => Err(End::Lost),
            Some(Err(_)) => Err(End::Protocol),
        }
    }

    async fn subscribe(&mut self, room_id: Uuid, after: Option<i64>) -> Result<(), End> {
        let limit = self.state.settings.live.max_subscriptions;
        if self.rooms.len() >= limit && !self.rooms.contains_key(&room_id) {
            return self.refuse("too_many_subscriptions", Some(room_id)).await;
        }
        // Followed first, asked then: what comes in between arrives in the mailbox.
        let user = self.caller.claims.user_id;
        let subscription = self.state.hub.subscribe(room_id, user, &self.mailbox);
        let Some(last_seq) = self.find_last_seq(room_id).await? else {
            self.rooms.remove(&room_id);
            return self.refuse("room_not_found", Some(room_id)).await;
        };
        self.state.hub.begin_at(room_id, user, last_seq);
        let seq = after.unwrap_or(last_seq);
        self.rooms.insert(room_id, Reading::new(seq, seq < last_seq, subscription));
        self.send(ServerFrame::Subscribed { room_id, seq }.encode()).await
    }

    async fn find_last_seq(&self, room_id: Uuid) -> Result<Option<i64>, Error> {
        let mut turn = self.state.hub.connect().await?;
        Ok(room::find_last_seq(&mut turn.connection, room_id, self.caller.claims.user_id).await?)
    }

    async fn deliver(&mut self, waiting: Waiting) -> Result<(), End> {
        for (room_id, present) in waiting.present {
            let Some(reading) = self.rooms.get_mut(&room_id) else { continue };
            for frame in reading.tell(room_id, present) {
                self.send(frame).await?;
            }
        }
        for (room_id, delivery) in waiting.rooms {
            match (self.rooms.get_mut(&room_id), delivery) {
                (None, _) => {}
                (Some(reading), Delivery::Check) => reading.behind = true,
                // The page that is still to be read has these messages in it.
                (Some(reading), Delivery::Messages(_)) if reading.behind => {}
                (Some(_), Delivery::Messages(frames)) => {
                    self.pass_on(room_id, frames, Source::Live).await?;
                }
            }
        }
        Ok(())
    }

    /// Reads one page, if the user is still a member; so pings and other rooms have their turn
    /// between pages.
    async fn catch_up(&mut self, room_id: Uuid) -> Result<(), End> {
        let Some(reading) = self.rooms.get_mut(&room_id) else { return Ok(()) };
        let range = Range::After(reading.seq);
        reading.behind = false;
        let Some(messages) = self.list_messages(room_id, range).await? else {
            self.rooms.remove(&room_id);
            return self.refuse("room_not_found", Some(room_id)).await;
        };
        let full = i64::try_from(messages.len()).is_ok_and(|count| count >= PAGE);
        let frames = messages.into_iter().map(MessageFrame::from).collect();
        self.pass_on(room_id, frames, Source::CatchUp).await?;
        if let Some(reading) = self.rooms.get_mut(&room_id) {
            reading.behind |= full;
        }
        Ok(())
    }

    async fn list_messages(
        &self,
        room_id: Uuid,
        range: Range,
    ) -> Result<Option<Vec<message::Message>>, Error> {
        let user = self.caller.claims.user_id;
        let mut turn = self.state.hub.connect().await?;
        Ok(message::list_for(&mut turn.connection, user, room_id, range, PAGE).await?)
    }

    async fn pass_on(
        &mut self,
        room_id: Uuid,
        frames: Vec<MessageFrame>,
        source: Source,
    ) -> Result<(), End> {
        for frame in frames {
            let Some(reading) = self.rooms.get_mut(&room_id) else { break };
            match reading.step(frame.seq) {
                Step::Skip => continue,
                Step::LookUp if source == Source::Live => {
                    reading.behind = true;
                    break;
                }
                // What the database does not have between two messages is not to be had.
                Step::Send | Step::LookUp => reading.seq = frame.seq,
            }
            self.send(frame.text).await?;
            self.state.metrics.messages_delivered.with_label_values(&[source.as_str()]).inc();
        }
        Ok(())
    }

    /// Between revocations and expiry, which end a connection by themselves: is anybody there,
    /// and can the token still be judged?
    async fn check_pulse(&mut self) -> Result<(), End> {
        if self.unanswered >= MAX_UNANSWERED {
            return Err(End::Lost);
        }
        self.unanswered += 1;
        self.verifier.verify(self.token.expose()).await?;
        within(self.limit(), self.session.ping(b"")).await
    }

    async fn refuse(&mut self, code: &'static str, room_id: Option<Uuid>) -> Result<(), End> {
        self.send(ServerFrame::Error { code, room_id }.encode()).await
    }

    async fn send(&mut self, text: ByteString) -> Result<(), End> {
        within(self.limit(), self.session.text(text)).await
    }

    fn limit(&self) -> Duration {
        self.state.settings.live.send_timeout.0
    }
}

async fn within(
    limit: Duration,
    sending: impl Future<Output = Result<(), Closed>>,
) -> Result<(), End> {
    match timeout(limit, sending).await {
        Ok(sent) => Ok(sent?),
        Err(_) => Err(End::TooSlow),
    }
}

/// Where a message to be sent comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Live,
    CatchUp,
}

impl Source {
    fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::CatchUp => "catch_up",
        }
    }
}
