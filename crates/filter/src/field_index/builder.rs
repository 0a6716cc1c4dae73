//! Builds the field indexes of a segment in one pass over its metadata.
//!
//! Memory: about 16 bytes per number and 8 per text, and every different text of a field once.

use super::directory::{self, FieldEntry, Run};
use super::numbers::{NumberRun, key_of};
use super::posting::Posting;
use super::prefixes::{self, Prefixes};
use super::terms::{TermRun, stem_term, term_of};
use super::{DIRECTORY_SECTION, misuse, section_name};
use crate::error::FilterError;
use crate::schema::{FieldKind, MetadataSchema};
use crate::stemmer::Stemmer;
use crate::text::words;
use crate::value::{Metadata, Value, validate_name};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use vecdb_storage::SectionWriter;
use vecdb_vector::RowId;

/// Bytes gathered before they go to the section.
const CHUNK_BYTES: usize = 64 * 1024;

/// Gathers the metadata of all rows of a segment, then writes the indexes.
#[derive(Debug)]
pub struct FieldIndexBuilder {
    rows: u32,
    next: u32,
    schema: MetadataSchema,
    /// The only fields to index, if not all.
    only: Option<BTreeSet<String>>,
    fields: BTreeMap<String, FieldRows>,
    unindexed: BTreeSet<String>,
}

/// What one field has in which rows.
#[derive(Debug, Default)]
struct FieldRows {
    present: Vec<u32>,
    nulls: Vec<u32>,
    elements_max: u32,
    /// Index the words of texts, not the texts.
    words: bool,
    /// And the stems of words.
    stemmer: Option<Stemmer>,
    numbers: BTreeMap<FieldKind, Vec<(u64, u32)>>,
    terms: BTreeMap<FieldKind, Terms>,
}

/// Different terms in order of appearance, and the (term, row) pairs.
#[derive(Debug, Default)]
struct Terms {
    numbers: HashMap<Box<[u8]>, u32>,
    pairs: Vec<(u32, u32)>,
    /// Of all terms together.
    term_bytes: usize,
}

impl FieldIndexBuilder {
    /// For a segment of so many rows. The schema says which fields are indexed by their words, and which not at all.
    pub fn new(rows: u32, schema: &MetadataSchema) -> Self {
        FieldIndexBuilder {
            rows,
            next: 0,
            schema: schema.clone(),
            only: None,
            fields: BTreeMap::new(),
            unindexed: BTreeSet::new(),
        }
    }

    /// [`Self::new`] for these fields alone, whatever the schema says of their being indexed.
    pub fn of_fields(rows: u32, schema: &MetadataSchema, fields: BTreeSet<String>) -> Self {
        FieldIndexBuilder {
            only: Some(fields),
            ..FieldIndexBuilder::new(rows, schema)
        }
    }

    /// Adds the metadata of a row. Rows come in ascending order; those left out have none.
    ///
    /// # Errors
    /// A row out of order or range, a bad field name, a value that cannot be stored (NaN).
    pub fn add(&mut self, row: RowId, metadata: &Metadata) -> Result<(), FilterError> {
        let RowId(row) = row;
        if row < self.next || row >= self.rows {
            return Err(misuse(
                "row",
                format!(
                    "{row} cannot be indexed next: rows {} to {} are left",
                    self.next, self.rows
                ),
            ));
        }
        for (name, value) in metadata {
            validate_name(name)?;
            value.validate(name)?;
        }
        self.next = row + 1;
        for (name, value) in metadata {
            if self.unindexed.contains(name) {
                continue;
            }
            if let Some(field) = self.fields.get_mut(name) {
                field.add(row, value);
            } else {
                let known = self.schema.field(name).copied().unwrap_or_default();
                if self.only.as_ref().is_some_and(|only| !only.contains(name)) {
                    continue;
                }
                if known.unindexed && self.only.is_none() {
                    self.unindexed.insert(name.clone());
                    continue;
                }
                let mut field = FieldRows {
                    words: known.kind == Some(FieldKind::Text),
                    stemmer: known.stemmer,
                    ..FieldRows::default()
                };
                field.add(row, value);
                self.fields.insert(name.clone(), field);
            }
        }
        Ok(())
    }

