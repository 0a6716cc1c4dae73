//! The header of a .npy file: a Python dict literal with three keys, parsed without trusting it.

/// The three keys of the dict.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    /// `'<f4'`; a list (structured type) is an error.
    pub(super) descr: String,
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<u64>,
}

/// Where in the header, and what is wrong there.
type Error = (usize, String);

/// More dimensions than NumPy itself allows.
const SHAPE_LEN_MAX: usize = 64;

pub(super) fn parse(text: &[u8]) -> Result<Header, Error> {
    let mut cursor = Cursor { text, at: 0 };
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    cursor.expect(b'{')?;
    loop {
        if cursor.accept(b'}') {
            break;
        }
        let at = cursor.at;
        let key = cursor.string()?;
        cursor.expect(b':')?;
        let repeated = match key.as_str() {
            "descr" => descr.replace(cursor.descr()?).is_some(),
            "fortran_order" => fortran_order.replace(cursor.boolean()?).is_some(),
            "shape" => shape.replace(cursor.shape()?).is_some(),
            _ => {
                let what =
                    format!("npy header key '{key}'; descr, fortran_order and shape belong there");
                return Err((at, what));
            }
        };
        if repeated {
            return Err((at, format!("npy header key '{key}' comes twice")));
        }
        if !cursor.accept(b',') {
            cursor.expect(b'}')?;
            break;
        }
    }
    cursor.blank();
    if cursor.at < text.len() {
        return Err((
            cursor.at,
            "bytes after the dict of the npy header".to_owned(),
        ));
    }
    let missing = |key: &str| (0, format!("the npy header lacks the key '{key}'"));
    Ok(Header {
        descr: descr.ok_or_else(|| missing("descr"))?,
        fortran_order: fortran_order.ok_or_else(|| missing("fortran_order"))?,
        shape: shape.ok_or_else(|| missing("shape"))?,
    })
}

struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn blank(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn accept(&mut self, byte: u8) -> bool {
        self.blank();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), Error> {
        if self.accept(byte) {
            return Ok(());
        }
        let found = match self.peek() {
            Some(other) => format!("'{}'", other.escape_ascii()),
            None => "the end".to_owned(),
        };
        let what = format!(
            "'{}' expected in the npy header, {found} found",
            byte as char
        );
        Err((self.at, what))
    }

    /// Bytes as long as they fulfil a condition.
    fn run(&mut self, condition: impl Fn(u8) -> bool) -> &[u8] {
        let start = self.at;
        while self.peek().is_some_and(&condition) {
            self.at += 1;
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn string(&mut self) -> Result<String, Error> {
        let quote = if self.accept(b'"') { b'"' } else { b'\'' };
        if quote == b'\'' {
            self.expect(b'\'')?;
        }
        let at = self.at;
        let bytes = self.run(|byte| byte != quote && (b' '..=b'~').contains(&byte));
        let text = String::from_utf8_lossy(bytes).into_owned();
        if !self.accept(quote) {
            return Err((at, "a string of the npy header has no end".to_owned()));
        }
        Ok(text)
    }

    fn descr(&mut self) -> Result<String, Error> {
        self.blank();
        if self.peek() == Some(b'[') {
            let what =
                "a structured element type (named fields); save the vectors as a plain array";
            return Err((self.at, what.to_owned()));
        }
        self.string()
    }

    fn boolean(&mut self) -> Result<bool, Error> {
        self.blank();
        let at = self.at;
        match self.run(|byte| byte.is_ascii_alphabetic()) {
            b"True" => Ok(true),
            b"False" => Ok(false),
            other => {
                let found = other.escape_ascii().to_string();
                Err((
                    at,
                    format!("True or False expected in the npy header, '{found}' found"),
                ))
            }
        }
    }

    fn shape(&mut self) -> Result<Vec<u64>, Error> {
        self.expect(b'(')?;
        let mut shape = Vec::new();
        while !self.accept(b')') {
            let at = self.at;
            let digits = self.run(|byte| byte.is_ascii_digit());
            let size = std::str::from_utf8(digits)
                .ok()
                .and_then(|text| text.parse().ok());
            let Some(size) = size else {
                return Err((
                    at,
                    "a size in the npy shape is not a whole number below 2^64".to_owned(),
                ));
            };
            shape.push(size);
            if shape.len() > SHAPE_LEN_MAX {
                return Err((
                    at,
                    format!("an npy shape of more than {SHAPE_LEN_MAX} dimensions"),
                ));
            }
            if !self.accept(b',') {
                self.expect(b')')?;
                break;
            }
        }
        Ok(shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_numpy_writes() {
        let header =
            parse(b"{'descr': '<f2', 'fortran_order': False, 'shape': (5000, 384), }   \n");
        let expected = Header {
            descr: "<f2".to_owned(),
            fortran_order: false,
            shape: vec![5000, 384],
        };
        assert_eq!(header, Ok(expected));
        let single = parse(b"{'shape': (3,), 'fortran_order': True, 'descr': \"|u1\"}").unwrap();
        assert_eq!((single.shape, single.fortran_order), (vec![3], true));
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        for (text, at, part) in [
            (
                &b"{'descr': [('a', '<f4')], 'shape': (1,)}"[..],
                10,
                "structured",
            ),
            (b"{'descr': '<f4', 'shape': (1,)}", 0, "fortran_order"),
            (b"{'descr': '<f4', 'descr': '<f4'}", 17, "twice"),
            (b"{'shape': (-1,)}", 11, "whole number"),
            (b"{'shape': (99999999999999999999,)}", 11, "whole number"),
            (b"{'fortran_order': maybe}", 18, "'maybe'"),
            (b"{'color': 1}", 1, "'color'"),
            (b"{'descr': '<f4", 11, "no end"),
            (b"", 0, "the end"),
        ] {
            let (found_at, what) = parse(text).unwrap_err();
            assert_eq!(found_at, at, "{what}");
            assert!(what.contains(part), "{what}");
        }
    }
}
