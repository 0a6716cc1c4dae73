//! Where a value comes from: flags over environment variables over the file.
//!
//! [`Fields`] walks one section and is asked for each key by name; what it was not asked for is unknown and refused
//! with the nearest key it was asked for.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use vecdb_engine::{Error, ErrorKind, Result};

/// What environment variables of settings begin with.
const PREFIX: &str = "VECDB_";

/// All that was said about the settings, before anything of it is understood.
#[derive(Debug, Default)]
pub(super) struct Sources {
    file: Option<(PathBuf, Value)>,
    /// By whole name.
    environment: BTreeMap<String, String>,
    /// By path, as `limits.search_threads`.
    flags: BTreeMap<String, String>,
    /// Paths that were asked for.
    known: RefCell<Vec<String>>,
}

/// Where one value was found.
#[derive(Clone, Debug, PartialEq)]
enum Origin {
    Flag,
    Environment,
    File,
}

/// One section: a prefix of paths, and the part of the file under it.
pub(super) struct Fields<'a> {
    sources: &'a Sources,
    path: String,
    file: Map<String, Value>,
    keys: Vec<&'static str>,
    /// Items of lists are in the file only.
    is_item: bool,
}

/// A value with where it was found.
pub(super) struct Found {
    pub(super) value: Value,
    path: String,
    origin: Origin,
}

impl Sources {
    /// Reads `file`, YAML or TOML by its extension, and takes what is about settings from the other two.
    pub(super) fn new(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &[(String, String)],
    ) -> Result<Self> {
        let file = match file {
            Some(path) => Some((path.to_owned(), read_file(path)?)),
            None => None,
        };
        // An empty variable is one that was not set: compose files and unit files cannot leave them out.
        let environment = environment
            .into_iter()
            .filter(|(name, value)| name.starts_with(PREFIX) && !value.is_empty());
        Ok(Self {
            file,
            environment: environment.collect(),
            flags: flags.iter().cloned().collect(),
            known: RefCell::default(),
        })
    }

    /// All settings.
    pub(super) fn root(&self) -> Result<Fields<'_>> {
        let file = match &self.file {
            None | Some((_, Value::Null)) => Map::new(),
            Some((_, Value::Object(map))) => map.clone(),
            Some((path, other)) => {
                return Err(invalid(format!(
                    "{}: the file must hold sections of settings, not {}",
                    path.display(),
                    describe(other)
                )));
            }
        };
        Ok(Fields {
            sources: self,
            path: String::new(),
            file,
            keys: Vec::new(),
            is_item: false,
        })
    }

    /// Refuses flags that nobody asked for, and environment variables of known sections.
    pub(super) fn finish(&self) -> Result<()> {
        let known = self.known.borrow();
        for path in self.flags.keys() {
            if !known.contains(path) {
                let names = known.iter().map(String::as_str);
                return Err(unknown(path, "--set", nearest(path, names)));
            }
        }
        let names: Vec<String> = known.iter().map(|path| variable(path)).collect();
        for name in self.environment.keys() {
            // Other variables of this prefix are the command line's, or made by a cluster for its services.
            let in_section = known.iter().any(|path| {
                let section = path.split('.').next().unwrap_or(path);
                name.starts_with(&format!("{}_", variable(section)))
            });
            if in_section && !names.contains(name) {
                let nearest = nearest(name, names.iter().map(String::as_str));
                return Err(unknown(name, "the environment", nearest));
            }
        }
        Ok(())
    }

    fn file_name(&self) -> String {
        let path = self.file.as_ref().map(|(path, _)| path.display());
        path.map_or_else(String::new, |path| path.to_string())
    }
}

impl<'a> Fields<'a> {
    /// The fields of the section `key`.
    pub(super) fn section(&mut self, key: &'static str) -> Result<Fields<'a>> {
        let path = self.path_of(key);
        self.keys.push(key);
        let file = match self.file.remove(key) {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(map)) => map,
            Some(other) => {
                return Err(invalid(format!(
                    "{path} is {} ({}), but must be a section with keys of its own",
                    describe(&other),
                    self.sources.file_name()
                )));
            }
        };
        Ok(Fields {
            sources: self.sources,
            path,
            file,
            keys: Vec::new(),
            is_item: self.is_item,
        })
    }

