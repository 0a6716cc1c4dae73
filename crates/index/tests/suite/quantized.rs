//! Lists of quantized rows: what they find, what they take, what they refuse.

use vecdb_index::{
    AnnIndex, Budget, BuildOptions, IndexSpec, Ivf, IvfCode, IvfParams, Scratch, SearchParams,
    build_extending,
};
use vecdb_vector::{ElementType, Metric, RowId};

use crate::fixture::{Rows, save, sections};

/// IVF over a code, by its name.
pub(crate) fn spec(code: &str) -> IndexSpec {
    IndexSpec::Ivf(params(code))
}

fn params(code: &str) -> IvfParams {
    IvfParams {
        code: Some(code.parse().unwrap()),
        ..IvfParams::default()
    }
}

fn built(rows: &Rows, code: &str) -> Ivf {
    let options = BuildOptions::default();
    Ivf::build(&params(code), rows.metric, rows.view(), &options).unwrap()
}

fn lists_of(index: &dyn AnnIndex) -> &Ivf {
    index.as_any().downcast_ref().unwrap()
}

/// Mean recall at 10 with a depth of re-ranking.
fn recall(rows: &Rows, index: &Ivf, rerank: Option<u32>) -> f64 {
    let params = SearchParams {
        rerank,
        ..SearchParams::default()
    };
    let mut found = 0;
    for query in &rows.queries {
        let limit = rows.exact(query, 10, None)[9].distance;
        let budget = Budget::UNLIMITED;
        let (hits, _) = rows
            .try_search(index, query, 10, None, &params, &budget)
            .unwrap();
        found += hits.iter().filter(|hit| hit.distance <= limit).count();
    }
    found as f64 / (10 * rows.queries.len()) as f64
}

#[test]
fn more_bits_need_fewer_candidates() {
    let rows = Rows::new(Metric::L2, ElementType::F32, 8_000, 32);
    let depths: Vec<usize> = ["rabitq", "rabitq2", "rabitq4", "rabitq7"]
        .map(|code| built(&rows, code).default_rerank(10))
        .into();
    assert!(depths.is_sorted_by(|a, b| a >= b), "{depths:?}");
    assert!(depths[0] > depths[3] && depths[3] < 15, "{depths:?}");
}

#[test]
fn candidates_by_codes_are_measured_by_their_vectors() {
    let rows = Rows::new(Metric::L2, ElementType::F32, 8_000, 32);
    for code in ["pq", "rabitq"] {
        let index = built(&rows, code);
        let few = recall(&rows, &index, Some(10));
        let many = recall(&rows, &index, Some(2_000));
        assert!(many >= 0.98 && few < many, "{code}: {few} {many}");
        for query in &rows.queries {
            let (hits, _) = rows.search(&index, query, 10, None);
            for hit in hits {
                let all = rows.exact(query, 8_000, None);
                let truth = all.iter().find(|truth| truth.row == hit.row).unwrap();
                assert_eq!(truth.distance, hit.distance, "{code}");
            }
        }
    }
}

#[test]
fn codes_take_the_bytes_that_they_say() {
    let rows = Rows::new(Metric::L2, ElementType::F32, 6_400, 32);
    for (code, bytes) in [
        ("pq8x4", 4 + 4),
        ("pq8x8", 8 + 4),
        ("pq8x12", 12 + 4),
        ("sq4", 16 + 4),
        ("binary", 4 + 4),
        // Padded to 64 dimensions.
        ("rabitq", 8 + 4),
        ("rabitq3", 24 + 12),
    ] {
        let index = built(&rows, code);
        assert_eq!(index.code().to_string(), code);
        assert_eq!(index.quantizer().unwrap().code_bytes(), bytes, "{code}");
        let lists = u64::from(index.lists()) * (32 + 1) * 4 + 4 + 6_400 * 4;
        let learned = index.quantizer().unwrap().trained_bytes();
        let codes = index.memory_bytes() - lists - learned;
        assert_eq!(codes, 6_400 * bytes as u64, "{code}");
    }
}

#[test]
fn what_was_learned_serves_more_rows() {
    let rows = Rows::new(Metric::L2, ElementType::F32, 4_000, 16);
    let first = built(&rows, "pq");
    let remap: Vec<_> = (0..rows.count).map(|row| Some(RowId(row))).collect();
    let options = BuildOptions::default();
    let extended = build_extending(
        &spec("pq"),
        Metric::L2,
        rows.view(),
        &options,
        &first,
        &remap,
    )
    .unwrap();
    assert!(sections(&save(&*extended)) == sections(&save(&first)));
    let other = build_extending(
        &spec("rabitq"),
        Metric::L2,
        rows.view(),
        &options,
        &first,
        &remap,
    )
    .unwrap();
    assert_eq!(lists_of(&*other).code().to_string(), "rabitq");
}

#[test]
fn a_warm_scratch_serves_every_code() {
    let rows = Rows::new(Metric::Dot, ElementType::F32, 3_000, 12);
    let mut scratch = Scratch::new();
    for code in ["pq", "rabitq3", "sq8", "vector", "pq3x8", "binary", "pq3x5"] {
        let index = built(&rows, code);
        for query in rows.queries.iter().take(5) {
            let (fresh, stats) = rows.search(&index, query, 10, None);
            let mut hits = Vec::new();
            let params = SearchParams::default();
            let again = index
                .search(
                    rows.view(),
                    query,
                    10,
                    None,
                    &params,
                    &Budget::UNLIMITED,
                    &mut scratch,
                    &mut hits,
                )
                .unwrap();
            assert_eq!((fresh, stats), (hits, again), "{code}");
        }
    }
}

#[test]
fn codes_that_cannot_be_are_refused() {
    let build = |code: &str, metric, element, dim| {
        let rows = Rows::new(metric, element, 300, dim);
        let options = BuildOptions::default();
        let built = Ivf::build(&params(code), metric, rows.view(), &options);
        built.map(|_| ()).unwrap_err().to_string()
    };
    let (l2, f32) = (Metric::L2, ElementType::F32);
    let error = build("pq9x4", l2, f32, 8);
    assert!(
        error.contains("`m` is 9") && error.contains("dimensions"),
        "{error}"
    );
    let error = build("rabitq", Metric::L1, f32, 8);
    assert!(
        error.contains("`rabitq`") && error.contains("l1"),
        "{error}"
    );
    let error = build("pq", Metric::Hamming, ElementType::Bits, 64);
    assert!(
        error.contains("`pq`") && error.contains("hamming"),
        "{error}"
    );
    let error = "pq8x13".parse::<IvfCode>().unwrap_err().to_string();
    assert!(error.contains("from 4 to 12"), "{error}");
    let error = "sq9x".parse::<IvfCode>().unwrap_err().to_string();
    assert!(
        error.contains("`vector`") && error.contains("`sq9x`"),
        "{error}"
    );
}
