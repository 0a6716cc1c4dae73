//! Answers.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use vecdb_engine::{Error, ErrorKind, Result};

/// The JSON text of an answer.
pub(super) fn text(answer: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(answer).map_err(|error| {
        Error::new(
            ErrorKind::Io,
            format!("the answer cannot be written as JSON: {error}"),
        )
    })
}

/// An answer of this content type.
pub(super) fn of_type(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Body>,
) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A JSON answer from what can always be written: no maps with keys that are no text.
pub(super) fn json(status: StatusCode, answer: &impl Serialize) -> Response<Body> {
    of_type(status, JSON, text(answer).unwrap_or_default())
}

pub(super) const JSON: &str = "application/json";
pub(super) const LINES: &str = "application/x-ndjson";
