//! A caller that is known, with its rights.

use std::sync::Arc;

use vecdb_engine::{Error, ErrorKind};

use crate::gateway::Access;

/// Somebody the [`Authority`](super::Authority) knows. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Caller {
    name: Arc<str>,
    rights: Arc<Rights>,
}

/// Access levels on collections. They add up: a collection that several patterns match has the highest of their levels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rights(Vec<(Pattern, Access)>);

/// A name of a collection, or the beginning of names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Name(String),
    Prefix(String),
}

impl Caller {
    pub(super) fn new(name: &str, rights: Rights) -> Self {
        Self {
            name: name.into(),
            rights: Arc::new(rights),
        }
    }

    /// The same rights by another name.
    pub(super) fn called(&self, name: &str) -> Self {
        Self {
            name: name.into(),
            rights: Arc::clone(&self.rights),
        }
    }

    /// The name of the key, the subject of the token or the name on the certificate. No secret.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the caller may do this to `collection`.
    ///
    /// An empty name stands for the database as a whole: to look at it (a list of collections, of which a caller sees
    /// its own) any right is enough; to change it takes the right on all collections.
    pub fn may(&self, access: Access, collection: &str) -> bool {
        self.access_to(collection) >= Some(access)
    }

    /// Refuses a restore that would give a collection a name beyond the caller's rights; empty: it keeps its own.
    ///
    /// # Errors
    /// `PermissionDenied`.
    pub(crate) fn check_restore(&self, restore_as: &str) -> Result<(), Error> {
        if restore_as.is_empty() || self.may(Access::Admin, restore_as) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::PermissionDenied,
            format!(
                "{:?} lacks the right \"admin\" on the collection {restore_as:?}, which the restored one is to be called",
                self.name()
            ),
        ))
    }

    /// Whether the caller may do this to every collection there is or will be.
    pub(crate) fn may_everywhere(&self, access: Access) -> bool {
        self.rights.everywhere_access() >= Some(access)
    }

    /// The highest level on any collection.
    pub(super) fn highest_access(&self) -> Option<Access> {
        self.rights.0.iter().map(|(_, access)| *access).max()
    }

    /// The highest level on `collection`.
    pub(super) fn access_to(&self, collection: &str) -> Option<Access> {
        self.rights.access_to(collection)
    }
}

impl Rights {
    /// `access` on the collections that `patterns` name: names, or beginnings followed by `*`.
    pub(super) fn new<'a>(
        access: Access,
        patterns: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, String> {
        let mut rights = Self::default();
        for pattern in patterns {
            rights.add(access, pattern)?;
        }
        Ok(rights)
    }

    pub(super) fn everywhere(access: Access) -> Self {
        Self(vec![(Pattern::Prefix(String::new()), access)])
    }

    /// Adds a level, or says what is wrong with the pattern.
    pub(super) fn add(&mut self, access: Access, pattern: &str) -> Result<(), String> {
        let parsed = match pattern.strip_suffix('*') {
            Some(start) => Pattern::Prefix(start.to_owned()),
            None => Pattern::Name(pattern.to_owned()),
        };
        let text = match &parsed {
            Pattern::Name(text) | Pattern::Prefix(text) => text,
        };
        if pattern.is_empty() || text.contains('*') {
            return Err(format!(
                "{pattern:?} names no collections: give a name, or the beginning of names followed by one \"*\""
            ));
        }
        self.0.push((parsed, access));
        Ok(())
    }

    fn access_to(&self, collection: &str) -> Option<Access> {
        if collection.is_empty() {
            let some = self.0.first().map(|_| Access::Read);
            return self.everywhere_access().max(some);
        }
        let matching = self.0.iter().filter(|(pattern, _)| match pattern {
            Pattern::Name(name) => name == collection,
            Pattern::Prefix(start) => collection.starts_with(start.as_str()),
        });
        matching.map(|(_, access)| *access).max()
    }

    fn everywhere_access(&self) -> Option<Access> {
        let all = Pattern::Prefix(String::new());
        let on_all = self.0.iter().filter(|(pattern, _)| *pattern == all);
        on_all.map(|(_, access)| *access).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(rights: &[(&str, Access)]) -> Caller {
        let mut all = Rights::default();
        for (pattern, access) in rights {
            all.add(*access, pattern).unwrap();
        }
        Caller::new("someone", all)
    }

    #[test]
    fn a_level_includes_the_lesser_ones_and_no_other() {
        let writer = caller(&[("*", Access::Write)]);
        assert!(writer.may(Access::Read, "a") && writer.may(Access::Write, "a"));
        assert!(!writer.may(Access::Admin, "a"));
    }

    #[test]
    fn rights_end_at_the_collections_they_name() {
        let team = caller(&[("team-*", Access::Admin), ("shared", Access::Read)]);
        assert!(team.may(Access::Admin, "team-a") && team.may(Access::Admin, "team-"));
        assert!(!team.may(Access::Read, "team"));
        assert!(team.may(Access::Read, "shared") && !team.may(Access::Write, "shared"));
        assert!(!team.may(Access::Read, "shared2"));
    }

    #[test]
    fn of_several_patterns_the_highest_counts() {
        let mixed = caller(&[("*", Access::Read), ("products", Access::Write)]);
        assert!(mixed.may(Access::Write, "products") && !mixed.may(Access::Write, "other"));
        assert!(mixed.may(Access::Read, "other"));
    }

    #[test]
    fn the_database_may_be_looked_at_with_any_right_and_changed_with_those_on_all() {
        let one = caller(&[("products", Access::Admin)]);
        assert!(
            one.may(Access::Read, "") && !one.may(Access::Write, "") && !one.may(Access::Admin, "")
        );
        let all = caller(&[("*", Access::Admin)]);
        assert!(all.may(Access::Admin, ""));
        assert!(all.may_everywhere(Access::Read) && !one.may_everywhere(Access::Read));
        assert!(!caller(&[]).may(Access::Read, ""));
        assert_eq!(one.highest_access(), Some(Access::Admin));
        assert_eq!(caller(&[]).highest_access(), None);
    }

    #[test]
    fn patterns_have_one_star_at_the_end_at_most() {
        for bad in ["", "a*b", "*a", "a**"] {
            let message = Rights::new(Access::Read, [bad]).unwrap_err();
            assert!(message.contains(&format!("{bad:?}")), "{message}");
        }
    }
}
