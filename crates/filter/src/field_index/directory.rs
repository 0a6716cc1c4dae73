//! The directory of field indexes: what each field has and where it lies.
//!
//! `format` (u8, 1 to 4), `rows` (u32), count of fields, then per field in ascending order of names: name,
//! most elements of one row, from format 2 on whether its words are indexed instead of its values (u8, 0 or 1; from
//! format 3 on 2 and more where stems are indexed as well: the number of the stemmer and 2),
//! the postings of present and null rows (count, offset each), count of runs,
//! and per run in order of kinds: kind (u8: 0 bool, 1 int, 2 float, 3 date-time, 4 string, 5 word, 6 point on the
//! earth), pairs, different values, offset of the keys or of the terms, for terms the offset of the table, and from
//! format 4 on for numbers the offset of the sets of [`prefixes`](super::prefixes), 0 where there are none.
//! From format 2 on, the count of fields that rows have but nobody indexed, and their names in ascending order.
//! Counts and offsets are varints; no offset is followed here, only when its rows are asked for.

use super::field_bytes::FieldBytes;
use super::numbers::NumberRun;
use super::posting::Posting;
use super::prefixes::Prefixes;
use super::terms::TermRun;
use crate::error::FilterError;
use crate::schema::FieldKind;
use crate::stemmer::Stemmer;
use std::collections::BTreeSet;
use vecdb_storage::bytes::{BytesError, Reader, Writer};

const FORMAT: u8 = 4;
/// What is written where no run has prefixes.
const FORMAT_WITHOUT_PREFIXES: u8 = 3;
/// What is written where no field has a stemmer either.
const FORMAT_WITHOUT_STEMS: u8 = 2;

/// Where stems are indexed, the number of the stemmer stands this much higher.
const STEMS: u8 = 2;

/// What the directory says of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldEntry {
    pub(super) name: String,
    /// Most different elements (nulls included) that a row has; at least 1.
    pub(super) elements_max: u32,
    /// The words of its texts are indexed, not the texts.
    pub(super) words: bool,
    /// The stems of words are indexed as well.
    pub(super) stemmer: Option<Stemmer>,
    pub(super) present: Posting,
    pub(super) nulls: Posting,
    pub(super) runs: Vec<Run>,
}

/// The index of the values of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run {
    Numbers(NumberRun),
    Terms(TermRun),
}

impl Run {
    pub(super) fn kind(&self) -> FieldKind {
        match self {
            Run::Numbers(run) => run.kind,
            Run::Terms(run) => run.kind,
        }
    }

    /// Pairs of row and value.
    pub(super) fn entries(&self) -> u64 {
        match self {
            Run::Numbers(run) => run.entries,
            Run::Terms(run) => run.entries,
        }
    }

    /// Different values.
    pub(super) fn distinct(&self) -> u64 {
        match self {
            Run::Numbers(run) => run.distinct,
            Run::Terms(run) => run.distinct,
        }
    }
}

pub(super) fn encode<'a>(
    rows: u32,
    entries: &[FieldEntry],
    unindexed: impl ExactSizeIterator<Item = &'a String>,
) -> Vec<u8> {
    let mut writer = Writer::new();
    let stemmed = entries.iter().any(|entry| entry.stemmer.is_some());
    let mut runs = entries.iter().flat_map(|entry| &entry.runs);
    let prefixed = runs.any(|run| matches!(run, Run::Numbers(run) if run.prefixes.is_some()));
    let format = match (prefixed, stemmed) {
        (true, _) => FORMAT,
        (false, true) => FORMAT_WITHOUT_PREFIXES,
        (false, false) => FORMAT_WITHOUT_STEMS,
    };
    writer.u8(format).u32(rows).varint(entries.len() as u64);
    for entry in entries {
        writer.str(&entry.name).varint(entry.elements_max.into());
        writer.u8(match entry.stemmer {
            Some(stemmer) => STEMS + stemmer.number(),
            None => entry.words.into(),
        });
        for posting in [entry.present, entry.nulls] {
            writer.varint(posting.count.into()).varint(posting.offset);
        }
        writer.varint(entry.runs.len() as u64);
        for run in &entry.runs {
            writer.u8(kind_number(run.kind()));
            writer.varint(run.entries()).varint(run.distinct());
            match run {
                Run::Terms(run) => writer.varint(run.terms_at).varint(run.table_at),
                Run::Numbers(run) if !prefixed => writer.varint(run.at),
                Run::Numbers(run) => writer
                    .varint(run.at)
                    .varint(run.prefixes.map_or(0, |prefixes| prefixes.at)),
            };
        }
    }
    writer.varint(unindexed.len() as u64);
    for name in unindexed {
        writer.str(name);
    }
    writer.into_vec()
}

/// What a directory says.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) entries: Vec<FieldEntry>,
    /// Fields that rows have and that are not indexed.
    pub(super) unindexed: BTreeSet<String>,
}

/// Reads the directory of a segment of `rows` rows.
pub(super) fn decode(bytes: &FieldBytes, rows: u32) -> Result<Directory, FilterError> {
    let content = bytes.slice(0, bytes.len())?;
    decode_entries(content, rows)
        .map_err(|BytesError { offset, what }| bytes.corrupt(offset as u64, what))
}

