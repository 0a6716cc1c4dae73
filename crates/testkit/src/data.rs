//! Real vectors for tests: the larger sets where they are, else the sample that the repository ships.
//!
//! `VECDB_TEST_DATA` names the folder of the larger sets; without it `../shared/data` beside the workspace
//! is tried. Tests never fail for want of data: every loader falls back to the sample and says so.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use vecdb_dataset::{
    DatasetError, PointOptions, Vectors, open_points, open_vectors, read_ids, read_labels,
    read_vectors,
};
use vecdb_vector::{Metric, Neighbor, RowId};

use crate::recall::ground_truth;

/// True neighbours kept for each query.
pub const TRUTH_K: usize = 100;
/// Queries kept where truth has to be computed.
const QUERIES_COMPUTED: u32 = 100;

/// Where test data lies.
#[derive(Clone, Debug)]
pub struct TestData {
    /// The folder of the larger sets, if there is one.
    folder: Option<PathBuf>,
    sample: PathBuf,
}

/// One set with everything that a recall test needs.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Such as `fashion-mnist`, or `debian-packages (sample)`.
    pub name: String,
    /// The metric of the truth.
    pub metric: Metric,
    /// The rows to search.
    pub base: Vectors,
    /// The queries; their element type may differ from that of the rows.
    pub queries: Vectors,
    /// For each query up to [`TRUTH_K`] nearest rows, nearest first, with reported distances.
    pub truth: Vec<Vec<Neighbor>>,
    /// One object for each row of `base`, where the set has metadata.
    pub metadata: Option<Vec<Map<String, Value>>>,
    /// Whether this is the shipped sample.
    pub is_sample: bool,
}

/// A question as a person types it, with its embedding.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The words.
    pub text: String,
    /// Their embedding, 384 numbers.
    pub vector: Vec<f32>,
    /// A condition in the JSON form of filters.
    pub filter: Option<Value>,
}

/// Finds the data of this machine.
pub fn test_data() -> TestData {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root.canonicalize().unwrap_or(root);
    let named = std::env::var_os("VECDB_TEST_DATA").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| root.join("../shared/data"));
    TestData {
        folder: folder.is_dir().then_some(folder),
        sample: root.join("examples/debian-packages"),
    }
}

impl TestData {
    /// 60,000 images of 784 bytes, L2; metadata is the class, `{"label": 0..9}`.
    /// At most `limit` rows, as in all loaders; where that cuts the set, truth is computed anew.
    pub fn fashion_mnist(&self, limit: usize) -> Dataset {
        self.load(limit, "fashion-mnist", |folder| {
            let labels = read_labels(&folder.join("train-labels-idx1-ubyte.gz"))?;
            let label = |label: &u8| Map::from_iter([("label".to_owned(), Value::from(*label))]);
            Ok(Parts {
                metric: Metric::L2,
                base: read_some(&folder.join("train-images-idx3-ubyte.gz"), limit)?,
                queries: read_vectors(&folder.join("t10k-images-idx3-ubyte.gz"))?,
                truth: Truth::Files("groundtruth_l2_top100"),
                metadata: Some(labels.iter().map(label).collect()),
            })
        })
    }

    /// 60,069 embeddings of package descriptions, 384 x f16, cosine, f32 queries; typed metadata.
    pub fn debian(&self, limit: usize) -> Dataset {
        self.load(limit, "debian-packages", |folder| {
            Ok(Parts {
                metric: Metric::Cosine,
                base: read_some(&folder.join("base.f16.npy"), limit)?,
                queries: read_vectors(&folder.join("queries.npy"))?,
                truth: Truth::Similarities("groundtruth_ids.npy", "groundtruth_cosine.npy"),
                metadata: Some(read_metadata(&folder.join("base.jsonl"), limit)?),
            })
        })
    }

    /// 10,000 SIFT descriptors of 128 f32 (whole numbers), L2; no metadata.
    pub fn siftsmall(&self, limit: usize) -> Dataset {
        self.load(limit, "siftsmall", |folder| {
            Ok(Parts {
                metric: Metric::L2,
                base: read_some(&folder.join("siftsmall_base.fvecs"), limit)?,
                queries: read_vectors(&folder.join("siftsmall_query.fvecs"))?,
                truth: Truth::Files("groundtruth_l2_top100"),
                metadata: None,
            })
        })
    }

    /// 56,236 word vectors of 100 f32, not normalised, cosine; the word and its counts.
    pub fn imdb_words(&self, limit: usize) -> Dataset {
        self.load_plain(limit, "imdb-words-100", "f32", Metric::Cosine)
    }

