//! The frames that an HTTP/2 client sends (RFC 9113, section 4.1), as far as needed to see that one is owed to its end: the
//! HTTP/2 library waits for the rest of a head as long as it takes.

/// Length (3 bytes), type, flags, stream (4 bytes).
const HEADER_BYTES: usize = 9;
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const END_HEADERS: u8 = 0x4;

/// Where in its frames a client is.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; HEADER_BYTES],
    /// Bytes of the header that have come.
    header_bytes: usize,
    /// Bytes of the payload that have yet to come.
    payload_bytes: usize,
    /// A head goes on in the next frame.
    is_in_head: bool,
}

/// What a client owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owed {
    Nothing,
    /// The rest of what it began before these bytes.
    Still,
    /// The rest of what it began with these bytes.
    New,
}

impl Frames {
    /// Goes on by `bytes`. Bodies are nobody's debt: handlers limit them.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Owed {
        let mut owed = Owed::Still;
        loop {
            if self.header_bytes < HEADER_BYTES {
                let Some((first, rest)) = bytes.split_first() else {
                    return match self.header_bytes > 0 || self.is_in_head {
                        true => owed,
                        false => Owed::Nothing,
                    };
                };
                if self.header_bytes == 0 && !self.is_in_head {
                    owed = Owed::New;
                }
                if let Some(byte) = self.header.get_mut(self.header_bytes) {
                    *byte = *first;
                }
                self.header_bytes += 1;
                bytes = rest;
                let [a, b, c, ..] = self.header;
                self.payload_bytes = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            } else if self.payload_bytes > bytes.len() {
                self.payload_bytes -= bytes.len();
                return match self.header {
                    [_, _, _, DATA, ..] => Owed::Nothing,
                    _ => owed,
                };
            } else {
                bytes = bytes.get(self.payload_bytes..).unwrap_or_default();
                let [_, _, _, kind, flags, ..] = self.header;
                if matches!(kind, HEADERS | CONTINUATION) {
                    self.is_in_head = flags & END_HEADERS == 0;
                }
                self.header_bytes = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        frame.resize(HEADER_BYTES + usize::from(length), 7);
        frame
    }

    #[test]
    fn a_head_is_owed_until_its_last_frame_has_come() {
        let mut frames = Frames::default();
        assert_eq!(frames.read(&frame(4, 0, 6)), Owed::Nothing);
        // Cut anywhere.
        let (whole, cut) = (frame(HEADERS, END_HEADERS, 20), 13);
        assert_eq!(frames.read(&whole[..1]), Owed::New);
        assert_eq!(frames.read(&whole[1..cut]), Owed::Still);
        assert_eq!(frames.read(&whole[cut..]), Owed::Nothing);
        // In several frames, whole ones each.
        assert_eq!(frames.read(&frame(HEADERS, 0, 3)), Owed::New);
        assert_eq!(frames.read(&frame(CONTINUATION, 0, 0)), Owed::Still);
        assert_eq!(
            frames.read(&frame(CONTINUATION, END_HEADERS, 1)),
            Owed::Nothing
        );
        // The end of one and the beginning of another.
        assert_eq!(frames.read(&whole[..cut]), Owed::New);
        assert_eq!(
            frames.read(&[&whole[cut..], &whole[..3]].concat()),
            Owed::New
        );
        assert_eq!(frames.read(&whole[3..]), Owed::Nothing);
    }

    #[test]
    fn the_rest_of_a_body_is_not_owed() {
        let mut frames = Frames::default();
        let body = frame(DATA, 0, 100);
        assert_eq!(frames.read(&body[..50]), Owed::Nothing);
        assert_eq!(frames.read(&body[50..60]), Owed::Nothing);
        assert_eq!(frames.read(&[&body[60..], &body[..4]].concat()), Owed::New);
        assert_eq!(frames.read(&body[4..]), Owed::Nothing);
    }

    #[test]
    fn bytes_one_by_one_lead_to_the_same() {
        let mut frames = Frames::default();
        let all = [
            frame(HEADERS, END_HEADERS, 5),
            frame(DATA, 1, 9),
            frame(8, 0, 4),
            frame(HEADERS, 0, 2),
        ]
        .concat();
        let last = all.iter().map(|byte| frames.read(&[*byte])).last();
        assert_eq!(last, Some(Owed::Still));
        assert_eq!(
            frames.read(&frame(CONTINUATION, END_HEADERS, 2)),
            Owed::Nothing
        );
    }
}
