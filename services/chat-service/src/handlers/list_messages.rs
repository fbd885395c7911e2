use actix_web::{get, web};
use common::http::{ErrorBody, Problem, Query, SegmentPath};
use common::paging::{Page, PageQuery};
use serde::{Deserialize, Serialize};
use token_verifier::AuthenticatedUser;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::MessageView;
use crate::error::Error;
use crate::models::message::{self, Message, Range};
use crate::state::State;

/// Which messages: backwards from `before`, or forwards from `after`.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct HistoryQuery {
    /// `next_before` of the last answer; absent for the newest page.
    before: Option<String>,
    /// Messages after this number, oldest first; not together with `before`.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// Messages wanted, 1 to 200; 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// A page of messages.
#[derive(Serialize, ToSchema)]
pub(crate) struct History {
    room_id: Uuid,
    /// Who is asking.
    user_id: Uuid,
    messages: Vec<MessageView>,
    /// Give this as `before` for the next page; null at the end, and with `after`.
    #[schema(example = "41")]
    next_before: Option<String>,
}

impl HistoryQuery {
    fn parse(self) -> Result<(Range, i64), Problem> {
        let page = PageQuery { before: self.before, limit: self.limit };
        let limit = page.limit()?;
        let range = match (page.before()?, self.after) {
            (None, None) => Range::Newest,
            (Some(seq), None) => Range::Before(seq),
            (None, Some(seq)) if seq >= 0 => Range::After(seq),
            (None, Some(_)) => {
                return Err(Problem::invalid_field("after", "`after` must not be negative"));
            }
            (Some(_), Some(_)) => {
                let message = "give either `before` or `after`";
                return Err(Problem::invalid_field("after", message));
            }
        };
        Ok((range, limit))
    }
}

/// Read a room's messages, newest first or, after a given one, oldest first
#[utoipa::path(
    tag = "messages",
    params(("room_id" = Uuid, Path, description = "The room"), HistoryQuery),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "A page of messages", body = History),
        (status = 400, description = "`invalid_request`", body = ErrorBody),
        (status = 401, description = "`unauthorized` or `invalid_token`", body = ErrorBody),
        (status = 404, description = "`room_not_found`", body = ErrorBody),
        (status = 503, description = "`verifier_not_ready` or `database_unavailable`",
            body = ErrorBody),
    ),
)]
#[get("/api/messages/{room_id}")]
pub(crate) async fn list_messages(
    state: web::Data<State>,
    user: AuthenticatedUser,
    SegmentPath(room_id): SegmentPath<Uuid>,
    Query(query): Query<HistoryQuery>,
) -> Result<web::Json<History>, Error> {
    let room_id = room_id.ok_or(Error::RoomNotFound)?;
    let user_id = user.user_id();
    let (range, limit) = query.parse()?;
    let mut connection = state.pool.get().await?;
    let rows = message::list_for(&mut connection, user_id, room_id, range, limit + 1).await?;
    let rows = rows.ok_or(Error::RoomNotFound)?;
    let page = Page::from_rows(rows, limit, |row: &Message| row.seq, MessageView::from);
    let backwards = !matches!(range, Range::After(_));
    let next_before = page.next_before.filter(|_| backwards);
    Ok(web::Json(History { room_id, user_id, messages: page.items, next_before }))
}
