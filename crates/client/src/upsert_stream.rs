//! The answers of a stream of upserts.

use tonic::{CancellationHandle, Request, Streaming};

use crate::client::Client;
use crate::error::ClientError;
use crate::v1;

/// The answers to the batches of [`Client::upsert_stream`], in their order. Dropping it ends the stream: no further batch
/// is asked for, and those that were not answered may or may not be written.
pub struct UpsertStream {
    pub(crate) client: Client,
    pub(crate) answers: Streaming<v1::UpsertResponse>,
    pub(crate) _reset: ResetOnDrop,
}

impl UpsertStream {
    /// The answer to the next batch, once it is as durable as asked; `None` after the last.
    ///
    /// # Errors
    /// An error ends the stream; the batches answered before it are written.
    pub async fn next(&mut self) -> Result<Option<v1::UpsertResponse>, ClientError> {
        let deadline = self.client.deadline;
        self.client.limited(deadline, self.answers.message()).await
    }
}

/// Resets the stream of a request when dropped. Without it the sending half goes on for as long as there are messages,
/// whoever waits for the answers.
pub(crate) struct ResetOnDrop(Option<CancellationHandle>);

impl ResetOnDrop {
    pub(crate) fn of<T>(request: &mut Request<T>) -> Self {
        Self(Some(request.cancellation_handle()))
    }
}

impl Drop for ResetOnDrop {
    fn drop(&mut self) {
        if let Some(handle) = self.0.take() {
            handle.cancel();
        }
    }
}
