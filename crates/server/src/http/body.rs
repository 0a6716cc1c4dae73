//! Bodies of requests: read within limits of size and time, then from JSON to a type.

use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::BytesMut;
use http_body::Body as _;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tower::BoxError;
use vecdb_engine::{Error, ErrorKind, Result};

use super::answer;
use super::failure::{Failure, Outcome};
use crate::config::nearest;
use crate::gateway::{Gateway, Intake, Meter};

/// A body whose sender pauses for longer than this is not waited for.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What a body says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentType {
    /// One JSON value.
    Json,
    /// JSON values, one a line.
    Lines,
    /// Nothing is said.
    Missing,
}

impl ContentType {
    /// # Errors
    /// 415 for all that is not JSON or is compressed.
    pub(super) fn of(headers: &HeaderMap) -> Outcome<Self> {
        let encoding = headers.get(header::CONTENT_ENCODING);
        if let Some(encoding) = encoding.filter(|encoding| *encoding != "identity") {
            return Err(unsupported(format!(
                "content-encoding {} is not supported; send the body as it is",
                shown(encoding.as_bytes())
            )));
        }
        let Some(value) = headers.get(header::CONTENT_TYPE) else {
            return Ok(Self::Missing);
        };
        let text = value.to_str().unwrap_or_default();
        let media_type = text.split(';').next().unwrap_or_default().trim();
        match media_type.to_ascii_lowercase().as_str() {
            answer::JSON => Ok(Self::Json),
            answer::LINES => Ok(Self::Lines),
            _ => Err(unsupported(format!(
                "content-type {} is not supported; send application/json (points also as application/x-ndjson)",
                shown(value.as_bytes())
            ))),
        }
    }
}

impl ContentType {
    /// A body must say that it is JSON: browsers send text of other sites without asking, but not JSON.
    pub(super) fn must_be_json(self, body: &[u8]) -> Outcome<()> {
        match self {
            Self::Json => Ok(()),
            Self::Missing if body.is_empty() => Ok(()),
            Self::Missing => Err(unsupported(
                "the body has no content-type; send content-type: application/json".to_owned(),
            )),
            Self::Lines => Err(unsupported(
                "only points are taken as lines; send application/json".to_owned(),
            )),
        }
    }
}

fn unsupported(message: String) -> Failure {
    Failure::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorKind::InvalidArgument,
        message,
    )
}

fn shown(value: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(value).chars().take(80).collect();
    format!("{text:?}")
}

/// A body that comes in piece by piece. What has come counts against the memory for requests.
pub(super) struct Incoming {
    body: Intake<Body>,
    deadline: Option<Instant>,
}

impl Incoming {
    pub(super) fn new(gateway: &Gateway, body: Body, deadline: Option<Instant>) -> Self {
        Self {
            body: gateway.intake(body),
            deadline,
        }
    }

    /// Holds the room of what was read until it is taken.
    pub(super) fn meter(&self) -> Meter {
        self.body.meter()
    }

    /// The next piece; none at the end.
    pub(super) async fn next(&mut self) -> Outcome<Option<Bytes>> {
        let patience = Instant::now() + PAUSE_MAX;
        let until = self
            .deadline
            .map_or(patience, |deadline| deadline.min(patience));
        let piece = async {
            while let Some(frame) = self.body.frame().await {
                if let Ok(piece) = frame?.into_data() {
                    return Ok(Some(piece));
                }
            }
            Ok(None)
        };
        match tokio::time::timeout_at(until.into(), piece).await {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(error)) => Err(broken_off(error)),
            Err(_) => Err(Error::new(
                ErrorKind::DeadlineExceeded,
                "the body did not arrive within the time limit of the call",
            )
            .into()),
        }
    }

    /// The body as a whole, of at most `bytes_max`.
    pub(super) async fn whole(&mut self, bytes_max: usize) -> Outcome<Bytes> {
        if self.body.size_hint().lower() > bytes_max as u64 {
            return Err(too_large(bytes_max));
        }
        let Some(first) = self.next().await? else {
            return Ok(Bytes::new());
        };
        let mut length = first.len();
        // Most bodies are one piece, which is not copied.
        let mut joined: Option<BytesMut> = None;
        while length <= bytes_max
            && let Some(piece) = self.next().await?
        {
            length += piece.len();
            joined
                .get_or_insert_with(|| BytesMut::from(first.as_ref()))
                .extend_from_slice(&piece);
        }
        if length > bytes_max {
            return Err(too_large(bytes_max));
        }
        Ok(joined.map_or(first, BytesMut::freeze))
    }
}

fn broken_off(error: BoxError) -> Failure {
    match error.downcast::<Error>() {
        Ok(refusal) => (*refusal).into(),
        Err(error) => Failure::invalid(format!("the body broke off: {error}")),
    }
}

fn too_large(bytes_max: usize) -> Failure {
    Failure::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::InvalidArgument,
        format!(
            "the body is larger than the {bytes_max} bytes of limits.request_bytes_max; \
             send several requests, or points as application/x-ndjson"
        ),
    )
}

/// Reads a body as JSON.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| {
        let message = explain::<T>(body, &error).unwrap_or_else(|| error.to_string());
        Error::new(ErrorKind::InvalidArgument, message)
    })
}

/// Reads the body once more, to say where in it the error is: keeping track of that costs time that sound bodies should
/// not take.
fn explain<T: DeserializeOwned>(body: &[u8], error: &serde_json::Error) -> Option<String> {
    if !error.is_data() {
        return Some(format!("the body is not valid JSON: {error}"));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let located = serde_path_to_error::deserialize::<_, T>(&mut json).err()?;
    let path = located.path().to_string();
    let what = with_nearest(located.inner().to_string());
    Some(match path.as_str() {
        "." => format!("the body: {what}"),
        path => format!("{path}: {what}"),
    })
}

/// Adds the nearest known name where serde's message lists the known ones.
pub(super) fn with_nearest(message: String) -> String {
    let starts = ["unknown field `", "unknown variant `"];
    let Some(at) = starts.iter().find_map(|start| message.find(start)) else {
        return message;
    };
    let (_, listed) = message.split_at(at);
    let mut names = listed.split('`').skip(1).step_by(2);
    let unknown = names.next().unwrap_or_default();
    match nearest(unknown, names) {
        Some(near) => format!("did you mean `{near}`? {message}"),
        None => message,
    }
}
