//! Field indexes of one sealed segment: every field, every value, written once, read lazily.
//!
//! # Bytes
//! A section `field:<name>` per field and a section `fields`, the directory (see [`directory`]).
//! Numbers are little-endian. A field section holds, at the places the directory names:
//! - two postings ([`posting`]): the rows that have the field, and those where it is null or has a
//!   null element;
//! - per kind of value that occurs a run: for integers, floats, date-times and points on the earth sorted
//!   (value, row) pairs ([`numbers`]) and the sets of rows up to some of them ([`prefixes`]), for texts and truth values
//!   a sorted dictionary with postings ([`terms`]).
//!   Of a field declared as text the dictionary holds the words, and their stems where it has a stemmer.
//!
//! A field that was widened from integer to float has both runs, so no value is ever rounded.
//!
//! # Invariants
//! Opening reads the directory only: its cost grows with the number of fields, not of rows. Blocks
//! are checked against their checksums before first use; every offset and row read is compared with
//! its bounds, and what does not fit is [`FilterError::Corrupt`]. [`FieldIndexes::evaluate`] gives
//! exactly the rows for which [`Filter::matches`](crate::Filter::matches) is true; where an index cannot tell
//! (phrases, fields without index), it reads the rows in question.

mod builder;
mod collector;
mod directory;
mod estimate;
mod evaluate;
mod field_bytes;
mod numbers;
mod ordered;
mod posting;
mod prefixes;
mod spans;
mod terms;
mod words;

use crate::error::{FilterError, quoted};
use crate::expression::Filter;
use crate::schema::FieldKind;
use crate::value::Value;
use directory::{Directory, FieldEntry, Run};
use field_bytes::FieldBytes;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use terms::STEM_MARK;
use vecdb_storage::SectionFile;

pub use builder::FieldIndexBuilder;
pub use estimate::Estimate;
pub use evaluate::Evaluation;
pub use ordered::OrderedValues;

const DIRECTORY_SECTION: &str = "fields";

/// The field indexes of a segment, open for reading. Fields that no row had are absent. A clone shares them.
#[derive(Clone, Debug)]
pub struct FieldIndexes {
    rows: u32,
    fields: BTreeMap<String, Arc<FieldIndex>>,
    /// Fields that rows have and that are not indexed.
    unindexed: BTreeSet<String>,
}

/// The index of one field.
#[derive(Debug)]
struct FieldIndex {
    entry: FieldEntry,
    bytes: FieldBytes,
}

/// What an index knows of its field without reading any posting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldInfo {
    /// The field.
    pub name: String,
    /// Kind of its values in this segment; none if all are null. Integers beside floats are floats.
    pub kind: Option<FieldKind>,
    /// Rows that have the field, be it null.
    pub present: u32,
    /// Rows where it is null or has a null element.
    pub nulls: u32,
    /// Different values.
    pub distinct: u64,
    /// Pairs of row and value: more than rows if there are arrays.
    pub entries: u64,
}

impl FieldIndexes {
    /// Opens the indexes in a file of a segment with so many rows.
    ///
    /// # Errors
    /// A missing or damaged directory, or one made for another number of rows.
    pub fn open(file: &SectionFile, rows: u32) -> Result<FieldIndexes, FilterError> {
        let directory = FieldBytes::new("(directory)", file.section(DIRECTORY_SECTION)?);
        let Directory { entries, unindexed } = directory::decode(&directory, rows)?;
        let mut fields = BTreeMap::new();
        for entry in entries {
            let section = file.section(&section_name(&entry.name))?;
            let bytes = FieldBytes::new(&entry.name, section);
            fields.insert(entry.name.clone(), Arc::new(FieldIndex { entry, bytes }));
        }
        Ok(FieldIndexes {
            rows,
            fields,
            unindexed,
        })
    }

    /// Those of these indexes and of `more`, which were made for other fields of the same rows, that are to be used: of
    /// the fields that `dropped` names there is none.
    pub fn combine(
        &self,
        more: Option<&FieldIndexes>,
        dropped: impl Fn(&str) -> bool,
    ) -> FieldIndexes {
        let mut combined = FieldIndexes {
            rows: self.rows,
            fields: BTreeMap::new(),
            unindexed: self.unindexed.clone(),
        };
        let added = more.into_iter().flat_map(|more| &more.fields);
        for (name, index) in self.fields.iter().chain(added) {
            if dropped(name) {
                combined.unindexed.insert(name.clone());
            } else {
                combined.unindexed.remove(name);
                combined.fields.insert(name.clone(), index.clone());
            }
        }
        combined
    }

