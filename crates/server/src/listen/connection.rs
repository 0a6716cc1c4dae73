//! One connection from its first byte to its last.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tower::ServiceExt;

use super::PeerInfo;
use super::accept::Shared;
use super::activity::{Activity, Observed, Patience};
use super::answer::Answer;
use crate::auth::PeerCertificate;
use crate::gateway::Held;

/// Requests at a time on one HTTP/2 connection; what is beyond the queues of the gateway is refused there.
const STREAMS_MAX: u32 = 1_000;
/// Requests that a client took back while they wait to be looked at; more of them are an attack (CVE-2023-44487).
const RESET_STREAMS_MAX: usize = 200;
/// Bytes a client may send ahead in one call: enough for bulk loads at the speed of the network.
const STREAM_WINDOW_BYTES: u32 = 512 << 10;
/// ... and in all calls of a connection. The HTTP/2 library ends a connection whose unread frames fall short of 256 bytes
/// each by more than half of this in sum; a stream of the smallest batches that fills its window must not get there.
const CONNECTION_WINDOW_BYTES: u32 = 32 << 20;
/// Headers of one request.
const HEADER_BYTES_MAX: u32 = 32 << 10;
/// A silent HTTP/2 client is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a connection that was told to end because it is idle may take.
const FAREWELL: Duration = Duration::from_secs(2);
/// The first byte of a TLS connection: the content type "handshake".
const TLS_HANDSHAKE: u8 = 0x16;

/// Serves a connection that was just accepted, to its end.
pub(super) async fn serve(
    stream: TcpStream,
    ip: IpAddr,
    routes: Router,
    shared: Arc<Shared>,
    stopping: watch::Receiver<bool>,
) {
    let Some(certificates) = &shared.certificates else {
        let peer = PeerInfo {
            ip: ip.to_canonical(),
            certificate: None,
        };
        return speak(stream, peer, routes, &shared, stopping).await;
    };
    let limit = Duration::from_millis(shared.limits.load().header_timeout_ms);
    let acceptor = certificates.acceptor();
    let handshake = async {
        if begins_plain(&stream).await? {
            return refuse_plain(stream).await.map(|()| None);
        }
        acceptor.accept(stream).await.map(Some)
    };
    match timeout(limit, handshake).await {
        Ok(Ok(Some(stream))) => {
            let shown = stream.get_ref().1.peer_certificates();
            let peer = PeerInfo {
                ip: ip.to_canonical(),
                certificate: shown.and_then(<[_]>::first).map(PeerCertificate::new),
            };
            speak(stream, peer, routes, &shared, stopping).await;
        }
        Ok(Ok(None)) => tracing::debug!(%ip, "a client without TLS was sent away"),
        Ok(Err(error)) => tracing::debug!(%ip, %error, "a TLS handshake failed"),
        Err(_) => tracing::debug!(%ip, "a TLS handshake took too long"),
    }
}

/// Whether the client speaks something else than TLS. Waits for its first byte.
async fn begins_plain(stream: &TcpStream) -> std::io::Result<bool> {
    let mut first = [0];
    let count = stream.peek(&mut first).await?;
    Ok(count == 1 && first != [TLS_HANDSHAKE])
}

/// Says to a client without TLS what is wrong, in the words of the protocol it most likely speaks.
async fn refuse_plain(mut stream: TcpStream) -> std::io::Result<()> {
    const BODY: &str = "This port speaks TLS: use https://\n";
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{BODY}",
        BODY.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// Answers requests until one side ends the connection, its time is up or the server stops.
async fn speak<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    peer: PeerInfo,
    routes: Router,
    shared: &Shared,
    mut stopping: watch::Receiver<bool>,
) {
    let ip = peer.ip;
    let activity = Activity::new();
    let stream = TokioIo::new(Observed::new(stream, activity.clone()));
    let service = {
        let activity = activity.clone();
        service_fn(move |request| answer(request, peer.clone(), routes.clone(), activity.clone()))
    };
    let protocols = protocols();
    let mut connection = pin!(protocols.serve_connection(stream, service));
    let mut is_leaving = false;
    let mut look_again = Instant::now();
    loop {
        tokio::select! {
            outcome = connection.as_mut() => {
                if let Err(error) = outcome {
                    tracing::debug!(%ip, error, "a connection ended early");
                }
                return;
            }
            _ = stopping.wait_for(|stops| *stops), if !is_leaving => {
                // Requests under way are answered; how long that may take is limited for all connections together.
                connection.as_mut().graceful_shutdown();
                is_leaving = true;
                look_again = Instant::now();
            }
            () = sleep_until(look_again) => match activity.patience(&shared.limits.load()) {
                Patience::For(wait) => look_again = Instant::now() + wait,
                Patience::Idle if !is_leaving => {
                    connection.as_mut().graceful_shutdown();
                    is_leaving = true;
                    look_again = Instant::now() + FAREWELL;
                }
                Patience::Idle | Patience::Over => {
                    tracing::debug!(%ip, "a connection was closed: its time was up");
                    return;
                }
            },
        }
    }
}

async fn answer(
    mut request: Request<Incoming>,
    peer: PeerInfo,
    routes: Router,
    activity: Arc<Activity>,
) -> Result<Response<Answer>, Infallible> {
    let busy = activity.handling();
    request.extensions_mut().insert(peer);
    let answer = routes.oneshot(request.map(Body::new)).await?;
    let (mut parts, body) = answer.into_parts();
    let held = parts.extensions.remove::<Held>();
    let answer = Response::from_parts(parts, Answer::new(body, held, &activity));
    drop(busy);
    Ok(answer)
}

fn protocols() -> auto::Builder<TokioExecutor> {
    let mut protocols = auto::Builder::new(TokioExecutor::new());
    protocols
        .http1()
        .timer(TokioTimer::new())
        // See `activity`.
        .header_read_timeout(None);
    protocols
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESET_STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HEADER_BYTES_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    protocols
}
