//! What a face knows about a request before it looks at its content.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::{Extensions, HeaderMap, HeaderName, header};

use super::About;
use crate::auth::{Credentials, PeerCertificate};
use crate::listen::PeerInfo;

/// The header of a request's id, in requests and answers.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// A longer id is replaced: it would swell every log line.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// The protocol a request came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Face {
    /// gRPC.
    Grpc,
    /// HTTP with JSON.
    Http,
}

/// A request, apart from its content.
#[derive(Clone, Debug)]
pub struct Call {
    /// Which protocol.
    pub face: Face,
    /// The caller's `x-request-id`, or one made for it; stands in every log line and in the answer.
    pub request_id: String,
    /// What the caller showed.
    pub credentials: Credentials,
    /// The certificate of the caller's connection, where it was asked for one.
    pub certificate: Option<PeerCertificate>,
    /// Where the caller is, where it is known.
    pub peer: Option<IpAddr>,
    /// When the request arrived.
    pub received: Instant,
    /// When the caller no longer waits.
    pub deadline: Option<Instant>,
    /// The caller is a stream, which waits for room rather than be refused for want of it.
    pub waits_for_room: bool,
    /// The trace this call belongs to: a W3C `traceparent`, where one was sent.
    pub traceparent: Option<String>,
    /// What it is about, once that is known.
    pub about: About,
}

impl Call {
    /// Reads what headers and connection say. A header that makes no sense counts as not sent.
    pub fn from_parts(headers: &HeaderMap, extensions: &Extensions, face: Face) -> Self {
        let received = Instant::now();
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let timeout = match face {
            Face::Grpc => text(GRPC_TIMEOUT).and_then(parse_grpc_timeout),
            Face::Http => None,
        };
        let bearer = text(header::AUTHORIZATION).and_then(bearer_secret);
        let peer = extensions.get::<PeerInfo>();
        Self {
            face,
            request_id: text(REQUEST_ID)
                .filter(|id| is_request_id(id))
                .map_or_else(new_request_id, str::to_owned),
            credentials: Credentials {
                secret: bearer.or_else(|| text(API_KEY)).map(str::to_owned),
            },
            certificate: peer.and_then(|peer| peer.certificate.clone()),
            peer: peer.map(|peer| peer.ip),
            received,
            deadline: timeout.and_then(|timeout| received.checked_add(timeout)),
            waits_for_room: false,
            traceparent: text(TRACEPARENT).map(str::to_owned),
            about: About::default(),
        }
    }
}

/// What follows `Bearer`, whose case does not matter (RFC 9110, section 11.1).
fn bearer_secret(authorization: &str) -> Option<&str> {
    let (scheme, secret) = authorization.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| secret.trim_start())
}

/// Ids go into logs and headers as they are.
fn is_request_id(id: &str) -> bool {
    (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Sixteen hexadecimal digits, different for each call of this process and most likely of others.
fn new_request_id() -> String {
    static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().build_hasher().finish());
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let next = SEED.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
    // The finisher of MurmurHash3: no two inputs give the same.
    let mut id = next ^ (next >> 33);
    id = id.wrapping_mul(0xff51_afd7_ed55_8ccd);
    id ^= id >> 33;
    id = id.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    format!("{:016x}", id ^ (id >> 33))
}

/// One to eight digits and a unit.
fn parse_grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3_600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn call(headers: &[(&'static str, &str)]) -> Call {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        Call::from_parts(&headers, &Extensions::new(), Face::Grpc)
    }

    #[test]
    fn credentials_come_as_bearer_or_as_key() {
        let secret = |headers| call(headers).credentials.secret;
        assert_eq!(secret(&[]), None);
        assert_eq!(secret(&[("x-api-key", "k")]).as_deref(), Some("k"));
        assert_eq!(
            secret(&[("authorization", "bearer  t")]).as_deref(),
            Some("t")
        );
        assert_eq!(secret(&[("authorization", "Basic dTpw")]), None);
        let both = secret(&[("authorization", "Bearer t"), ("x-api-key", "k")]);
        assert_eq!(both.as_deref(), Some("t"));
    }

    #[test]
    fn a_request_id_is_taken_where_it_can_be_logged_and_else_made() {
        assert_eq!(call(&[("x-request-id", "a-1:b")]).request_id, "a-1:b");
        let long = "x".repeat(129);
        for bad in ["", "two words", &long] {
            let made = call(&[("x-request-id", bad)]).request_id;
            assert_eq!(made.len(), 16, "{bad:?} gave {made:?}");
        }
        let ids: BTreeSet<_> = (0..1_000).map(|_| new_request_id()).collect();
        assert_eq!(ids.len(), 1_000);
    }

    #[test]
    fn grpc_timeouts_are_read() {
        for (text, nanos) in [
            ("2H", Some(7_200_000_000_000)),
            ("3M", Some(180_000_000_000)),
            ("99999999S", Some(99_999_999_000_000_000)),
            ("250m", Some(250_000_000)),
            ("7u", Some(7_000)),
            ("0n", Some(0)),
            ("", None),
            ("S", None),
            ("100000000S", None),
            ("-1S", None),
            ("1.5S", None),
            ("1s", None),
            ("1\u{e9}", None),
        ] {
            assert_eq!(
                parse_grpc_timeout(text).map(|t| t.as_nanos()),
                nanos,
                "{text:?}"
            );
        }
        let timed = call(&[("grpc-timeout", "250m")]);
        assert_eq!(
            timed.deadline,
            Some(timed.received + Duration::from_millis(250))
        );
    }
}
