//! Refusals and errors, as every answer of this face says them:
//! `{"error": {"kind": "not_found", "message": "...", "request_id": "..."}}`.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;
use vecdb_engine::{Error, ErrorKind};

/// Why a request failed, with the status it is answered by.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) error: Error,
    /// Points that were written before, where a body is written in parts.
    pub(super) written: Option<u64>,
}

/// The result of whatever stands between a request and its answer.
pub(super) type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// What HTTP has a status of its own for. The kind is that of the engine's errors all the same, so that programs
    /// branch on one list.
    pub(super) fn new(status: StatusCode, kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            status,
            error: Error::new(kind, message),
            written: None,
        }
    }

    /// The request is wrong.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::InvalidArgument, message).into()
    }

    pub(super) fn answer(&self, request_id: &str) -> Response<Body> {
        let body = ErrorResponse {
            error: ErrorDetail {
                kind: self.error.kind().name(),
                message: self.error.to_string(),
                request_id,
                written: self.written,
            },
        };
        let mut response = super::answer::json(self.status, &body);
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let wait = self.error.retry_after();
        // A full disk or a database that refuses writes does not mend itself: nobody is told to come again.
        if wait.is_some() || self.error.kind() == ErrorKind::Unavailable {
            // The header counts whole seconds; less than one is rounded up to one.
            let wait = wait.unwrap_or_default();
            let seconds = wait.as_millis().div_ceil(1000).max(1);
            headers.insert(
                header::RETRY_AFTER,
                HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)),
            );
        }
        response
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            status: StatusCode::from_u16(error.kind().http_status())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            error,
            written: None,
        }
    }
}

/// An error.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "error": {
        "kind": "not_found",
        "message": "there is no collection \"product\"",
        "request_id": "5f3a9c1e77d2b048"
    }
})))]
pub(super) struct ErrorResponse<'a> {
    #[serde(borrow)]
    error: ErrorDetail<'a>,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
struct ErrorDetail<'a> {
    /// What a program can branch on: invalid_argument, not_found, already_exists, unavailable, resource_exhausted,
    /// permission_denied, unauthenticated, corrupt, unsupported, poisoned, cancelled, deadline_exceeded or io.
    kind: &'static str,
    /// What was wrong with which value, and what would be right.
    message: String,
    /// Stands in the server's log too.
    request_id: &'a str,
    /// Points that were written before the error, where points were sent as lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    written: Option<u64>,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_waits_in_vain_is_not_told_to_wait() {
        let wait = |error: Error| {
            let answer = Failure::from(error).answer("id");
            let header = answer.headers().get(header::RETRY_AFTER);
            header.map(|value| value.to_str().unwrap().to_owned())
        };
        let error = |kind| Error::new(kind, "for this test");
        let busy = error(ErrorKind::ResourceExhausted);
        let busy = busy.with_retry_after(Duration::from_millis(1_100));
        assert_eq!(wait(busy).as_deref(), Some("2"));
        assert_eq!(wait(error(ErrorKind::Unavailable)).as_deref(), Some("1"));
        for for_good in [ErrorKind::ResourceExhausted, ErrorKind::Poisoned] {
            assert_eq!(wait(error(for_good)), None);
        }
    }
}