fn decode_entries(content: &[u8], rows: u32) -> Result<Directory, BytesError> {
    let mut reader = Reader::new(content);
    let format = reader.u8()?;
    if !(1..=FORMAT).contains(&format) {
        return Err(reader.error(format!(
            "format {format} of the directory, where 1 to {FORMAT} are known"
        )));
    }
    let written_for = reader.u32()?;
    if written_for != rows {
        return Err(reader.error(format!(
            "the indexes are of {written_for} rows, the segment has {rows}"
        )));
    }
    let mut entries: Vec<FieldEntry> = Vec::new();
    // A field takes seven bytes at least.
    for _ in 0..reader.count(7)? {
        let entry = decode_entry(&mut reader, format, rows)?;
        if entries.last().is_some_and(|last| last.name >= entry.name) {
            return Err(reader.error("the fields are not in ascending order"));
        }
        entries.push(entry);
    }
    let mut unindexed = BTreeSet::new();
    if format > 1 {
        for _ in 0..reader.count(1)? {
            let name = reader.str()?.to_owned();
            if unindexed.last().is_some_and(|last| *last >= name) {
                return Err(reader.error("the names are not in ascending order"));
            }
            unindexed.insert(name);
        }
    }
    reader.finish()?;
    Ok(Directory { entries, unindexed })
}

fn decode_entry(reader: &mut Reader<'_>, format: u8, rows: u32) -> Result<FieldEntry, BytesError> {
    let name = reader.str()?.to_owned();
    let elements_max = match reader.varint()?.try_into() {
        Ok(elements_max) if elements_max >= 1 => elements_max,
        _ => return Err(reader.error("an impossible number of elements in a row")),
    };
    let words = match format {
        1 => 0,
        _ => reader.u8()?,
    };
    let stemmer = match words.checked_sub(STEMS) {
        None => None,
        Some(number) => {
            match Stemmer::of_number(number).filter(|_| format > FORMAT_WITHOUT_STEMS) {
                Some(stemmer) => Some(stemmer),
                None => {
                    return Err(reader.error(format!("{words} where 0 or 1 belongs, or a stemmer")));
                }
            }
        }
    };
    let present = decode_posting(reader, rows)?;
    let nulls = decode_posting(reader, present.count)?;
    let mut runs: Vec<Run> = Vec::new();
    for _ in 0..reader.count(4)? {
        let run = decode_run(reader, format)?;
        if let Run::Numbers(run) = run
            && run.prefixes.is_some()
            && (elements_max > 1 || run.entries > u64::from(rows))
        {
            return Err(reader.error("prefixes of a run in which a row may stand twice"));
        }
        if runs.last().is_some_and(|last| last.kind() >= run.kind()) {
            return Err(reader.error("the runs are not in order of their kinds"));
        }
        runs.push(run);
    }
    Ok(FieldEntry {
        name,
        elements_max,
        words: words > 0,
        stemmer,
        present,
        nulls,
        runs,
    })
}

fn decode_posting(reader: &mut Reader<'_>, count_max: u32) -> Result<Posting, BytesError> {
    let count = reader.varint()?;
    let offset = reader.varint()?;
    match u32::try_from(count) {
        Ok(count) if count <= count_max => Ok(Posting { count, offset }),
        _ => Err(reader.error(format!("{count} rows where there are {count_max} at most"))),
    }
}

fn decode_run(reader: &mut Reader<'_>, format: u8) -> Result<Run, BytesError> {
    let number = reader.u8()?;
    let Some(kind) = RUN_KINDS
        .into_iter()
        .find(|kind| kind_number(*kind) == number)
    else {
        return Err(reader.error(format!("unknown kind of values {number}")));
    };
    let entries = reader.varint()?;
    let distinct = reader.varint()?;
    if distinct > entries || entries == 0 {
        return Err(reader.error(format!("{distinct} different values in {entries} pairs")));
    }
    let at = reader.varint()?;
    Ok(match kind {
        FieldKind::Bool | FieldKind::String | FieldKind::Text | FieldKind::Uuid => {
            Run::Terms(TermRun {
                kind,
                terms_at: at,
                table_at: reader.varint()?,
                entries,
                distinct,
            })
        }
        FieldKind::Int | FieldKind::Float | FieldKind::DateTime | FieldKind::Geo => {
            Run::Numbers(NumberRun {
                kind,
                at,
                entries,
                distinct,
                prefixes: match format {
                    ..=FORMAT_WITHOUT_PREFIXES => None,
                    _ => Some(reader.varint()?)
                        .filter(|at| *at > 0)
                        .map(|at| Prefixes { at }),
                },
            })
        }
    })
}

/// The kinds that have runs: unique identifiers are strings.
const RUN_KINDS: [FieldKind; 7] = [
    FieldKind::Bool,
    FieldKind::Int,
    FieldKind::Float,
    FieldKind::DateTime,
    FieldKind::String,
    FieldKind::Text,
    FieldKind::Geo,
];

/// The number of a kind on disk; never to be changed.
fn kind_number(kind: FieldKind) -> u8 {
    match kind {
        FieldKind::Bool => 0,
        FieldKind::Int => 1,
        FieldKind::Float => 2,
        FieldKind::DateTime => 3,
        FieldKind::String | FieldKind::Uuid => 4,
        FieldKind::Text => 5,
        FieldKind::Geo => 6,
    }
}