    /// 97,459 review vectors of 128 f16, cosine; label, rating, movie, split, length.
    pub fn imdb_reviews(&self, limit: usize) -> Dataset {
        self.load_plain(limit, "imdb-reviews-lsa-128", "f16", Metric::Cosine)
    }

    /// 46,684 film descriptions in 16 bytes each, L2; title, ids, rating.
    pub fn movies(&self, limit: usize) -> Dataset {
        self.load_plain(limit, "movies-tmdb-16", "u8", Metric::L2)
    }

    /// 1,898 event descriptions of 1,536 i8, cosine; no metadata is loaded.
    pub fn events(&self, limit: usize) -> Dataset {
        self.load_plain(limit, "events-openai-1536", "i8", Metric::Cosine)
    }

    /// The shipped sample: 5,000 of the Debian packages, 384 x f16, cosine.
    pub fn sample(&self) -> Dataset {
        let parts =
            sample_parts(&self.sample, usize::MAX).unwrap_or_else(|error| panic!("{error}"));
        self.finish(parts, "debian-packages (sample)", &self.sample, true)
    }

    /// The 24 questions shipped with the sample; three have a filter.
    pub fn sample_asks(&self) -> Vec<Ask> {
        let vectors = read_vectors(&self.sample.join("asks.npy"));
        let lines = read_metadata(&self.sample.join("asks.jsonl"), usize::MAX);
        let (vectors, lines) = match (vectors, lines) {
            (Ok(vectors), Ok(lines)) => (vectors, lines),
            (Err(error), _) | (_, Err(error)) => panic!("{error}"),
        };
        let values = vectors.to_f32();
        let ask = |(mut line, vector): (Map<String, Value>, &[f32])| Ask {
            text: line
                .get("text")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            vector: vector.to_vec(),
            filter: line.remove("filter"),
        };
        lines
            .into_iter()
            .zip(values.chunks_exact(vectors.info.dim))
            .map(ask)
            .collect()
    }

    /// The folder of one larger set, for tests of its files; `None` where it is missing.
    pub fn folder_of(&self, name: &str) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?.join(name);
        folder.is_dir().then_some(folder)
    }

    /// The folder of the shipped sample.
    pub fn sample_folder(&self) -> &Path {
        &self.sample
    }

    fn load_plain(&self, limit: usize, name: &str, element: &str, metric: Metric) -> Dataset {
        self.load(limit, name, |folder| {
            let metadata = folder.join("base_metadata.jsonl.gz");
            let metadata = match metadata.is_file() {
                true => Some(read_metadata(&metadata, limit)?),
                false => None,
            };
            Ok(Parts {
                metric,
                base: read_some(&folder.join(format!("base.{element}.npy")), limit)?,
                queries: read_vectors(&folder.join(format!("queries.{element}.npy")))?,
                truth: Truth::Files(match metric {
                    Metric::L2 => "groundtruth_l2_top100",
                    _ => "groundtruth_cosine_top100",
                }),
                metadata,
            })
        })
    }

    /// A set, or (missing folder) the sample. Damage in data that is there is a failure.
    fn load(
        &self,
        limit: usize,
        name: &str,
        parts: impl FnOnce(&Path) -> Result<Parts, DatasetError>,
    ) -> Dataset {
        match self.folder_of(name) {
            Some(folder) => {
                let parts = parts(&folder).unwrap_or_else(|error| panic!("{error}"));
                self.finish(parts, name, &folder, false)
            }
            None => {
                let parts =
                    sample_parts(&self.sample, limit).unwrap_or_else(|error| panic!("{error}"));
                let stands_in = format!("debian-packages (sample, for {name})");
                self.finish(parts, &stands_in, &self.sample, true)
            }
        }
    }

    fn finish(&self, mut parts: Parts, name: &str, folder: &Path, is_sample: bool) -> Dataset {
        let rows = parts.base.rows();
        if let Some(metadata) = &mut parts.metadata {
            metadata.truncate(rows as usize);
            assert_eq!(
                metadata.len(),
                rows as usize,
                "{name}: metadata for each row"
            );
        }
        let shipped = shipped_truth(&parts, folder).unwrap_or_else(|error| panic!("{error}"));
        // A truth over more rows than were loaded is of no use.
        let usable = shipped.iter().flatten().all(|hit| hit.row.0 < rows);
        let truth = if usable {
            shipped
        } else {
            parts.queries.truncate(QUERIES_COMPUTED);
            ground_truth(parts.metric, &parts.queries, &parts.base, TRUTH_K)
        };
        parts.queries.truncate(truth.len() as u32);
        // Not `eprintln!`: the test harness would swallow it.
        let _ = writeln!(
            std::io::stderr(),
            "test data: {name}, {rows} rows, from {}",
            folder.display()
        );
        Dataset {
            name: name.to_owned(),
            metric: parts.metric,
            base: parts.base,
            queries: parts.queries,
            truth,
            metadata: parts.metadata,
            is_sample,
        }
    }
}

