//! An HTTP/2 client that does what no library would: frames (RFC 9113, section 4.1), one by one.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::started::connect;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

pub(crate) struct Http2 {
    pub(crate) stream: TcpStream,
    next: u32,
}

impl Http2 {
    /// A connection of whose answers the server may send `window` bytes each until it is told to go on.
    pub(crate) fn new(address: SocketAddr, window: u32) -> Self {
        let mut stream = connect(address);
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .unwrap();
        let mut http2 = Self { stream, next: 1 };
        let setting = [&[0, 4][..], &window.to_be_bytes()].concat();
        http2.frame(SETTINGS, 0, 0, &setting).unwrap();
        http2
    }

    pub(crate) fn frame(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
    ) -> std::io::Result<()> {
        self.stream.write_all(&frame(kind, flags, stream, payload))
    }

    /// A request, of which nothing but the head is sent if its body `is_due`. Returns its stream.
    pub(crate) fn request(&mut self, headers: &[(&str, &str)], is_due: bool) -> u32 {
        let stream = self.next;
        self.next += 2;
        let flags = END_HEADERS | if is_due { 0 } else { END_STREAM };
        self.frame(HEADERS, flags, stream, &head(headers)).unwrap();
        stream
    }

    pub(crate) fn get(&mut self, path: &str) -> u32 {
        let headers = [
            (":method", "GET"),
            (":path", path),
            (":scheme", "http"),
            (":authority", "x"),
        ];
        self.request(&headers, false)
    }

    /// A call whose message is due.
    pub(crate) fn call(&mut self, path: &str, more: &[(&str, &str)]) -> u32 {
        let headers = [
            (":method", "POST"),
            (":path", path),
            (":scheme", "http"),
            (":authority", "x"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ];
        self.request(&[&headers, more].concat(), true)
    }

    pub(crate) fn data(&mut self, stream: u32, bytes: &[u8], is_last: bool) {
        let flags = if is_last { END_STREAM } else { 0 };
        // What the server has refused already it may refuse to read.
        let _ = self.frame(DATA, flags, stream, bytes);
    }

    pub(crate) fn ping(&mut self) -> std::io::Result<()> {
        self.frame(PING, 0, 0, &[0; 8])
    }

    /// Lets the server send `bytes` more of an answer.
    pub(crate) fn more(&mut self, stream: u32, bytes: u32) -> std::io::Result<()> {
        self.frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
    }

    /// The next frame of kind HEADERS, DATA or RST_STREAM: its kind, its stream, its payload; none at the end.
    pub(crate) fn read(&mut self) -> Option<(u8, u32, Vec<u8>)> {
        loop {
            let mut header = [0; 9];
            self.stream.read_exact(&mut header).ok()?;
            let [a, b, c, kind, _, stream @ ..] = header;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            self.stream.read_exact(&mut payload).ok()?;
            if matches!(kind, HEADERS | DATA | RST_STREAM) {
                return Some((kind, u32::from_be_bytes(stream), payload));
            }
        }
    }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![a, b, c, kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Headers as literals without an index (RFC 7541, section 6.2.2).
fn head(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in headers {
        bytes.push(0);
        for text in [name, value] {
            assert!(text.len() < 127);
            bytes.push(text.len() as u8);
            bytes.extend(text.bytes());
        }
    }
    bytes
}
