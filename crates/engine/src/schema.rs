//! What a collection holds: its vector fields, their index, its metadata fields.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use vecdb_filter::{FieldType, did_you_mean};
use vecdb_index::IndexSpec;
use vecdb_vector::{ElementType, Metric};

use crate::error::{Error, ErrorKind, Result};
use crate::options::Durability;

/// The most dimensions a vector field may have.
pub const DIMENSION_MAX: u32 = 65_536;

/// The name of the vector field that is meant where none is named.
pub const DEFAULT_FIELD: &str = "";

/// One dense vector field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VectorField {
    /// Number of values; for `bits`, of bits.
    pub dimension: u32,
    /// How nearness is measured.
    pub metric: Metric,
    /// How the values are stored.
    pub element: ElementType,
    /// The index that sealed segments get.
    pub index: IndexSpec,
}

/// The settings of a new collection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectionConfig {
    /// Vector fields by name; today exactly one, named [`DEFAULT_FIELD`].
    pub vectors: BTreeMap<String, VectorField>,
    /// Metadata fields whose type is fixed from the start; others are inferred from the first value seen.
    #[serde(default)]
    pub fields: BTreeMap<String, FieldType>,
    /// Those of `fields` that no index is kept of from the start; [`crate::Collection::create_field_index`] makes one.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unindexed: BTreeSet<String>,
    /// When a write is acknowledged, unless the call says otherwise.
    #[serde(default)]
    pub durability: Durability,
}

impl CollectionConfig {
    /// Float32 vectors of `dimension` values under `metric`, with the default index and durability.
    pub fn new(dimension: u32, metric: Metric) -> Self {
        let element = if metric.supports(ElementType::F32) {
            ElementType::F32
        } else {
            ElementType::Bits
        };
        let field = VectorField {
            dimension,
            metric,
            element,
            index: IndexSpec::default(),
        };
        Self {
            vectors: BTreeMap::from([(DEFAULT_FIELD.to_owned(), field)]),
            fields: BTreeMap::new(),
            unindexed: BTreeSet::new(),
            durability: Durability::default(),
        }
    }

    /// Stores the vectors as `element`.
    #[must_use]
    pub fn element(mut self, element: ElementType) -> Self {
        self.for_each_field(|field| field.element = element);
        self
    }

    /// Builds `index` on sealed segments.
    #[must_use]
    pub fn index(mut self, index: IndexSpec) -> Self {
        self.for_each_field(|field| field.index = index.clone());
        self
    }

    /// Acknowledges writes as `durability` says.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Fixes the type of a metadata field.
    #[must_use]
    pub fn field(mut self, name: impl Into<String>, kind: FieldType) -> Self {
        self.fields.insert(name.into(), kind);
        self
    }

    /// Keeps no index of a metadata field whose type is fixed: filters on it read the points.
    #[must_use]
    pub fn unindexed(mut self, name: impl Into<String>) -> Self {
        self.unindexed.insert(name.into());
        self
    }

    fn for_each_field(&mut self, change: impl Fn(&mut VectorField)) {
        self.vectors.values_mut().for_each(change);
    }

    /// The default vector field.
    pub fn vector(&self) -> Result<&VectorField> {
        self.vectors
            .get(DEFAULT_FIELD)
            .ok_or_else(|| Error::invalid("the collection has no default vector field"))
    }

    /// Says what is wrong with the settings, if anything is.
    pub fn validate(&self) -> Result<()> {
        if self.vectors.len() != 1 {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "a collection has exactly one vector field for now, not {}",
                    self.vectors.len()
                ),
            ));
        }
        let field = self.vector()?;
        if field.dimension == 0 || field.dimension > DIMENSION_MAX {
            return Err(Error::invalid(format!(
                "dimension {} is not between 1 and {DIMENSION_MAX}",
                field.dimension
            )));
        }
        if !field.metric.supports(field.element) {
            let fitting: Vec<_> = Metric::ALL
                .iter()
                .filter(|m| m.supports(field.element))
                .map(ToString::to_string)
                .collect();
            return Err(Error::invalid(format!(
                "metric {} does not work on element type {}; these do: {}",
                field.metric,
                field.element,
                fitting.join(", ")
            )));
        }
        for name in &self.unindexed {
            if !self.fields.contains_key(name) {
                let declared = self.fields.keys().map(String::as_str);
                return Err(Error::invalid(format!(
                    "unindexed names the field {name:?}, which is not declared with a type{}",
                    did_you_mean(name, declared)
                )));
            }
        }
        field.index.validate()?;
        field.index.check_dim(field.dimension as usize)?;
        Ok(field.index.check_field(field.metric, field.element)?)
    }
}

/// Longest collection name, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// A collection name is 1 to 255 bytes of letters, digits, `_`, `-` and `.`, and does not start with `.`.
pub(crate) fn check_collection_name(name: &str) -> Result<()> {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty()
        || name.len() > NAME_BYTES_MAX
        || name.starts_with('.')
        || !name.chars().all(fits)
    {
        let shown: String = name.chars().take(40).collect();
        return Err(Error::invalid(format!(
            "{shown:?} is not a collection name: use 1 to {NAME_BYTES_MAX} bytes of letters, digits, '_', '-' and '.', not starting with '.'"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_named() {
        let error = CollectionConfig::new(0, Metric::L2)
            .validate()
            .unwrap_err()
            .to_string();
        assert!(error.contains("dimension 0"), "{error}");
        let error = CollectionConfig::new(8, Metric::Hamming)
            .element(ElementType::F32)
            .validate()
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("hamming does not work on element type f32"),
            "{error}"
        );
        assert!(CollectionConfig::new(8, Metric::Hamming).validate().is_ok());
        let text = || "text".parse().unwrap();
        let declared = CollectionConfig::new(8, Metric::L2).field("body", text());
        assert!(declared.clone().unindexed("body").validate().is_ok());
        let error = declared
            .unindexed("bodi")
            .validate()
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("\"bodi\"") && error.contains("did you mean body?"),
            "{error}"
        );
    }

    #[test]
    fn names_are_checked() {
        for good in ["a", "products-2026.v1", "café"] {
            check_collection_name(good).unwrap();
        }
        for bad in ["", ".hidden", "a/b", "a b", "x\0", &"n".repeat(256)] {
            assert!(check_collection_name(bad).is_err(), "{bad:?}");
        }
    }
}
