//! The protobuf codec over a shared message: another try sends it again without a copy.

use std::marker::PhantomData;
use std::sync::Arc;

use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Sends `Q`, receives `R`.
pub(crate) struct SharedCodec<Q, R>(PhantomData<fn(Q) -> R>);

impl<Q, R> Default for SharedCodec<Q, R> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Q, R> Codec for SharedCodec<Q, R>
where
    Q: Message + 'static,
    R: Message + Default + 'static,
{
    type Encode = Arc<Q>;
    type Decode = R;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self::default()
    }

    fn decoder(&mut self) -> Self {
        Self::default()
    }
}

impl<Q: Message, R> Encoder for SharedCodec<Q, R> {
    type Item = Arc<Q>;
    type Error = Status;

    fn encode(&mut self, message: Arc<Q>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.reserve(message.encoded_len());
        message
            .encode(out)
            .map_err(|error| Status::internal(format!("the message cannot be encoded: {error}")))
    }
}

impl<Q, R: Message + Default> Decoder for SharedCodec<Q, R> {
    type Item = R;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<R>, Status> {
        let message = R::decode(bytes).map_err(|error| {
            Status::internal(format!("the server's answer cannot be read: {error}"))
        })?;
        Ok(Some(message))
    }
}