struct Parts {
    metric: Metric,
    base: Vectors,
    queries: Vectors,
    truth: Truth,
    metadata: Option<Vec<Map<String, Value>>>,
}

/// How the truth of a set is stored.
enum Truth {
    /// `<prefix>.ivecs` and `<prefix>_dist.fvecs`.
    Files(&'static str),
    /// Row numbers and cosines, both .npy.
    Similarities(&'static str, &'static str),
}

fn shipped_truth(parts: &Parts, folder: &Path) -> Result<Vec<Vec<Neighbor>>, DatasetError> {
    let (ids, distances) = match parts.truth {
        Truth::Files(prefix) => (
            read_ids(&folder.join(format!("{prefix}.ivecs")))?,
            read_vectors(&folder.join(format!("{prefix}_dist.fvecs")))?,
        ),
        Truth::Similarities(ids, cosines) => (
            read_ids(&folder.join(ids))?,
            read_vectors(&folder.join(cosines))?,
        ),
    };
    let values = distances.to_f32();
    let rows = values.chunks_exact(distances.info.dim);
    assert_eq!(
        ids.len(),
        rows.len(),
        "{}: truth files fit each other",
        folder.display()
    );
    let neighbors = |(ids, values): (&Vec<u32>, &[f32])| {
        let neighbor = |(&id, &value): (&u32, &f32)| Neighbor {
            distance: match parts.truth {
                Truth::Files(_) => value,
                Truth::Similarities(..) => 1.0 - value,
            },
            row: RowId(id),
        };
        ids.iter().zip(values).map(neighbor).collect()
    };
    Ok(ids.iter().zip(rows).map(neighbors).collect())
}

fn sample_parts(folder: &Path, limit: usize) -> Result<Parts, DatasetError> {
    Ok(Parts {
        metric: Metric::Cosine,
        base: read_some(&folder.join("base.f16.npy"), limit)?,
        queries: read_vectors(&folder.join("queries.f16.npy"))?,
        truth: Truth::Files("groundtruth_cosine_top100"),
        metadata: Some(read_metadata(&folder.join("packages.jsonl.gz"), limit)?),
    })
}

/// The first `limit` rows of a file.
fn read_some(path: &Path, limit: usize) -> Result<Vectors, DatasetError> {
    let mut reader = open_vectors(path)?;
    let mut info = reader.info().clone();
    let mut bytes = Vec::new();
    let mut rows = 0;
    while rows < limit {
        match reader.read((limit - rows).min(4096), &mut bytes)? {
            0 => break,
            read => rows += read,
        }
    }
    info.rows = Some(rows as u64);
    Ok(Vectors { info, bytes })
}

/// The first `limit` lines of a file of objects, ids kept among the other fields.
fn read_metadata(path: &Path, limit: usize) -> Result<Vec<Map<String, Value>>, DatasetError> {
    let with_id = |point: vecdb_dataset::RawPoint| {
        let mut fields = point.metadata;
        fields.extend(point.id.map(|id| ("id".to_owned(), id)));
        fields
    };
    open_points(path, &PointOptions::default())?
        .take(limit)
        .map(|point| point.map(with_id))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_larger_sets_every_loader_gives_the_sample() {
        let data = TestData {
            folder: None,
            ..test_data()
        };
        assert_eq!(data.folder_of("siftsmall"), None);
        for set in [
            data.fashion_mnist(usize::MAX),
            data.debian(usize::MAX),
            data.siftsmall(usize::MAX),
            data.imdb_words(usize::MAX),
            data.imdb_reviews(usize::MAX),
            data.movies(usize::MAX),
            data.events(usize::MAX),
        ] {
            assert!(set.is_sample, "{}", set.name);
            assert_eq!(
                (set.base.rows(), set.queries.rows(), set.truth.len()),
                (5_000, 100, 100)
            );
        }
        let cut = data.siftsmall(300);
        assert_eq!((cut.base.rows(), cut.truth[0].len()), (300, TRUTH_K));
        assert!(cut.truth.iter().flatten().all(|hit| hit.row.0 < 300));
    }
}
