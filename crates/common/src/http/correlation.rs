use std::future::Future;

use actix_web::dev::ServiceRequest;
use tracing::Instrument as _;
use uuid::Uuid;

use super::RequestId;

/// The header that names a request's place in a trace (W3C Trace Context, section 3.2).
const TRACEPARENT: &str = "traceparent";
const REQUEST_ID: &str = "x-request-id";

tokio::task_local! {
    static CURRENT: Correlation;
}

/// What tells that lines and calls belong together: the id of a request, and its trace.
#[derive(Clone, Debug)]
pub struct Correlation {
    request_id: String,
    trace_id: String,
    span_id: String,
    flags: String,
}

impl Correlation {
    /// Of a request that comes in; its trace is taken over where well-formed, else begun.
    pub(super) fn of(request: &ServiceRequest, id: &RequestId) -> Self {
        let mut given = request.headers().get_all(TRACEPARENT);
        let only = given.next().filter(|_| given.next().is_none());
        let taken = only.and_then(|value| parse(value.to_str().ok()?));
        // Whoever began no trace records none.
        let (trace_id, flags) = taken.unwrap_or_else(|| (random(32), "00".to_owned()));
        Self { request_id: id.0.clone(), trace_id, span_id: random(16), flags }
    }

    /// Of the request that the running task serves; none where it serves none.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// The trace, 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        &self.trace_id
    }

    /// The headers of a call that the request causes at another service; none where nobody asked.
    #[must_use]
    pub fn headers() -> Vec<(&'static str, String)> {
        Self::current().map_or_else(Vec::new, |current| {
            let Self { request_id, trace_id, span_id, flags } = current;
            let traceparent = format!("00-{trace_id}-{span_id}-{flags}");
            vec![(REQUEST_ID, request_id), (TRACEPARENT, traceparent)]
        })
    }

    /// Runs `work` as part of the request.
    pub(super) async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }
}

/// `work` as part of the request that causes it, for a task of its own: calls name that request, and
/// so do lines of the log.
pub fn correlated<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let (current, work) = (Correlation::current(), work.in_current_span());
    async move {
        match current {
            Some(current) => current.scope(work).await,
            None => work.await,
        }
    }
}

/// Trace id and flags of a `traceparent`; none where it is malformed, in which case a new trace is
/// to be begun (section 4.3).
fn parse(text: &str) -> Option<(String, String)> {
    let hex = |part: &&str, length: usize| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let mut parts = text.split('-');
    let version = parts.next().filter(|part| hex(part, 2) && *part != "ff")?;
    let nonzero = |part: &&str| part.bytes().any(|byte| byte != b'0');
    let trace_id = parts.next().filter(|part| hex(part, 32) && nonzero(part))?;
    parts.next().filter(|part| hex(part, 16) && nonzero(part))?;
    let flags = parts.next().filter(|part| hex(part, 2))?;
    // Later versions may say more, of which we know nothing; the flags of ours are one bit.
    let whole = version != "00" || parts.next().is_none();
    let sampled = flags.ends_with(['1', '3', '5', '7', '9', 'b', 'd', 'f']);
    whole.then(|| (trace_id.to_owned(), if sampled { "01" } else { "00" }.to_owned()))
}

/// The first of 32 random hexadecimal digits, never all zero: the thirteenth tells the kind.
fn random(digits: usize) -> String {
    let mut text = Uuid::new_v4().simple().to_string();
    text.truncate(digits);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_trace_is_taken_over_where_well_formed_alone() {
        let taken = |flags: &str| Some((TRACE.to_owned(), flags.to_owned()));
        let head = format!("{TRACE}-00f067aa0ba902b7");
        assert_eq!(parse(&format!("00-{head}-01")), taken("01"));
        assert_eq!(parse(&format!("00-{head}-fe")), taken("00"));
        assert_eq!(parse(&format!("cc-{head}-01-what-may-come")), taken("01"));
        for bad in [
            String::new(),
            head.clone(),
            format!("ff-{head}-01"),
            format!("00-{head}-01-more"),
            format!("00-{head}"),
            format!("00-{}-01", head.to_uppercase()),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}0-00f067aa0ba902b7-01"),
        ] {
            assert_eq!(parse(&bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn a_task_that_a_request_causes_names_it_and_others_do_not() {
        let current = Correlation {
            request_id: "mine".to_owned(),
            trace_id: TRACE.to_owned(),
            span_id: random(16),
            flags: "01".to_owned(),
        };
        let other = current.clone().scope(async {
            let own = tokio::spawn(correlated(async { Correlation::headers() })).await.unwrap();
            assert_eq!(own, Correlation::headers());
            assert_eq!(own[0], ("x-request-id", "mine".to_owned()));
            assert_eq!(parse(&own[1].1), Some((TRACE.to_owned(), "01".to_owned())));
            tokio::spawn(async { Correlation::headers() }).await.unwrap()
        });
        assert!(other.await.is_empty());
    }
}
