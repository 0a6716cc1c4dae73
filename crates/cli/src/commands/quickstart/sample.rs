//! The sample: part of the program, so that it works from any folder, and unpacked for the file readers.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;
use vecdb_dataset::{Vectors, read_vectors};
use vecdb_engine::{Filter, SearchRequest};

use crate::failure::{Failure, Outcome};

/// Numbers per vector.
pub(super) const DIMENSION: u32 = 384;
/// Hits per question.
const LIMIT: usize = 5;

/// The files of the sample, cut by `examples/debian-packages/cut.py`.
macro_rules! sample {
    ($name:literal) => {
        (
            $name,
            include_bytes!(concat!("../../../../../examples/debian-packages/", $name)) as &[u8],
        )
    };
}
pub(super) const VECTORS: (&str, &[u8]) = sample!("base.f16.npy");
pub(super) const PACKAGES: (&str, &[u8]) = sample!("packages.jsonl.gz");
const ASK_VECTORS: (&str, &[u8]) = sample!("asks.npy");
const ASKS: (&str, &[u8]) = sample!("asks.jsonl");
pub(super) const QUERIES: (&str, &[u8]) = sample!("queries.f16.npy");

/// A question as a person typed it.
pub(super) struct Ask {
    pub(super) text: String,
    pub(super) filter: Value,
    vector: Vec<f32>,
}

impl Ask {
    pub(super) fn request(&self) -> Outcome<SearchRequest> {
        Ok(SearchRequest::new(self.vector.clone())
            .limit(LIMIT)
            .filter(Filter::parse(&self.filter)?))
    }
}

/// The questions that come with a filter.
pub(super) fn asks(files: &Unpacked) -> Outcome<Vec<Ask>> {
    #[derive(Deserialize)]
    struct Line {
        text: String,
        filter: Option<Value>,
    }
    let vectors = files.vectors(ASK_VECTORS)?.to_f32();
    let lines = serde_json::Deserializer::from_slice(ASKS.1).into_iter::<Line>();
    let mut asks = Vec::new();
    for (line, vector) in lines.zip(vectors.chunks_exact(DIMENSION as usize)) {
        let line =
            line.map_err(|error| Failure::usage(format!("the questions of the sample: {error}")))?;
        if let Some(filter) = line.filter {
            asks.push(Ask {
                text: line.text,
                filter,
                vector: vector.to_vec(),
            });
        }
    }
    Ok(asks)
}

/// The sample as files, for the readers. Removed when dropped.
pub(super) struct Unpacked(PathBuf);

impl Unpacked {
    pub(super) fn new() -> Outcome<Self> {
        let folder = std::env::temp_dir().join(format!("vecdb-quickstart-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|error| Failure::file(&folder, &error))?;
        let unpacked = Self(folder);
        for (name, bytes) in [VECTORS, PACKAGES, ASK_VECTORS, QUERIES] {
            let path = unpacked.0.join(name);
            std::fs::write(&path, bytes).map_err(|error| Failure::file(&path, &error))?;
        }
        Ok(unpacked)
    }

    pub(super) fn path(&self, (name, _): (&str, &[u8])) -> PathBuf {
        self.0.join(name)
    }

    pub(super) fn vectors(&self, file: (&str, &[u8])) -> Outcome<Vectors> {
        Ok(read_vectors(&self.path(file))?)
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        // A rest in the temporary folder is no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
