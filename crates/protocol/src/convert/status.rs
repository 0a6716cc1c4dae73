//! Errors as gRPC statuses and back.

use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};
use vecdb_engine::{Error, ErrorKind};

use crate::status::{ERROR_KIND_METADATA, RETRY_AFTER_METADATA, kind_name, retry_after};

/// Longer messages are cut: a status travels in headers, which peers limit, and every byte that is not ASCII takes three.
const MESSAGE_BYTES_MAX: usize = 2048;

/// The status that tells `error` to a caller.
pub fn status_of(error: &Error) -> Status {
    let kind = error.kind();
    let mut metadata = MetadataMap::with_capacity(2);
    metadata.insert(ERROR_KIND_METADATA, MetadataValue::from_static(kind.name()));
    if let Some(wait) = error.retry_after() {
        let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        metadata.insert(RETRY_AFTER_METADATA, ms.into());
    }
    let mut message = error.to_string();
    if message.len() > MESSAGE_BYTES_MAX {
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
        message.push_str("...");
    }
    Status::with_metadata(Code::from_i32(kind.grpc_code()), message, metadata)
}

/// The error that a status tells.
pub fn error_of(status: &Status) -> Error {
    // A newer server may name a kind that is not known here; then its code is what there is to go by.
    let kind = ErrorKind::from_name(kind_name(status)).or_else(|| {
        let code = status.code() as i32;
        ErrorKind::all().find(|kind| kind.grpc_code() == code)
    });
    let message = match status.message() {
        "" => status.code().description(),
        message => message,
    };
    let error = Error::new(kind.unwrap_or(ErrorKind::Io), message);
    match retry_after(status) {
        Some(wait) => error.with_retry_after(wait),
        None => error,
    }
}
