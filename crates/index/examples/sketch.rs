//! What search by 1-bit sketches finds and costs, beside the exact scan.
//!
//!     cargo run --release -p vecdb-index --example sketch [-- ROWS [SET]]
//!
//! SET is `fashion` (60,000 x 784 as f32, L2; the default), `dot` (the same, inner product), `debian` (384 x f16,
//! cosine) or `words` (100 x f32, cosine), found as the tests find their data (`VECDB_TEST_DATA`). Prints, on one
//! thread: encoding time per row, time per search of both, exact distances computed, and recall@10 against the scan.

use std::time::{Duration, Instant};

use vecdb_index::{Budget, SketchQuery, SketchScratch, SketchSpace, Sketches, scan_sketched};
use vecdb_testkit::data::{Dataset, test_data};
use vecdb_vector::{
    ElementType, Kernels, Metric, Neighbor, Query, RowId, TopK, VectorRows, inverse_norm, scan,
};

const K: usize = 10;
const QUERIES: u32 = 200;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let limit = arguments.next().and_then(|n| n.parse().ok());
    let set = arguments.next().unwrap_or_else(|| "fashion".to_owned());
    let load = |load: fn(&vecdb_testkit::data::TestData, usize) -> Dataset| {
        load(&test_data(), limit.unwrap_or(60_000))
    };
    let data = match set.as_str() {
        "debian" => load(|data, limit| data.debian(limit)),
        "words" => load(|data, limit| data.imdb_words(limit)),
        _ => load(|data, limit| data.fashion_mnist(limit)),
    };
    let metric = match set.as_str() {
        "dot" => Metric::Dot,
        _ => data.metric,
    };
    let as_f32;
    let norms: Vec<f32>;
    let mut rows = data.base.as_rows();
    if rows.element() == ElementType::U8 {
        as_f32 = data.base.to_f32();
        rows = VectorRows::from_f32(rows.dim(), &as_f32).expect("whole rows");
    }
    if metric.needs_norms() {
        let norm = |row| inverse_norm(rows.element(), rows.dim(), rows.row_bytes(RowId(row)));
        norms = (0..rows.len()).map(norm).collect();
        rows = rows.with_inverse_norms(&norms).expect("one for each row");
    }

    let start = Instant::now();
    let space = SketchSpace::new(metric, rows, 1).expect("a metric that sketches serve");
    let centred = start.elapsed();
    let start = Instant::now();
    let sketches = Sketches::encode(&space, rows);
    let encoded = start.elapsed();
    println!(
        "{} rows of {} x {} under {metric}: centre {:.1} ms, encoding {:.2} us a row, {} bytes a row",
        rows.len(),
        rows.dim(),
        rows.element(),
        centred.as_secs_f64() * 1e3,
        encoded.as_secs_f64() * 1e6 / f64::from(rows.len()),
        sketches.bytes() / u64::from(rows.len()),
    );

    let queries = data.queries.as_rows();
    let mut values = vec![0.0; queries.dim()];
    let queries: Vec<Query> = (0..queries.len().min(QUERIES))
        .map(|row| {
            queries.to_f32(RowId(row), &mut values);
            Query::new(metric, rows.element(), rows.dim(), &values).expect("a stored query")
        })
        .collect();
    let kernels = Kernels::detect();
    let (exact, exact_times) = run(&queries, |query, top| {
        scan(kernels, query, rows, None, top);
    });
    let mut scratch = SketchScratch::default();
    let mut prepared = SketchQuery::new(&space, &queries[0]).expect("a query of the space");
    let mut preparing = Duration::ZERO;
    let mut computed = Vec::new();
    let mut sketched_search = |query: &Query, top: &mut TopK| {
        let start = Instant::now();
        prepared.set(&space, query).expect("a query of the space");
        preparing += start.elapsed();
        let stats = scan_sketched(
            kernels,
            &space,
            &sketches,
            &prepared,
            query,
            rows,
            None,
            &Budget::UNLIMITED,
            top,
            &mut scratch,
        );
        computed.push(stats.counters.distance_computations);
    };
    run(&queries, &mut sketched_search);
    let (found, times) = run(&queries, &mut sketched_search);

    let hits: usize = found
        .iter()
        .zip(&exact)
        .map(|(found, exact)| found.iter().filter(|hit| exact.contains(hit)).count())
        .sum();
    let wanted: usize = exact.iter().map(Vec::len).sum();
    computed.sort_unstable();
    println!("exact scan:  {}", summary(exact_times));
    println!("by sketches: {}", summary(times));
    println!(
        "  of which the query {:.1} us; {} exact distances a search ({:.3} % of rows), 99 % below {}; recall@{K} {:.4}",
        preparing.as_secs_f64() * 1e6 / computed.len() as f64,
        computed.iter().sum::<u64>() / computed.len() as u64,
        computed.iter().sum::<u64>() as f64 / computed.len() as f64 / f64::from(rows.len()) * 100.0,
        computed[computed.len() * 99 / 100],
        hits as f64 / wanted as f64,
    );
}

/// Runs every query; gives the neighbours and the time of each.
fn run(
    queries: &[Query],
    mut search: impl FnMut(&Query, &mut TopK),
) -> (Vec<Vec<Neighbor>>, Vec<Duration>) {
    let mut top = TopK::new(K);
    queries
        .iter()
        .map(|query| {
            top.clear(K);
            let start = Instant::now();
            search(query, &mut top);
            let elapsed = start.elapsed();
            (top.clone().into_sorted_vec(), elapsed)
        })
        .unzip()
}

fn summary(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    format!(
        "median {:.3} ms, 10 % {:.3} ms, 99 % {:.3} ms a search",
        ms(times[times.len() / 2]),
        ms(times[times.len() / 10]),
        ms(times[times.len() * 99 / 100]),
    )
}
