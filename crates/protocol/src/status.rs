//! What a status says beyond its code and message, in its metadata.

use std::time::Duration;

use tonic::{Code, Status};

/// The status metadata that holds the name of the error's kind.
pub const ERROR_KIND_METADATA: &str = "vecdb-error-kind";
/// The status metadata that holds the milliseconds to wait before trying again.
pub const RETRY_AFTER_METADATA: &str = "retry-after-ms";

/// The name of the kind of error (`not_found`, ...): as the server gave it, else, for a status that comes from a proxy
/// or from the transport, the nearest to its code.
pub fn kind_name(status: &Status) -> &str {
    let given = status.metadata().get(ERROR_KIND_METADATA);
    given
        .and_then(|name| name.to_str().ok())
        .unwrap_or_else(|| match status.code() {
            Code::InvalidArgument | Code::OutOfRange => "invalid_argument",
            Code::NotFound => "not_found",
            Code::AlreadyExists => "already_exists",
            Code::Unavailable | Code::Aborted => "unavailable",
            Code::ResourceExhausted => "resource_exhausted",
            Code::PermissionDenied => "permission_denied",
            Code::DataLoss => "corrupt",
            Code::Unimplemented => "unsupported",
            Code::FailedPrecondition => "poisoned",
            Code::Cancelled => "cancelled",
            Code::DeadlineExceeded => "deadline_exceeded",
            Code::Unauthenticated => "unauthenticated",
            Code::Ok | Code::Unknown | Code::Internal => "io",
        })
}

/// How long the server asks to wait before another try, where it does.
pub fn retry_after(status: &Status) -> Option<Duration> {
    let wait = status.metadata().get(RETRY_AFTER_METADATA)?;
    Some(Duration::from_millis(wait.to_str().ok()?.parse().ok()?))
}