    /// The fields of an item of the list that was found.
    pub(super) fn item(&self, found: &Found, at: usize, value: Value) -> Result<Fields<'a>> {
        let path = format!("{}[{at}]", found.path);
        match value {
            Value::Object(file) => Ok(Fields {
                sources: self.sources,
                path,
                file,
                keys: Vec::new(),
                is_item: true,
            }),
            other => Err(invalid(format!(
                "{path} is {}, but must have keys of its own",
                describe(&other)
            ))),
        }
    }

    /// The value of `key`, from where it counts most. An explicit nothing in the file counts as not being there.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Found> {
        let path = self.path_of(key);
        self.keys.push(key);
        let from_file = self.file.remove(key).filter(|value| !value.is_null());
        let (value, origin) = if self.is_item {
            (from_file?, Origin::File)
        } else {
            self.sources.known.borrow_mut().push(path.clone());
            if let Some(text) = self.sources.flags.get(&path) {
                (Value::String(text.clone()), Origin::Flag)
            } else if let Some(text) = self.sources.environment.get(&variable(&path)) {
                (Value::String(text.clone()), Origin::Environment)
            } else {
                (from_file?, Origin::File)
            }
        };
        Some(Found {
            value,
            path,
            origin,
        })
    }

    /// The path of this section, for messages.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Refuses keys of the file that nobody asked for.
    pub(super) fn finish(self) -> Result<()> {
        match self.file.keys().next() {
            None => Ok(()),
            Some(key) => {
                let near = nearest(key, self.keys.iter().copied()).map(|near| self.path_of(near));
                let file = self.sources.file_name();
                Err(unknown(&self.path_of(key), &file, near.as_deref()))
            }
        }
    }

    fn path_of(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }
}

impl Found {
    /// The error that `must` was expected here. The value is shown: not for secrets.
    pub(super) fn wrong(&self, must: impl std::fmt::Display) -> Error {
        self.refuse(format_args!(
            "is {}, but must be {must}",
            describe(&self.value)
        ))
    }

    /// [`Self::wrong`] without the value.
    pub(super) fn wrong_secret(&self, must: impl std::fmt::Display) -> Error {
        self.refuse(format_args!("must be {must}"))
    }

    fn refuse(&self, what: impl std::fmt::Display) -> Error {
        let path = &self.path;
        let origin = match self.origin {
            Origin::File => String::new(),
            Origin::Flag => " (given on the command line)".to_owned(),
            Origin::Environment => format!(" (given as {})", variable(path)),
        };
        invalid(format!("{path}{origin} {what}"))
    }
}

pub(super) fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

/// The environment variable of a setting.
fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "_").to_uppercase())
}

fn unknown(name: &str, place: &str, near: Option<&str>) -> Error {
    let hint = near.map_or_else(
        || "docs/server.md lists all settings".to_owned(),
        |near| format!("did you mean {near}?"),
    );
    invalid(format!("there is no setting {name} (in {place}): {hint}"))
}

/// The name that is spelled most like an unknown one, if it is near enough to be a likely slip.
pub(crate) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    known
        .map(|known| (strsim::normalized_damerau_levenshtein(name, known), known))
        .filter(|(likeness, _)| *likeness >= 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// A value as an error message shows it.
fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a section".to_owned(),
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}

fn read_file(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            std::io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
            _ => ErrorKind::Io,
        };
        let message = format!("cannot read the configuration {}: {error}", path.display());
        Error::new(kind, message)
    })?;
    let wrong = |what: String| invalid(format!("{}: {what}", path.display()));
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => toml::from_str(&text).map_err(|error| wrong(error.to_string())),
        Some("yaml" | "yml") if text.trim().is_empty() => Ok(Value::Null),
        Some("yaml" | "yml") => parse_yaml(&text).map_err(wrong),
        _ => Err(wrong(
            "a configuration ends in .yaml, .yml or .toml, so that its form is known".to_owned(),
        )),
    }
}

/// YAML as a JSON value, or what is wrong with it.
pub(super) fn parse_yaml(text: &str) -> Result<Value, String> {
    // As in YAML 1.2: of the words only true and false are booleans, `on` and `n` are text.
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}
