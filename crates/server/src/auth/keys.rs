//! API keys.

use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use vecdb_engine::{Error, ErrorKind, Result};

use super::caller::{Caller, Rights};
use crate::config::ApiKey;

/// A shorter key could be guessed.
const KEY_BYTES_MIN: usize = 16;

/// SHA-256 of a secret. Keys are random and long, so no slower hash is needed.
pub(super) type SecretDigest = [u8; 32];

/// The digest that secrets are compared by.
pub(super) fn digest(secret: &str) -> SecretDigest {
    Sha256::digest(secret.as_bytes()).into()
}

/// The known keys, as digests: the keys themselves are not kept.
pub(super) struct Keys(Vec<(SecretDigest, Caller)>);

impl Keys {
    /// Takes the keys of the configuration, or says which one is wrong.
    pub(super) fn new(keys: &[ApiKey]) -> Result<Self> {
        let mut known: Vec<(SecretDigest, Caller)> = Vec::with_capacity(keys.len());
        for (at, key) in keys.iter().enumerate() {
            let wrong = |what: String| {
                let message = format!("auth.keys[{at}] ({:?}): {what}", key.name);
                Error::new(ErrorKind::InvalidArgument, message)
            };
            let secret = key.key.expose();
            if key.name.is_empty() {
                return Err(wrong("a key needs a name, for the logs".to_owned()));
            }
            if secret.len() < KEY_BYTES_MIN {
                return Err(wrong(format!(
                    "the key has {} bytes, at least {KEY_BYTES_MIN} are needed: `openssl rand -hex 32` makes a good one",
                    secret.len()
                )));
            }
            if secret.bytes().any(|byte| !byte.is_ascii_graphic()) {
                let what = "a key is of printable ASCII characters without blanks, or no header could carry it";
                return Err(wrong(what.to_owned()));
            }
            let digest = digest(secret);
            if let Some((_, other)) = known.iter().find(|(known, _)| *known == digest) {
                return Err(wrong(format!("it is the same key as {:?}", other.name())));
            }
            let rights = if key.collections.is_empty() {
                Rights::everywhere(key.access)
            } else {
                Rights::new(key.access, key.collections.iter().map(String::as_str))
                    .map_err(|what| wrong(format!("collections: {what}")))?
            };
            known.push((digest, Caller::new(&key.name, rights)));
        }
        Ok(Self(known))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose key this is. Takes the same time whichever it is, and if it is none.
    pub(super) fn find(&self, secret: &SecretDigest) -> Option<&Caller> {
        let mut found = u32::MAX;
        for (at, (known, _)) in (0_u32..).zip(&self.0) {
            let same: Choice = known.ct_eq(secret);
            found.conditional_assign(&at, same);
        }
        self.0.get(found as usize).map(|(_, caller)| caller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use crate::gateway::Access;

    fn key(name: &str, key: &str, collections: &[&str]) -> ApiKey {
        ApiKey {
            name: name.to_owned(),
            key: Secret::new(key),
            access: Access::Write,
            collections: collections.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    const FIRST: &str = "first-key-0123456789";
    const SECOND: &str = "second-key-0123456789";

    #[test]
    fn a_key_is_found_and_its_beginning_is_not() {
        let keys = Keys::new(&[key("a", FIRST, &[]), key("b", SECOND, &["x"])]).unwrap();
        let name = |secret: &str| keys.find(&digest(secret)).map(Caller::name);
        assert_eq!(name(FIRST), Some("a"));
        assert_eq!(name(SECOND), Some("b"));
        for wrong in [
            "",
            "f",
            &FIRST[..FIRST.len() - 1],
            &format!("{FIRST} "),
            "A",
        ] {
            assert_eq!(name(wrong), None, "{wrong:?}");
        }
        let second = keys.find(&digest(SECOND)).unwrap();
        assert!(second.may(Access::Write, "x") && !second.may(Access::Read, "y"));
    }

    #[test]
    fn bad_keys_are_refused_by_name_and_not_shown() {
        let cases = [
            (vec![key("a", "short", &[])], "5 bytes"),
            (vec![key("a", "", &[])], "0 bytes"),
            (vec![key("a", "with blanks in it 0123", &[])], "blanks"),
            (vec![key("", FIRST, &[])], "needs a name"),
            (vec![key("a", FIRST, &["x*y"])], "\"x*y\""),
            (
                vec![key("a", FIRST, &[]), key("b", FIRST, &[])],
                "same key as \"a\"",
            ),
        ];
        for (keys, part) in cases {
            let error = Keys::new(&keys).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            let message = error.to_string();
            assert!(
                message.contains(part) && message.contains("auth.keys["),
                "{message}"
            );
            assert!(
                !message.contains(FIRST) && !message.contains("short"),
                "{message}"
            );
        }
    }
}
