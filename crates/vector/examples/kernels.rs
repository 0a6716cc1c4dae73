//! What the kernels of this machine do, beside what its memory does.
//!
//!     cargo run --release -p vecdb-vector --example kernels [-- ROWS DIM [QUERIES] [MEGABYTES]]
//!
//! Prints, for random vectors (60,000 x 784 and 1,000 queries unless told otherwise):
//! - the bandwidth of summing all bytes of a large buffer, and of an exact scan over it (`scan`,
//!   one thread): the scan should come near the sum;
//! - nanoseconds per distance of every metric and element type, rows in the cache, per
//!   instruction set;
//! - nanoseconds per distance of rows picked at random from the large buffer, listed in calls of
//!   16, as a graph search does;
//! - GFLOP/s of `scan_batch` on one and on two threads.

use std::hint::black_box;
use std::time::{Duration, Instant};

use vecdb_vector::{
    ElementType, Kernels, Metric, Query, RowId, Scorer, TopK, VectorRows, encode_row, scan,
    scan_batch,
};

struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as u32
    }

    fn unit(&mut self) -> f32 {
        self.next() as f32 / (1u64 << 31) as f32
    }
}

fn main() {
    let arguments: Vec<usize> = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let argument = |i: usize, default| arguments.get(i).copied().unwrap_or(default);
    let (rows, dim) = (argument(0, 60_000), argument(1, 784));
    let (queries, megabytes) = (argument(2, 1000), argument(3, 1024));

    println!(
        "kernels: {:?}, best {:?}",
        Kernels::available(),
        Kernels::detect()
    );
    bandwidth(dim, megabytes << 20);
    in_cache(dim);
    batch(rows, dim, queries);
}

fn random_values(n: usize) -> Vec<f32> {
    let mut random = Random(1);
    (0..n).map(|_| random.unit()).collect()
}

/// The shortest of three runs.
fn best(mut work: impl FnMut()) -> Duration {
    (0..3)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .min()
        .unwrap_or_default()
}

/// Sums a buffer as fast as memory gives it: sixteen independent sums over whole lines.
fn read_sum(words: &[u64]) -> u64 {
    let mut sums = [0u64; 32];
    for line in words.as_chunks::<32>().0 {
        for (sum, word) in sums.iter_mut().zip(line) {
            *sum = sum.wrapping_add(*word);
        }
    }
    sums.iter().fold(0, |a, b| a.wrapping_add(*b))
}

fn bandwidth(dim: usize, bytes: usize) {
    let rows = bytes / (dim * 4);
    // Repeating a block of random rows fills the buffer faster than drawing every number.
    let block = random_values(1000 * dim);
    let mut values = Vec::with_capacity(rows * dim);
    while values.len() < rows * dim {
        let n = block.len().min(rows * dim - values.len());
        values.extend_from_slice(&block[..n]);
    }
    let gigabytes = (rows * dim * 4) as f64 / 1e9;
    let words: &[u64] = bytemuck::cast_slice(&values[..rows * dim / 2 * 2]);
    let sum = best(|| {
        black_box(read_sum(black_box(words)));
    });
    let sum = gigabytes / sum.as_secs_f64();
    println!("\n{gigabytes:.2} GB of f32 rows, {dim}-d, one thread");
    println!("  read-sum        {sum:7.2} GB/s");

    let all = VectorRows::from_f32(dim, &values).expect("a whole number of rows");
    let norms = vec![1.0; rows];
    let all = all.with_inverse_norms(&norms).expect("a norm per row");
    for metric in [Metric::L2, Metric::Cosine, Metric::Dot, Metric::L1] {
        let query = Query::new(metric, ElementType::F32, dim, &random_values(dim)).expect("finite");
        let time = best(|| {
            let mut top = TopK::new(10);
            scan(Kernels::detect(), &query, all, None, &mut top);
            black_box(&top);
        });
        let rate = gigabytes / time.as_secs_f64();
        println!(
            "  scan {metric:10} {rate:7.2} GB/s, {:.2} of the read-sum",
            rate / sum
        );
    }

    let query = Query::new(Metric::L2, ElementType::F32, dim, &random_values(dim)).expect("finite");
    let scorer = Scorer::new(Kernels::detect(), &query, all);
    let mut random = Random(3);
    let picks: Vec<RowId> = (0..1 << 18)
        .map(|_| RowId(random.next() % rows as u32))
        .collect();
    let mut out = [0.0; 16];
    let time = best(|| {
        for picks in picks.chunks(16) {
            scorer.score_rows(picks, &mut out);
            black_box(&out);
        }
    });
    let each = time.as_secs_f64() * 1e9 / picks.len() as f64;
    println!(
        "  random rows     {each:7.1} ns per distance, {:.2} GB/s",
        dim as f64 * 4.0 / each
    );
}

fn in_cache(dim: usize) {
    const ROWS: u32 = 64;
    println!("\nns per distance, {dim}-d, {ROWS} rows in the cache");
    print!("  {:16}", "");
    for kernels in Kernels::available() {
        print!("{:>10}", kernels.name());
    }
    println!();
    for element in ElementType::ALL {
        let mut bytes = Vec::new();
        for row in random_values(ROWS as usize * dim).chunks(dim) {
            let row: Vec<f32> = match element {
                ElementType::F32 | ElementType::F16 => row.to_vec(),
                ElementType::I8 | ElementType::U8 => {
                    row.iter().map(|v| (v * 100.0).floor()).collect()
                }
                ElementType::Bits => row.iter().map(|v| v.round()).collect(),
            };
            encode_row(element, dim, &row, &mut bytes).expect("in range");
        }
        let rows =
            VectorRows::new(element, dim, element.bytes(dim), ROWS, &bytes).expect("rows fit");
        let norms = [1.0; ROWS as usize];
        let rows = rows.with_inverse_norms(&norms).expect("a norm per row");
        for metric in Metric::ALL.into_iter().filter(|m| m.supports(element)) {
            print!("  {element:5}{metric:11}");
            for kernels in Kernels::available() {
                let scorer = Scorer::between_rows(kernels, metric, rows, RowId(0));
                let mut out = [0.0; ROWS as usize];
                let rounds = 200;
                let time = best(|| {
                    for _ in 0..rounds {
                        scorer.score_range(RowId(0), &mut out);
                        black_box(&out);
                    }
                });
                let each = time.as_secs_f64() * 1e9 / (rounds * ROWS) as f64;
                print!("{each:10.1}");
            }
            println!();
        }
    }
}

fn batch(rows: usize, dim: usize, queries: usize) {
    let values = random_values(rows * dim);
    let asked = random_values(queries * dim);
    let rows_f32 = VectorRows::from_f32(dim, &values).expect("whole rows");
    let asked = VectorRows::from_f32(dim, &asked).expect("whole rows");
    println!("\nscan_batch, {queries} queries x {rows} x {dim}, f32, k 10");
    for metric in [Metric::L2, Metric::Cosine, Metric::Dot] {
        for threads in [1, 2] {
            let start = Instant::now();
            let kernels = Kernels::detect();
            black_box(scan_batch(
                kernels, metric, asked, rows_f32, None, 10, threads,
            ));
            let time = start.elapsed().as_secs_f64();
            let flops = 2.0 * rows as f64 * dim as f64 * queries as f64;
            println!(
                "  {metric:8} {threads} thread(s) {time:8.3} s {:8.1} GFLOP/s",
                flops / time / 1e9
            );
        }
    }
}
