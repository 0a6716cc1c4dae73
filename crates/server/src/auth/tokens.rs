//! JSON web tokens (RFC 7519).
//!
//! The configuration alone says which algorithm and key are used. A token has to end (`exp`), and its rights are in its
//! claims: `access` (`read`, `write`, `admin`) on all collections or on the list `collections`, or a map `collections`
//! with a level for each pattern: `{"products": "write", "*": "read"}`.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::errors::ErrorKind as TokenError;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation};
use parking_lot::Mutex;
use serde::Deserialize;
use vecdb_engine::{Error, ErrorKind, Result};

use super::caller::{Caller, Rights};
use super::keys::SecretDigest;
use crate::config::Jwt;
use crate::gateway::Access;

/// How far the clocks of issuer and server may be apart.
const LEEWAY_S: u64 = 30;
/// Verified tokens that are remembered, so that a signature (up to 300 microseconds) is not checked with every search.
const REMEMBERED_MAX: usize = 4096;
/// RFC 7518, section 3.2: as long as the hash.
const SECRET_BYTES_MIN: usize = 32;
/// Of a name in a log line.
const NAME_CHARS_MAX: usize = 128;

/// Believes tokens of one issuer.
pub(super) struct Tokens {
    key: DecodingKey,
    algorithm: Algorithm,
    validation: Validation,
    remembered: Mutex<HashMap<SecretDigest, (Caller, u64)>>,
}

#[derive(Deserialize)]
struct Claims {
    exp: f64,
    sub: Option<String>,
    access: Option<Level>,
    collections: Option<Collections>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Read,
    Write,
    Admin,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Collections {
    Listed(Vec<String>),
    Levels(BTreeMap<String, Level>),
}

impl Tokens {
    /// Loads the key, or says what is wrong with the settings.
    pub(super) fn new(settings: &Jwt) -> Result<Self> {
        let wrong =
            |what: String| Error::new(ErrorKind::InvalidArgument, format!("auth.jwt.{what}"));
        let default = if settings.secret.is_some() {
            "HS256"
        } else {
            "RS256"
        };
        let name = settings.algorithm.as_deref().unwrap_or(default);
        let algorithm = Algorithm::from_str(name).map_err(|_| {
            wrong(format!(
                "algorithm: {name:?} is not known; known are HS256, RS256, PS256, ES256, their longer kin and EdDSA"
            ))
        })?;
        let key = match (&settings.secret, &settings.public_key) {
            (Some(secret), None) => {
                let secret = secret.expose().as_bytes();
                if algorithm.family() != AlgorithmFamily::Hmac {
                    return Err(wrong(format!(
                        "algorithm: {name} needs auth.jwt.public_key, not a secret"
                    )));
                }
                if secret.len() < SECRET_BYTES_MIN {
                    return Err(wrong(format!(
                        "secret: it has {} bytes, at least {SECRET_BYTES_MIN} are needed",
                        secret.len()
                    )));
                }
                DecodingKey::from_secret(secret)
            }
            (None, Some(path)) => {
                let pem = fs::read(path)
                    .map_err(|error| wrong(format!("public_key: {}: {error}", path.display())))?;
                public_key(algorithm, &pem)
                    .map_err(|what| wrong(format!("public_key: {}: {what}", path.display())))?
            }
            _ => {
                return Err(wrong(
                    "secret and auth.jwt.public_key: exactly one of them is needed".to_owned(),
                ));
            }
        };
        Ok(Self {
            key,
            algorithm,
            validation: validation(settings, algorithm),
            remembered: Mutex::default(),
        })
    }

    /// Whether a secret has the form of a token, three parts between dots.
    pub(super) fn looks_like_one(secret: &str) -> bool {
        secret.starts_with("ey") && secret.bytes().filter(|byte| *byte == b'.').count() == 2
    }

