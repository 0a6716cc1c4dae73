use vecdb_storage::bytes::{Reader, Writer};
use vecdb_testkit::synthetic::ClusteredGaussian;
use vecdb_vector::{ElementType, Kernels, Metric, Query, Scorer, VectorRows};

use super::*;

const CODES: [&str; 14] = [
    "pq", "pq8x4", "pq5x8", "pq8x6", "pq4x11", "opq8x4", "opq4x8", "sq4", "sq8", "binary",
    "rabitq", "rabitq2", "rabitq5", "rabitq8",
];

struct Data {
    metric: Metric,
    dim: usize,
    base: Vec<f32>,
    queries: Vec<f32>,
}

impl Data {
    fn new(metric: Metric, count: u32, dim: usize) -> Self {
        let source = ClusteredGaussian {
            rows: count,
            dim,
            clusters: 20,
            spread: 0.7,
            seed: 5,
        };
        let (base, queries) = source.with_queries(20);
        Self {
            metric,
            dim,
            base,
            queries,
        }
    }

    fn view(&self) -> VectorRows<'_> {
        VectorRows::from_f32(self.dim, &self.base).unwrap()
    }

    fn train(&self, code: &str) -> Quantizer {
        let spec = code.parse().unwrap();
        let options = BuildOptions::default();
        let params = TrainingParams::default();
        Quantizer::train(spec, self.metric, self.view(), &params, &options).unwrap()
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.base[row * self.dim..(row + 1) * self.dim]
    }
}

fn code_of(quantizer: &Quantizer, vector: &[f32]) -> Vec<u8> {
    let mut code = vec![0xaa; quantizer.code_bytes()];
    quantizer.encode(vector, &mut code).unwrap();
    code
}

fn decoded(quantizer: &Quantizer, code: &[u8]) -> Vec<f32> {
    let mut vector = vec![0.0; quantizer.dim()];
    quantizer.decode(code, &mut vector).unwrap();
    vector
}

/// The rank value between two vectors, slowly.
fn rank(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    let pairs = a.iter().zip(b).map(|(a, b)| (f64::from(*a), f64::from(*b)));
    match metric {
        Metric::Dot => -pairs.map(|(a, b)| a * b).sum::<f64>(),
        _ => pairs.map(|(a, b)| (a - b).powi(2)).sum(),
    }
}

#[test]
fn asymmetric_distances_are_those_to_decoded_vectors() {
    for metric in [Metric::L2, Metric::Dot] {
        let data = Data::new(metric, 1_200, 21);
        for code in CODES.into_iter().filter(|code| !code.starts_with("rabitq")) {
            let quantizer = data.train(code);
            let mut query = QuantizedQuery::default();
            for (q, vector) in data.queries.chunks_exact(21).enumerate() {
                quantizer.set(&mut query, vector).unwrap();
                let row = code_of(&quantizer, data.row(q));
                let (estimate, error) = quantizer.estimate(&query, &row).unwrap();
                let truth = rank(metric, vector, &decoded(&quantizer, &row));
                let slack = 1e-4 * (1.0 + truth.abs());
                assert!(
                    (f64::from(estimate) - truth).abs() < slack,
                    "{code} {metric}"
                );
                assert_eq!(error, None);
            }
        }
    }
}

#[test]
fn symmetric_distances_are_those_between_decoded_vectors() {
    let data = Data::new(Metric::L2, 1_200, 16);
    for code in ["pq", "pq4x8", "opq8x4", "sq4"] {
        let quantizer = data.train(code);
        let codes = [1, 2].map(|row| code_of(&quantizer, data.row(row)));
        let mut query = QuantizedQuery::default();
        quantizer.set_symmetric(&mut query, &codes[0]).unwrap();
        let (estimate, _) = quantizer.estimate(&query, &codes[1]).unwrap();
        let [a, b] = codes.each_ref().map(|code| decoded(&quantizer, code));
        let truth = rank(Metric::L2, &a, &b);
        assert!(
            (f64::from(estimate) - truth).abs() < 1e-3 * (1.0 + truth),
            "{code}"
        );
        // The same the other way round.
        quantizer.set_symmetric(&mut query, &codes[1]).unwrap();
        let (back, _) = quantizer.estimate(&query, &codes[0]).unwrap();
        assert!(
            (estimate - back).abs() < 1e-3 * (1.0 + estimate.abs()),
            "{code}"
        );
    }
}

