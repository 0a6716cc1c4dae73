//! The answers of a stream of upserts.

use tonic::Streaming;

use crate::client::Client;
use crate::error::ClientError;
use crate::v1;

/// The answers to the batches of [`Client::upsert_stream`], in their order. Dropping it ends the stream.
pub struct UpsertStream {
    pub(crate) client: Client,
    pub(crate) answers: Streaming<v1::UpsertResponse>,
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