    /// Who the token says the caller is.
    pub(super) fn check(&self, token: &str, digest: &SecretDigest) -> Result<Caller> {
        let now = unix_time();
        if let Some((caller, end)) = self.remembered.lock().get(digest)
            && now < *end
        {
            return Ok(caller.clone());
        }
        let claims = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation)
            .map_err(|error| self.refusal(error.kind()))?
            .claims;
        // Saturates, which is as good as never.
        let end = (claims.exp as u64).saturating_add(LEEWAY_S);
        let caller = claims.caller()?;
        let mut remembered = self.remembered.lock();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.retain(|_, (_, end)| now < *end);
        }
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(*digest, (caller.clone(), end));
        Ok(caller)
    }

    fn refusal(&self, error: &TokenError) -> Error {
        let why = match error {
            TokenError::ExpiredSignature => "it has expired".to_owned(),
            TokenError::ImmatureSignature => "it is not valid yet (nbf)".to_owned(),
            TokenError::InvalidSignature => "its signature is wrong".to_owned(),
            TokenError::InvalidIssuer => "it is from another issuer (iss)".to_owned(),
            TokenError::InvalidAudience if self.validation.aud.is_none() => {
                "it is for an audience (aud), and the server has no auth.jwt.audience".to_owned()
            }
            TokenError::InvalidAudience => "it is for another audience (aud)".to_owned(),
            TokenError::MissingRequiredClaim(claim) => format!("it has no valid claim {claim:?}"),
            TokenError::InvalidClaimFormat(claim) => format!("its claim {claim:?} is malformed"),
            TokenError::InvalidAlgorithm => {
                format!("it is not signed with {:?}", self.algorithm)
            }
            TokenError::Json(error) => format!("its header or a claim is malformed: {error}"),
            _ => "it is malformed".to_owned(),
        };
        Error::new(
            ErrorKind::Unauthenticated,
            format!("the token is refused: {why}"),
        )
    }
}

impl Claims {
    fn caller(&self) -> Result<Caller> {
        let rights = match (&self.collections, self.access) {
            (None, None) => Ok(Rights::default()),
            (None, Some(level)) => Ok(Rights::everywhere(level.into())),
            (Some(Collections::Listed(names)), Some(level)) => {
                Rights::new(level.into(), names.iter().map(String::as_str))
            }
            (Some(Collections::Levels(levels)), None) => {
                let mut rights = Rights::default();
                let mut add =
                    |(pattern, level): (&String, &Level)| rights.add((*level).into(), pattern);
                levels.iter().try_for_each(&mut add).map(|()| rights)
            }
            (Some(Collections::Listed(_)), None) => Err(
                "\"collections\" is a list, so \"access\" has to say what is allowed on them"
                    .to_owned(),
            ),
            (Some(Collections::Levels(_)), Some(_)) => Err(
                "\"collections\" says what is allowed on each, so \"access\" must not say it again"
                    .to_owned(),
            ),
        };
        let rights = rights.map_err(|what| {
            Error::new(
                ErrorKind::Unauthenticated,
                format!("the token is refused: its rights are unclear: {what}"),
            )
        })?;
        let named = self.sub.as_deref().filter(|name| !name.is_empty());
        // Names of keys are the operator's own; this one comes from outside and goes to the logs.
        let name: String = named
            .unwrap_or("token without sub")
            .chars()
            .filter(|c| !c.is_control())
            .take(NAME_CHARS_MAX)
            .collect();
        Ok(Caller::new(&name, rights))
    }
}

impl From<Level> for Access {
    fn from(level: Level) -> Self {
        match level {
            Level::Read => Access::Read,
            Level::Write => Access::Write,
            Level::Admin => Access::Admin,
        }
    }
}

fn public_key(algorithm: Algorithm, pem: &[u8]) -> Result<DecodingKey, String> {
    let key = match algorithm.family() {
        AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(pem),
        AlgorithmFamily::Ec => DecodingKey::from_ec_pem(pem),
        AlgorithmFamily::Ed => DecodingKey::from_ed_pem(pem),
        AlgorithmFamily::Hmac => {
            return Err(format!(
                "{algorithm:?} needs auth.jwt.secret, not a public key"
            ));
        }
    };
    let fits = key.and_then(|key| {
        // A key of another curve is noticed when it is used first.
        jsonwebtoken::crypto::verify("", b"", &key, algorithm).map(|_| key)
    });
    fits.map_err(|error| format!("this is no public key for {algorithm:?} in PEM: {error}"))
}

fn validation(settings: &Jwt, algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY_S;
    validation.validate_nbf = true;
    let mut required = vec!["exp"];
    if let Some(issuer) = &settings.issuer {
        validation.set_issuer(&[issuer]);
        required.push("iss");
    }
    if let Some(audience) = &settings.audience {
        validation.set_audience(&[audience]);
        required.push("aud");
    }
    validation.set_required_spec_claims(&required);
    validation
}

/// Seconds since 1970. A clock before that would make every token valid, so it counts as the end of time.
fn unix_time() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(u64::MAX, |since| since.as_secs())
}