#[test]
fn scans_say_what_single_codes_say() {
    for metric in [Metric::L2, Metric::Cosine, Metric::Dot] {
        let data = Data::new(metric, 333, 30);
        for code in CODES {
            let quantizer = data.train(code);
            let rows = quantizer
                .encode_rows(data.view(), &BuildOptions::default())
                .unwrap();
            let mut query = QuantizedQuery::default();
            let vector = &data.queries[..30];
            quantizer.set(&mut query, vector).unwrap();
            let single: Vec<f32> = (0..333)
                .map(|row| {
                    let code = code_of(&quantizer, data.row(row));
                    quantizer.estimate(&query, &code).unwrap().0
                })
                .collect();
            let span = single.iter().fold(0.0f32, |max, v| max.max(v.abs()));
            for kernels in Kernels::available() {
                let mut buffer = ScanBuffer::with_kernels(kernels);
                for places in [0..333, 5..37, 64..96, 332..333, 7..7] {
                    let mut out = vec![0.0; places.len()];
                    quantizer
                        .scan(
                            &query,
                            &rows,
                            places.clone(),
                            f32::INFINITY,
                            &mut buffer,
                            &mut out,
                        )
                        .unwrap();
                    for (out, single) in out.iter().zip(&single[places]) {
                        // Tables of four-bit codes are rounded to 255 steps.
                        assert!(
                            (out - single).abs() <= 0.03 * span,
                            "{code} {metric} {kernels:?}"
                        );
                    }
                }
            }
            let (mut buffer, far) = (ScanBuffer::default(), f32::INFINITY);
            let past = quantizer.scan(&query, &rows, 330..334, far, &mut buffer, &mut [0.0; 4]);
            assert!(past.is_err());
        }
    }
}

#[test]
fn what_is_near_enough_is_told_in_full_and_what_is_not_may_be_left_out() {
    for metric in [Metric::L2, Metric::Cosine, Metric::Dot] {
        let data = Data::new(metric, 700, 32);
        for code in ["pq8x8", "pq16x8", "sq8", "rabitq4", "pq8x4", "pq8x6"] {
            let quantizer = data.train(code);
            let rows = quantizer
                .encode_rows(data.view(), &BuildOptions::default())
                .unwrap();
            for kernels in Kernels::available() {
                let mut buffer = ScanBuffer::with_kernels(kernels);
                let mut query = QuantizedQuery::default();
                let (mut all, mut some) = (vec![0.0; 690], vec![0.0; 690]);
                let mut left_out = 0;
                for vector in data.queries.chunks_exact(32) {
                    quantizer.set(&mut query, vector).unwrap();
                    let far = f32::INFINITY;
                    quantizer
                        .scan(&query, &rows, 10..700, far, &mut buffer, &mut all)
                        .unwrap();
                    let mut sorted = all.clone();
                    sorted.sort_by(f32::total_cmp);
                    let threshold = sorted[20];
                    quantizer
                        .scan(&query, &rows, 10..700, threshold, &mut buffer, &mut some)
                        .unwrap();
                    for (all, some) in all.iter().zip(&some) {
                        let same = (all - some).abs() <= 1e-5 * (1.0 + all.abs());
                        let near = *all <= threshold && !code.starts_with("rabitq");
                        assert!(
                            same || (!near && *some == far),
                            "{code} {metric}: {all} {some}"
                        );
                        left_out += usize::from(*some == far);
                    }
                }
                let filters =
                    code.starts_with("rabitq") || (kernels.permutes_bytes() && code.ends_with('8'));
                assert_eq!(
                    left_out > 20 * 400,
                    filters,
                    "{code} {kernels:?}: {left_out}"
                );
            }
        }
    }
}

