//! What can go wrong in an index: bad parameters, rows that do not fit, damaged bytes, a cancelled build.

use vecdb_storage::StorageError;
use vecdb_vector::{ElementType, Metric, VectorError};

/// The error of every index operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// A search knob that this kind of index does not have.
    #[error("the index kind `{kind}` has no search parameter `{knob}`; it knows: {known}")]
    UnknownKnob {
        /// Kind of the index.
        kind: &'static str,
        /// The knob that was set.
        knob: &'static str,
        /// The knobs this kind knows, comma separated.
        known: String,
    },
    /// A search knob or parameter with a value out of its range.
    #[error("`{name}` is {value}, but must be {expected}")]
    OutOfRange {
        /// Name of the parameter.
        name: &'static str,
        /// The value given.
        value: u64,
        /// What would be right.
        expected: &'static str,
    },
    /// The same for a number with a fraction.
    #[error("`{name}` is {value}, but must be {expected}")]
    BadNumber {
        /// Name of the parameter.
        name: &'static str,
        /// The value given.
        value: f64,
        /// What would be right.
        expected: &'static str,
    },
    /// A recall to look for, and a knob that says how far to look for it.
    #[error("`target_recall` takes the place of `{knob}`: give one of the two")]
    TwoTargets {
        /// The other knob.
        knob: &'static str,
    },
    /// The text of an index spec that is not one.
    #[error(
        "`{text}` is no index spec: {reason}; use `flat`, `hnsw`, `ivf`, `diskann`, `lsh` or JSON like {{\"type\":\"hnsw\",\"m\":16}}"
    )]
    BadSpec {
        /// The text given.
        text: String,
        /// Why it was refused.
        reason: String,
    },
    /// The text of a code that is none.
    #[error(
        "`{text}` is no code; there are `pq` and `opq` (with segments and bits, as in `pq16x4`), `sq4`, `sq8`, `rabitq` (with bits, as in `rabitq4`) and `binary`"
    )]
    BadCode {
        /// The text given.
        text: String,
    },
    /// The text of a code of inverted lists that is none.
    #[error(
        "`{text}` is no code of ivf lists; there are `vector`, `sq8`, `pq` and `opq` (with segments and bits, as in `pq16x4`), `sq4`, `rabitq` (with bits, as in `rabitq4`) and `binary`"
    )]
    BadListCode {
        /// The text given.
        text: String,
    },
    /// The metric cannot be computed on these elements.
    #[error("the metric `{metric}` is not defined on `{element}` vectors")]
    UnsupportedMetric {
        /// The metric asked for.
        metric: Metric,
        /// The element type of the rows.
        element: ElementType,
    },
    /// Codes that cannot stand for such vectors.
    #[error(
        "the code `{code}` cannot serve `{element}` vectors under `{metric}`; leave it out for one that can"
    )]
    UnsupportedCode {
        /// The code asked for.
        code: String,
        /// The metric.
        metric: Metric,
        /// The element type of the rows.
        element: ElementType,
    },
    /// Rows, query or mask do not belong to this index.
    #[error("{what}: expected {expected}, got {got}")]
    Mismatch {
        /// What was compared.
        what: &'static str,
        /// What the index holds.
        expected: String,
        /// What it was given.
        got: String,
    },
    /// Fewer rows than a training needs.
    #[error("{what} needs at least {needed} rows to learn from, but there are {rows}")]
    TooFewRows {
        /// What was to be trained.
        what: &'static str,
        /// Rows needed.
        needed: u64,
        /// Rows given.
        rows: u64,
    },
    /// More rows than one index can number.
    #[error("an index holds at most {limit} rows, not {rows}")]
    TooManyRows {
        /// Rows given.
        rows: u64,
        /// The largest count possible.
        limit: u64,
    },
    /// Stored bytes that no writer of ours produced.
    #[error("corrupt index section `{section}`: {what}")]
    Corrupt {
        /// The section of the file.
        section: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// A block of an index on disk that could not be read.
    #[error("cannot read block {block} with the nodes {first} to {last}: {source}")]
    Unread {
        /// The block.
        block: u32,
        /// Its first node.
        first: u32,
        /// Its last node.
        last: u32,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// Vectors on the disk that could not be read.
    #[error("cannot read the vectors from row {row} on: {source}")]
    Vectors {
        /// The first row asked for.
        row: u32,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A build that does not fit its memory limit.
    #[error("a memory limit of {limit} bytes is too small for this build, which needs {needed}")]
    MemoryLimit {
        /// The limit given.
        limit: u64,
        /// What would be enough.
        needed: u64,
    },
    /// The pages of an index on disk cannot be read at all.
    #[error("cannot read the pages of the index: {source}")]
    Reader {
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The build was cancelled.
    #[error("the index build was cancelled")]
    Cancelled,
    /// A worker thread of a build died.
    #[error("a worker thread of the index build panicked")]
    WorkerPanicked,
    /// An error of the vectors.
    #[error(transparent)]
    Vector(#[from] VectorError),
    /// An error of the file.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
