//! Why a call failed.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use tonic::{Code, Status};

/// Why a call failed: what the server said, or why it could not be asked.
#[derive(Clone, Debug)]
pub struct ClientError {
    status: Status,
}

impl ClientError {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self::of(Status::new(code, message))
    }

    pub(crate) fn of(status: Status) -> Self {
        Self { status }
    }

    /// The error behind a status that the transport made because the connection to `address` failed.
    pub(crate) fn unreachable(address: &str, status: &Status) -> Self {
        let mut cause: &dyn Error = status;
        while let Some(source) = cause.source() {
            cause = source;
        }
        Self::new(
            Code::Unavailable,
            format!("no answer from {address}: {cause}"),
        )
    }

    /// The stable name of its kind: `not_found`, `invalid_argument`, `unavailable`, ...
    pub fn kind(&self) -> &str {
        vecdb_protocol::kind_name(&self.status)
    }

    /// What was wrong, for people.
    pub fn message(&self) -> &str {
        match self.status.message() {
            "" => self.status.code().description(),
            message => message,
        }
    }

    /// How long the server asks to wait before another try, where it does.
    pub fn retry_after(&self) -> Option<Duration> {
        vecdb_protocol::retry_after(&self.status)
    }

    /// Under which id the server logged the call, where it answered.
    pub fn request_id(&self) -> Option<&str> {
        self.status.metadata().get("x-request-id")?.to_str().ok()
    }

    /// The gRPC status.
    pub fn status(&self) -> &Status {
        &self.status
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl Error for ClientError {}