#[test]
fn more_bits_lose_less() {
    let data = Data::new(Metric::L2, 3_000, 64);
    for codes in [
        ["rabitq", "rabitq2", "rabitq4", "rabitq8"],
        ["pq8x4", "pq16x4", "pq16x8", "pq32x8"],
        ["binary", "sq4", "sq8", "sq8"],
    ] {
        let reports = codes.map(|code| {
            let options = BuildOptions::default();
            data.train(code).quality(data.view(), 1, &options).unwrap()
        });
        assert!(
            reports.is_sorted_by(|a, b| a.relative_error >= b.relative_error),
            "{codes:?}: {reports:?}"
        );
        let recalls = reports
            .each_ref()
            .map(|report| report.recall_at_10.unwrap());
        assert!(
            recalls.is_sorted() && recalls[3] > 0.85,
            "{codes:?}: {recalls:?}"
        );
        assert!(reports.iter().all(|report| report.relative_error < 0.5));
    }
    let quality = data
        .train("pq8x8")
        .quality(data.view(), 1, &BuildOptions::default())
        .unwrap();
    assert_eq!((quality.vector_bytes, quality.code_bytes), (256, 8));
    assert_eq!(quality.compression, 32.0);
}

#[test]
fn the_error_of_rabitq_keeps_to_its_bound() {
    for metric in [Metric::L2, Metric::Cosine, Metric::Dot] {
        let data = Data::new(metric, 1_000, 100);
        for code in ["rabitq", "rabitq3", "rabitq6"] {
            let quantizer = data.train(code);
            let mut query = QuantizedQuery::default();
            let (mut beyond, mut sum, mut bounds) = (0, 0.0, 0.0);
            for vector in data.queries.chunks_exact(100) {
                quantizer.set(&mut query, vector).unwrap();
                let exact = Query::new(metric, ElementType::F32, 100, vector).unwrap();
                let scorer = Scorer::new(Kernels::detect(), &exact, data.view());
                for row in 0..1_000 {
                    let code = code_of(&quantizer, data.row(row));
                    let (estimate, bound) = quantizer.estimate(&query, &code).unwrap();
                    let error = estimate - scorer.score(RowId(row as u32));
                    beyond += usize::from(error.abs() > bound.unwrap());
                    sum += f64::from(error);
                    bounds += f64::from(bound.unwrap());
                }
            }
            // About one in 35 by a normal distribution; few dimensions have longer tails.
            assert!(beyond < 20_000 / 12, "{code} {metric}: {beyond} of 20,000");
            // Unbiased: errors cancel out.
            assert!(
                sum.abs() < 0.1 * bounds,
                "{code} {metric}: {sum} of {bounds}"
            );
        }
    }
}

#[test]
fn a_learned_rotation_loses_less_where_dimensions_go_together() {
    // A few directions hold nearly all of the variance, none along an axis.
    let plain = Data::new(Metric::L2, 3_000, 32);
    let mixed: Vec<f32> = plain
        .base
        .chunks_exact(32)
        .flat_map(|row| {
            (0..32).map(move |i| {
                let strong: f32 = (0..6).map(|j| row[j] * ((i * (j + 3)) as f32).cos()).sum();
                3.0 * strong + 0.1 * row[i]
            })
        })
        .collect();
    let data = Data {
        base: mixed,
        ..plain
    };
    let [pq, opq] = ["pq8x4", "opq8x4"].map(|code| data.train(code).trained_error());
    assert!(opq < 0.8 * pq, "{opq} against {pq}");
}

#[test]
fn new_data_that_are_unlike_the_old_show() {
    let data = Data::new(Metric::L2, 3_000, 16);
    let moved: Vec<f32> = data.base.iter().map(|v| v * 1.5 + 2.0).collect();
    let moved = VectorRows::from_f32(16, &moved).unwrap();
    for code in ["pq", "pq4x8", "opq4x8", "sq4"] {
        let quantizer = data.train(code);
        let options = BuildOptions::default();
        let same = quantizer.drift(data.view(), 3, &options).unwrap();
        let other = quantizer.drift(moved, 3, &options).unwrap();
        assert!((0.9..1.15).contains(&same.ratio), "{code}: {same:?}");
        assert!(other.ratio > 2.0, "{code}: {other:?}");
    }
}