    /// About how many bytes of memory it holds.
    pub fn memory_bytes(&self) -> u64 {
        self.fields.values().map(FieldRows::memory_bytes).sum()
    }

    /// Writes the indexes: a section per field and the directory.
    ///
    /// # Errors
    /// The disk's.
    pub fn finish(self, out: &mut SectionWriter) -> Result<(), FilterError> {
        let mut entries = Vec::new();
        for (name, field) in self.fields {
            out.begin(&section_name(&name))?;
            let mut writer = FieldWriter {
                out,
                buffer: Vec::new(),
                written: 0,
            };
            entries.push(field.write(name, self.rows, &mut writer)?);
            writer.flush()?;
            out.end()?;
        }
        let directory = directory::encode(self.rows, &entries, self.unindexed.iter());
        out.add(DIRECTORY_SECTION, &directory)?;
        Ok(())
    }
}

impl FieldRows {
    fn memory_bytes(&self) -> u64 {
        let rows = (self.present.capacity() + self.nulls.capacity()) * size_of::<u32>();
        let numbers = self.numbers.values();
        let numbers: usize = numbers
            .map(|pairs| pairs.capacity() * size_of::<(u64, u32)>())
            .sum();
        let terms: usize = self.terms.values().map(Terms::memory_bytes).sum();
        (rows + numbers + terms) as u64
    }

    fn add(&mut self, row: u32, value: &Value) {
        self.present.push(row);
        let mut elements = 0;
        for element in value.elements() {
            elements += u32::from(self.add_element(row, element));
        }
        self.elements_max = self.elements_max.max(elements);
    }

    /// Adds an element; false if it is known to stand in the row already.
    fn add_element(&mut self, row: u32, element: &Value) -> bool {
        if self.words
            && let Value::String(text) = element
        {
            let terms = self.terms.entry(FieldKind::Text).or_default();
            for word in words(text) {
                terms.add(row, word.as_bytes());
                if let Some(stemmer) = self.stemmer {
                    terms.add(row, stem_term(&stemmer.stem(&word)).as_bytes());
                }
            }
            true
        } else if let Some((kind, key)) = key_of(element) {
            self.numbers.entry(kind).or_default().push((key, row));
            true
        } else if let Some((kind, term)) = term_of(element) {
            self.terms.entry(kind).or_default().add(row, term);
            true
        } else if *element == Value::Null && self.nulls.last() != Some(&row) {
            self.nulls.push(row);
            true
        } else {
            false
        }
    }

    fn write(
        self,
        name: String,
        rows: u32,
        out: &mut FieldWriter<'_>,
    ) -> Result<FieldEntry, FilterError> {
        let present = out.posting(&self.present, rows)?;
        let nulls = out.posting(&self.nulls, rows)?;
        let mut runs = Vec::new();
        for (kind, pairs) in self.numbers {
            let one_a_row = self.elements_max == 1;
            runs.push(Run::Numbers(write_numbers(
                kind, pairs, rows, one_a_row, out,
            )?));
        }
        for (kind, terms) in self.terms {
            // Texts can be without any word.
            if terms.pairs.is_empty() {
                continue;
            }
            runs.push(Run::Terms(terms.write(kind, rows, out)?));
        }
        runs.sort_by_key(Run::kind);
        Ok(FieldEntry {
            name,
            elements_max: self.elements_max.max(1),
            words: self.words,
            stemmer: self.stemmer,
            present,
            nulls,
            runs,
        })
    }
}

