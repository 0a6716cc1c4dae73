//! A gRPC server in this process whose calls are answered by a closure, message by message.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use prost::bytes::{Buf, BufMut};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::Service;
use tonic::codegen::http;
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Request, Response, Status, Streaming};

/// Gets the name of the method (`Search`), the metadata of the call, and an encoded message.
pub(crate) trait Answer: Fn(&str, &MetadataMap, Vec<u8>) -> Result<Vec<u8>, Status> {}
impl<F: Fn(&str, &MetadataMap, Vec<u8>) -> Result<Vec<u8>, Status>> Answer for F {}

/// Serves until the runtime ends.
pub(crate) async fn serve(answer: impl Answer + Send + Sync + 'static) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder()
        .add_service(Stub(Arc::new(answer)))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);
    address
}

#[derive(Clone)]
struct Stub(Arc<dyn Answer + Send + Sync>);

impl NamedService for Stub {
    const NAME: &'static str = "vecdb.v1.VecDB";
}

impl Service<http::Request<Body>> for Stub {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = Method {
            name: request.uri().path().rsplit('/').next().unwrap().to_owned(),
            answer: self.0.clone(),
        };
        Box::pin(async move { Ok(Grpc::new(Raw).streaming(method, request).await) })
    }
}

struct Method {
    name: String,
    answer: Arc<dyn Answer + Send + Sync>,
}

impl StreamingService<Vec<u8>> for Method {
    type Response = Vec<u8>;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<Vec<u8>, Status>> + Send>>;
    type Future = std::future::Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<Vec<u8>>>) -> Self::Future {
        let (metadata, _, messages) = request.into_parts();
        let (name, answer) = (self.name.clone(), self.answer.clone());
        let answers = messages
            .map(move |message| tokio::task::block_in_place(|| answer(&name, &metadata, message?)));
        std::future::ready(Ok(Response::new(Box::pin(answers))))
    }
}

/// Messages as bytes.
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(bytes.copy_to_bytes(bytes.remaining()).to_vec()))
    }
}