    /// Compares what is derived of an index with what it is derived from.
    ///
    /// # Errors
    /// The first place where they differ, and corrupt bytes.
    pub fn verify(&self) -> Result<(), FilterError> {
        for field in self.fields.values() {
            for run in &field.entry.runs {
                if let Run::Numbers(run) = run {
                    run.verify(&field.bytes, self.rows)?;
                }
            }
        }
        Ok(())
    }

    /// Rows of the segment.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// The fields indexed, in order of their names.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = FieldInfo> {
        self.fields.values().map(|field| field.entry.info())
    }

    /// Whether there is an index of a field.
    pub fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    /// Whether a field's rows can be told by its values, without reading them; none where it is not indexed at all.
    pub fn is_by_value(&self, field: &str) -> Option<bool> {
        let words = self
            .fields
            .get(field)
            .is_some_and(|field| field.entry.words);
        (!self.unindexed.contains(field)).then_some(!words)
    }

    /// Fields that rows have and that are not indexed, in order of their names.
    pub fn unindexed(&self) -> impl ExactSizeIterator<Item = &str> {
        self.unindexed.iter().map(String::as_str)
    }

    /// Those of them that a filter names.
    pub fn unindexed_of(&self, filter: &Filter) -> BTreeSet<String> {
        let conditions = filter.conditions().into_iter();
        conditions
            .filter_map(Filter::field)
            .filter(|field| self.unindexed.contains(*field))
            .map(str::to_owned)
            .collect()
    }

    /// The most frequent values of a field with the number of rows that have them; the more frequent
    /// first, ties in order of value. Empty for a field that no row has. Nulls are not
    /// listed; of a field declared as text it is the words.
    ///
    /// # Errors
    /// Corrupt bytes.
    pub fn values(&self, field: &str, limit: usize) -> Result<Vec<(Value, u32)>, FilterError> {
        let Some(field) = self.fields.get(field) else {
            return Ok(Vec::new());
        };
        // The heap's greatest is the first to go: the rarest, of those the last met.
        let mut frequent = BinaryHeap::new();
        let mut met = 0u64;
        for (at, run) in field.entry.runs.iter().enumerate() {
            let stems = match run {
                Run::Terms(run) if field.entry.stemmer.is_some() => {
                    run.prefix_range(&field.bytes, STEM_MARK.as_bytes())?
                }
                _ => (0, 0),
            };
            run.for_each_value(&field.bytes, |count, place| {
                if (stems.0..stems.1).contains(&place) {
                    return;
                }
                frequent.push((Reverse(count), met, at, place));
                met += 1;
                if frequent.len() > limit {
                    frequent.pop();
                }
            })?;
        }
        frequent
            .into_sorted_vec()
            .into_iter()
            .filter_map(|(Reverse(count), _, at, place)| {
                let run = field.entry.runs.get(at)?;
                Some(run.value(&field.bytes, place).map(|value| (value, count)))
            })
            .collect()
    }
}

impl Run {
    /// Calls back with the number of rows and the place of each different value, in order.
    fn for_each_value(
        &self,
        bytes: &FieldBytes,
        found: impl FnMut(u32, u64),
    ) -> Result<(), FilterError> {
        match self {
            Run::Numbers(run) => run.for_each_value(bytes, found),
            Run::Terms(run) => run.for_each_value(bytes, found),
        }
    }

    /// The value at a place.
    fn value(&self, bytes: &FieldBytes, place: u64) -> Result<Value, FilterError> {
        match self {
            Run::Numbers(run) => run.value(bytes, place),
            Run::Terms(run) => run.value(bytes, place),
        }
    }
}

impl FieldEntry {
    fn info(&self) -> FieldInfo {
        FieldInfo {
            name: self.name.clone(),
            // Runs stand in order of their kinds, and the float run follows the integer run.
            kind: self.runs.last().map(Run::kind),
            present: self.present.count,
            nulls: self.nulls.count,
            distinct: self.runs.iter().map(Run::distinct).sum(),
            entries: self.runs.iter().map(Run::entries).sum(),
        }
    }
}

fn section_name(field: &str) -> String {
    format!("field:{field}")
}

fn misuse(field: &str, what: String) -> FilterError {
    FilterError::BadMetadata {
        path: quoted(field),
        what,
    }
}