fn write_numbers(
    kind: FieldKind,
    mut pairs: Vec<(u64, u32)>,
    rows: u32,
    one_a_row: bool,
    out: &mut FieldWriter<'_>,
) -> Result<NumberRun, FilterError> {
    pairs.sort_unstable();
    pairs.dedup();
    let mut run = NumberRun {
        kind,
        at: out.offset(),
        entries: pairs.len() as u64,
        distinct: pairs.chunk_by(|a, b| a.0 == b.0).count() as u64,
        prefixes: None,
    };
    pairs
        .iter()
        .try_for_each(|(key, _)| out.put(&key.to_le_bytes()))?;
    pairs
        .iter()
        .try_for_each(|(_, row)| out.put(&row.to_le_bytes()))?;
    // Areas on the earth are many small ranges.
    if one_a_row && kind != FieldKind::Geo && prefixes::pay(run.entries, rows) {
        run.prefixes = Some(Prefixes { at: out.offset() });
        let ordered: Vec<u32> = pairs.iter().map(|(_, row)| *row).collect();
        prefixes::sets(&ordered, rows).try_for_each(|set| out.put(&set))?;
    }
    Ok(run)
}

impl Terms {
    fn memory_bytes(&self) -> usize {
        // An entry of the map has a byte of its own beside key and number.
        let entry = size_of::<(Box<[u8]>, u32)>() + 1;
        self.pairs.capacity() * size_of::<(u32, u32)>()
            + self.numbers.capacity() * entry
            + self.term_bytes
    }

    fn add(&mut self, row: u32, term: &[u8]) {
        let number = match self.numbers.get(term) {
            Some(number) => *number,
            None => {
                let number = self.numbers.len() as u32;
                self.numbers.insert(term.into(), number);
                self.term_bytes += term.len();
                number
            }
        };
        self.pairs.push((number, row));
    }

    fn write(
        self,
        kind: FieldKind,
        rows: u32,
        out: &mut FieldWriter<'_>,
    ) -> Result<TermRun, FilterError> {
        let Terms {
            numbers, mut pairs, ..
        } = self;
        let mut sorted: Vec<(Box<[u8]>, u32)> = numbers.into_iter().collect();
        sorted.sort_unstable();
        let mut ranks = vec![0u32; sorted.len()];
        for (rank, (_, number)) in sorted.iter().enumerate() {
            ranks[*number as usize] = rank as u32;
        }
        for (number, _) in &mut pairs {
            *number = ranks[*number as usize];
        }
        pairs.sort_unstable();
        pairs.dedup();

        let terms_at = out.offset();
        sorted.iter().try_for_each(|(term, _)| out.put(term))?;
        let mut table = Vec::new();
        let (mut term_end, mut entries_end) = (0u64, 0u64);
        let mut members = Vec::new();
        // Every term has a pair: postings and terms go side by side.
        for (same, (term, _)) in pairs.chunk_by(|a, b| a.0 == b.0).zip(&sorted) {
            members.clear();
            members.extend(same.iter().map(|(_, row)| *row));
            let posting = out.posting(&members, rows)?;
            term_end += term.len() as u64;
            entries_end += same.len() as u64;
            for number in [term_end, posting.offset, entries_end] {
                table.extend_from_slice(&number.to_le_bytes());
            }
        }
        let run = TermRun {
            kind,
            terms_at,
            table_at: out.offset(),
            entries: entries_end,
            distinct: sorted.len() as u64,
        };
        out.put(&table)?;
        Ok(run)
    }
}

/// Writes one field's section and knows the offset in it.
struct FieldWriter<'a> {
    out: &'a mut SectionWriter,
    buffer: Vec<u8>,
    written: u64,
}

impl FieldWriter<'_> {
    fn offset(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), FilterError> {
        self.buffer.extend_from_slice(bytes);
        self.flush_if_large()
    }

    fn posting(&mut self, members: &[u32], rows: u32) -> Result<Posting, FilterError> {
        let posting = Posting::write(members, rows, self.offset(), &mut self.buffer);
        self.flush_if_large()?;
        Ok(posting)
    }

    fn flush_if_large(&mut self) -> Result<(), FilterError> {
        if self.buffer.len() < CHUNK_BYTES {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), FilterError> {
        self.out.write(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
