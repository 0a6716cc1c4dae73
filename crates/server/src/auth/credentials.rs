//! What a caller showed.

use std::fmt;

/// What a caller showed, unchecked.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// `authorization: Bearer ...` or `x-api-key: ...`: an API key or a token.
    pub secret: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("secret", &self.secret.as_ref().map(|_| "***"))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_not_printed() {
        let shown = Credentials {
            secret: Some("sesame-open-sesame".to_owned()),
        };
        let printed = format!("{shown:?}");
        assert!(
            printed.contains("***") && !printed.contains("sesame"),
            "{printed}"
        );
    }
}
