//! The readers on real files, and the truth that comes with the files against our own exact search.
//!
//! Where the larger sets are missing the loaders give the shipped sample, and the same checks run on it.

use std::path::Path;

use vecdb_dataset::{PointOptions, open_points, open_vectors, read_vectors, zip_metadata};
use vecdb_testkit::data::{Dataset, test_data};
use vecdb_testkit::recall::{TOLERANCE, ground_truth, mean_recall};
use vecdb_vector::{ElementType, Metric, Neighbor};

/// Exact search over all rows is slow without blocking kernels: a few queries tell enough.
const QUERIES_CHECKED: u32 = 10;

/// Shape as documented, and our exact search agrees with the truth in the files.
fn check(mut set: Dataset, rows: u32, dim: usize, element: ElementType, metric: Metric) {
    let sample = (5_000, 384, ElementType::F16, Metric::Cosine);
    let expected = if set.is_sample {
        sample
    } else {
        (rows, dim, element, metric)
    };
    let found = (
        set.base.rows(),
        set.base.info.dim,
        set.base.info.element,
        set.metric,
    );
    assert_eq!(found, expected, "{}", set.name);
    assert_eq!(set.queries.info.dim, set.base.info.dim, "{}", set.name);
    assert_eq!(set.queries.rows() as usize, set.truth.len(), "{}", set.name);
    assert!(
        set.truth.iter().all(|truth| is_ascending(truth)),
        "{}: nearest first",
        set.name
    );

    set.queries.truncate(QUERIES_CHECKED);
    set.truth.truncate(QUERIES_CHECKED as usize);
    let found = ground_truth(set.metric, &set.queries, &set.base, 100);
    let recall = mean_recall(&found, &set.truth, 100, tolerance(&set));
    assert!(
        recall > 0.9999,
        "{}: recall {recall} of exact search",
        set.name
    );
    for (found, truth) in found.iter().zip(&set.truth) {
        let (found, truth) = (found[99].distance, truth[99].distance);
        assert!(
            (found - truth).abs() <= tolerance(&set),
            "{}: {found} is not {truth}",
            set.name
        );
    }
}

/// L2 distances of these sets reach thousands; cosine distances stay below 2.
fn tolerance(set: &Dataset) -> f32 {
    match set.metric {
        Metric::L2 => set.truth[0][0].distance.abs().max(1.0) * TOLERANCE,
        _ => TOLERANCE,
    }
}

/// By distance alone: the files break ties of rounded distances by the unrounded ones.
fn is_ascending(truth: &[Neighbor]) -> bool {
    truth.is_sorted_by(|a, b| a.distance <= b.distance)
}

#[test]
fn fashion_mnist() {
    let set = test_data().fashion_mnist(usize::MAX);
    if let (false, Some(metadata)) = (set.is_sample, &set.metadata) {
        let mut counts = [0; 10];
        for label in metadata {
            counts[label["label"].as_u64().unwrap() as usize] += 1;
        }
        assert_eq!(counts, [6_000; 10], "each class as often");
    }
    check(set, 60_000, 784, ElementType::U8, Metric::L2);
}

#[test]
fn debian() {
    let set = test_data().debian(usize::MAX);
    let metadata = set.metadata.as_ref().unwrap();
    assert!(
        metadata
            .iter()
            .all(|row| row["installed_size_kb"].is_u64() && row["tags"].is_array())
    );
    check(set, 60_069, 384, ElementType::F16, Metric::Cosine);
}

#[test]
fn siftsmall() {
    check(
        test_data().siftsmall(usize::MAX),
        10_000,
        128,
        ElementType::F32,
        Metric::L2,
    );
}

#[test]
fn imdb_words() {
    check(
        test_data().imdb_words(usize::MAX),
        56_236,
        100,
        ElementType::F32,
        Metric::Cosine,
    );
}

#[test]
fn imdb_reviews() {
    check(
        test_data().imdb_reviews(usize::MAX),
        97_459,
        128,
        ElementType::F16,
        Metric::Cosine,
    );
}

#[test]
fn movies() {
    check(
        test_data().movies(usize::MAX),
        46_684,
        16,
        ElementType::U8,
        Metric::L2,
    );
}

#[test]
fn events() {
    check(
        test_data().events(usize::MAX),
        1_898,
        1_536,
        ElementType::I8,
        Metric::Cosine,
    );
}

#[test]
fn a_limit_cuts_rows_metadata_and_truth() {
    let set = test_data().debian(700);
    assert_eq!(set.base.rows(), 700);
    assert_eq!(set.metadata.as_ref().map(Vec::len), Some(700));
    assert_eq!((set.queries.rows(), set.truth.len()), (100, 100));
    assert!(set.truth.iter().flatten().all(|hit| hit.row.0 < 700));
    assert!(
        set.truth
            .iter()
            .all(|truth| truth.len() == 100 && is_ascending(truth))
    );
}

#[test]
fn points_with_metadata_from_a_second_file() {
    let data = test_data();
    let (folder, vectors, metadata) = match data.folder_of("imdb-words-100") {
        Some(folder) => (folder, "base.f32.npy", "base_metadata.jsonl.gz"),
        None => (
            data.sample_folder().to_path_buf(),
            "base.f16.npy",
            "packages.jsonl.gz",
        ),
    };
    let options = PointOptions::default();
    let points = open_points(&folder.join(vectors), &options).unwrap();
    let rows = points.rows().unwrap();
    let zipped = zip_metadata(points, &folder.join(metadata), &options).unwrap();
    let mut count = 0;
    for point in zipped {
        let point = point.unwrap();
        assert!(point.vector.is_some() && point.id.is_some() && !point.metadata.is_empty());
        count += 1;
    }
    assert_eq!(count, rows);
}

#[test]
fn streaming_and_reading_whole_agree() {
    let data = test_data();
    let images = data
        .folder_of("fashion-mnist")
        .map(|folder| folder.join("t10k-images-idx3-ubyte.gz"));
    let path = images.unwrap_or_else(|| data.sample_folder().join("base.f16.npy"));
    let whole = read_vectors(&path).unwrap();
    let mut reader = open_vectors(&path).unwrap();
    let mut bytes = Vec::new();
    while reader.read(777, &mut bytes).unwrap() > 0 {}
    assert!(bytes == whole.bytes, "{path:?} read in pieces differs");
}

#[test]
fn the_shipped_sample_is_whole() {
    let data = test_data();
    let sample = data.sample();
    assert!(sample.is_sample);
    let asks = data.sample_asks();
    assert_eq!(asks.len(), 24);
    assert!(
        asks.iter()
            .all(|ask| ask.vector.len() == 384 && !ask.text.is_empty())
    );
    assert_eq!(asks.iter().filter(|ask| ask.filter.is_some()).count(), 3);
    let bytes: u64 = files_of(data.sample_folder());
    assert!(bytes <= 6_000_000, "{bytes} bytes in the repository");
    let metadata = sample.metadata.as_ref().unwrap();
    let chess = metadata
        .iter()
        .filter(|row| row["id"] == "gnome-chess")
        .count();
    assert_eq!(chess, 1, "neighbours of the questions are in the sample");
    check(sample, 5_000, 384, ElementType::F16, Metric::Cosine);
}

fn files_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum()
}
