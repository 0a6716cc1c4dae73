//! The one place where callers become known and rights are compared.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use vecdb_engine::{Error, ErrorKind, Result};

use super::caller::{Caller, Rights};
use super::keys::{self, Keys};
use super::tokens::Tokens;
use super::{Credentials, PeerCertificate};
use crate::config::Auth;
use crate::gateway::Access;

/// Knows the keys and the issuer of tokens of a server.
pub struct Authority {
    known: ArcSwap<Known>,
}

/// Settings that were checked, and count once an [`Authority`] takes them.
pub(crate) struct PreparedAuth(Known);

struct Known {
    keys: Keys,
    tokens: Option<Tokens>,
    anyone: Caller,
}

impl Authority {
    /// Takes the settings, or says what is wrong with them.
    pub fn new(settings: &Auth) -> Result<Self> {
        Ok(Self {
            known: ArcSwap::from_pointee(Known::new(settings)?),
        })
    }

    /// Checks new settings, or says what is wrong with them; the old ones stay.
    pub(crate) fn prepare(settings: &Auth) -> Result<PreparedAuth> {
        Known::new(settings).map(PreparedAuth)
    }

    /// Takes settings for all calls from now on.
    pub(crate) fn take_over(&self, PreparedAuth(known): PreparedAuth) {
        self.known.store(Arc::new(known));
    }

    /// Whether everybody may do everything: there is neither a key nor an issuer of tokens.
    pub fn is_open(&self) -> bool {
        self.known.load().is_open()
    }

    /// Who is calling, if they may do this to `collection` (see [`Caller::may`] for the empty name).
    ///
    /// # Errors
    /// `Unauthenticated` where nothing, or nothing known, was shown; `PermissionDenied` where a right is missing.
    pub fn check(
        &self,
        shown: &Credentials,
        certificate: Option<&PeerCertificate>,
        access: Access,
        collection: &str,
    ) -> Result<Caller> {
        let caller = self.known.load().identify(shown, certificate)?;
        if caller.may(access, collection) {
            return Ok(caller);
        }
        let what = if collection.is_empty() {
            "the database as a whole".to_owned()
        } else {
            format!("the collection {collection:?}")
        };
        let has = caller.access_to(collection).map_or("none", Access::word);
        Err(Error::new(
            ErrorKind::PermissionDenied,
            format!(
                "this needs the right {:?} on {what}; {:?} has {has}",
                access.word(),
                caller.name()
            ),
        ))
    }

    /// Refuses who may do this to no collection at all.
    ///
    /// # Errors
    /// Those of [`Self::check`].
    pub(crate) fn check_anywhere(
        &self,
        shown: &Credentials,
        certificate: Option<&PeerCertificate>,
        access: Access,
    ) -> Result<()> {
        let caller = self.known.load().identify(shown, certificate)?;
        match caller.highest_access() {
            Some(highest) if highest >= access => Ok(()),
            highest => Err(Error::new(
                ErrorKind::PermissionDenied,
                format!(
                    "this needs the right {:?}; {:?} has {} at most, on any collection",
                    access.word(),
                    caller.name(),
                    highest.map_or("none", Access::word)
                ),
            )),
        }
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("is_open", &self.is_open())
            .field("known", &"***")
            .finish()
    }
}

impl Known {
    fn new(settings: &Auth) -> Result<Self> {
        Ok(Self {
            keys: Keys::new(&settings.keys)?,
            tokens: settings.jwt.as_ref().map(Tokens::new).transpose()?,
            anyone: Caller::new("anyone", Rights::everywhere(Access::Admin)),
        })
    }

    fn is_open(&self) -> bool {
        self.keys.is_empty() && self.tokens.is_none()
    }

    fn identify(
        &self,
        shown: &Credentials,
        certificate: Option<&PeerCertificate>,
    ) -> Result<Caller> {
        if self.is_open() {
            return Ok(match certificate {
                Some(certificate) => self.anyone.called(certificate.name()),
                None => self.anyone.clone(),
            });
        }
        let unknown = |message: &str| Error::new(ErrorKind::Unauthenticated, message);
        let Some(secret) = &shown.secret else {
            return Err(unknown(
                "this server has to know who is calling: send a key or a token as \"authorization: Bearer ...\" or a key as \"x-api-key: ...\"",
            ));
        };
        if secret.is_empty() {
            return Err(unknown("the key that was sent is empty"));
        }
        let digest = keys::digest(secret);
        if let Some(caller) = self.keys.find(&digest) {
            return Ok(caller.clone());
        }
        match &self.tokens {
            Some(tokens) if Tokens::looks_like_one(secret) => tokens.check(secret, &digest),
            _ => Err(unknown("the key that was sent is not known")),
        }
    }
}