#[test]
fn few_equal_and_huge_rows_have_codes() {
    let huge = [1e30f32, -1e30, 3e38, 0.0].repeat(4);
    let sets: [(usize, Vec<f32>); 5] = [
        (4, vec![]),
        (4, vec![1.0, 2.0, 3.0, 4.0]),
        (4, [1.0, 2.0, 3.0, 4.0].repeat(100)),
        (4, vec![0.0; 40]),
        (8, huge),
    ];
    for metric in [Metric::L2, Metric::Cosine, Metric::Dot] {
        for (dim, base) in &sets {
            let rows = VectorRows::from_f32(*dim, base).unwrap();
            for code in [
                "pq2x4", "pq3x8", "opq2x4", "sq4", "binary", "rabitq", "rabitq4",
            ] {
                let options = BuildOptions::default();
                let params = TrainingParams::default();
                let spec = code.parse().unwrap();
                let quantizer = Quantizer::train(spec, metric, rows, &params, &options).unwrap();
                let codes = quantizer.encode_rows(rows, &options).unwrap();
                let (mut query, mut buffer) = (QuantizedQuery::default(), ScanBuffer::default());
                let vector = vec![1.0; *dim];
                quantizer.set(&mut query, &vector).unwrap();
                let mut out = vec![0.0; codes.len()];
                let all = 0..codes.len();
                quantizer
                    .scan(&query, &codes, all, f32::INFINITY, &mut buffer, &mut out)
                    .unwrap();
                assert!(
                    out.iter().all(|rank| !rank.is_nan()),
                    "{code} {metric}: {out:?}"
                );
                if metric == Metric::L2 && *dim == 4 && !base.is_empty() && !code.starts_with("rab")
                {
                    // A row that is the only one is coded as itself.
                    let decoded = decoded(&quantizer, &code_of(&quantizer, &base[..4]));
                    for (a, b) in decoded.iter().zip(base) {
                        assert!((a - b).abs() < 1e-4, "{code}: {decoded:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_same_seed_learns_the_same_with_any_threads() {
    let data = Data::new(Metric::L2, 2_000, 24);
    for code in ["pq", "pq6x8", "opq6x4", "rabitq3", "binary"] {
        let [one, three] = [1, 3].map(|threads| {
            let options = BuildOptions {
                threads,
                ..BuildOptions::default()
            };
            let params = TrainingParams::default();
            let spec = code.parse().unwrap();
            let quantizer = Quantizer::train(spec, Metric::L2, data.view(), &params, &options);
            let mut bytes = Writer::new();
            quantizer.unwrap().write(&mut bytes);
            bytes.into_vec()
        });
        assert!(one == three, "{code}");
    }
}

#[test]
fn a_quantizer_reads_as_written_and_damage_is_refused() {
    let data = Data::new(Metric::Cosine, 500, 10);
    for code in ["pq", "opq5x4", "rabitq2", "binary"] {
        let quantizer = data.train(code);
        let mut bytes = Writer::new();
        quantizer.write(&mut bytes);
        let bytes = bytes.into_vec();
        let again = Quantizer::read(&mut Reader::new(&bytes)).unwrap();
        assert_eq!(
            code_of(&quantizer, data.row(3)),
            code_of(&again, data.row(3))
        );
        assert_eq!(again.trained_error(), quantizer.trained_error());
        for end in 0..bytes.len() {
            assert!(Quantizer::read(&mut Reader::new(&bytes[..end])).is_err());
        }
        let mut damaged = bytes.clone();
        for at in 0..60.min(bytes.len()) {
            for value in [0, 1, 0xff] {
                damaged[at] = value;
                // An error, or a quantizer of its own: no panic.
                if let Ok(other) = Quantizer::read(&mut Reader::new(&damaged)) {
                    let vector = vec![1.0; other.dim()];
                    code_of(&other, &vector);
                }
            }
            damaged[at] = bytes[at];
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let data = Data::new(Metric::L2, 100, 6);
    let train = |code: &str, metric| {
        let params = TrainingParams::default();
        let spec = code.parse().unwrap();
        Quantizer::train(spec, metric, data.view(), &params, &BuildOptions::default())
    };
    let error = train("pq7x4", Metric::L2).unwrap_err().to_string();
    assert!(
        error.contains("`m` is 7") && error.contains("dimensions"),
        "{error}"
    );
    let error = train("pq", Metric::L1).unwrap_err().to_string();
    assert!(error.contains("`pq`") && error.contains("l1"), "{error}");
    let quantizer = train("pq", Metric::L2).unwrap();
    let mut query = QuantizedQuery::default();
    let error = quantizer.set(&mut query, &[0.0; 5]).unwrap_err();
    assert!(error.to_string().contains("5 numbers"), "{error}");
    assert!(quantizer.encode(&[0.0; 6], &mut [0; 1]).is_err());
    assert!(quantizer.decode(&[0; 2], &mut [0.0; 5]).is_err());
}
