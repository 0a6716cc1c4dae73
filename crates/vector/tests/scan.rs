//! `scan` against a sort of all distances, `scan_batch` against `scan`.

use vecdb_vector::{
    ElementType, Kernels, Metric, Neighbor, Query, RowId, RowMask, Scorer, TopK, VectorRows,
    encode_row, inverse_norm, scan, scan_batch, scan_while,
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
        self.next() as f32 / (1u64 << 30) as f32 - 1.0
    }
}

/// Encoded rows and their norms.
struct Data {
    element: ElementType,
    dim: usize,
    bytes: Vec<u8>,
    norms: Vec<f32>,
}

impl Data {
    fn new(element: ElementType, dim: usize, vectors: &[Vec<f32>]) -> Data {
        let mut bytes = Vec::new();
        let mut norms = Vec::new();
        for vector in vectors {
            let start = bytes.len();
            encode_row(element, dim, vector, &mut bytes).unwrap();
            norms.push(inverse_norm(element, dim, &bytes[start..]));
        }
        Data {
            element,
            dim,
            bytes,
            norms,
        }
    }

    fn random(element: ElementType, dim: usize, rows: usize, seed: u64) -> Data {
        let mut random = Random(seed);
        let vectors: Vec<Vec<f32>> = (0..rows)
            .map(|_| {
                (0..dim)
                    .map(|_| match element {
                        ElementType::F32 | ElementType::F16 => random.unit(),
                        ElementType::I8 => (random.next() % 256) as f32 - 128.0,
                        ElementType::U8 => (random.next() % 256) as f32,
                        ElementType::Bits => (random.next() % 2) as f32,
                    })
                    .collect()
            })
            .collect();
        Data::new(element, dim, &vectors)
    }

    fn rows(&self) -> VectorRows<'_> {
        let stride = self.element.bytes(self.dim);
        VectorRows::new(
            self.element,
            self.dim,
            stride,
            self.norms.len() as u32,
            &self.bytes,
        )
        .unwrap()
        .with_inverse_norms(&self.norms)
        .unwrap()
    }
}

fn by_sorting(
    kernels: Kernels,
    query: &Query,
    rows: VectorRows<'_>,
    mask: Option<&RowMask>,
    k: usize,
) -> Vec<Neighbor> {
    let scorer = Scorer::new(kernels, query, rows);
    let mut all: Vec<Neighbor> = (0..rows.len())
        .map(RowId)
        .filter(|&row| mask.is_none_or(|mask| mask.contains(row)))
        .map(|row| Neighbor::new(scorer.score(row), row))
        .collect();
    all.sort();
    all.truncate(k);
    all
}

fn check(metric: Metric, queries: &Data, data: &Data, mask: Option<&RowMask>, k: usize) {
    let rows = data.rows();
    for kernels in Kernels::available() {
        let mut expected = Vec::new();
        for q in 0..queries.rows().len() {
            let bytes = queries.rows().row_bytes(RowId(q));
            let Ok(query) = Query::from_row_bytes(metric, data.element, data.dim, bytes) else {
                expected.push(Vec::new());
                continue;
            };
            let mut top = TopK::new(k);
            let computed = scan(kernels, &query, rows, mask, &mut top);
            let allowed = mask.map_or(rows.len(), RowMask::count);
            assert_eq!(computed, u64::from(allowed));
            expected.push(top.into_sorted_vec());
            assert_eq!(
                expected.last().unwrap(),
                &by_sorting(kernels, &query, rows, mask, k)
            );
        }
        for threads in [1, 3] {
            let found = scan_batch(kernels, metric, queries.rows(), rows, mask, k, threads);
            assert_eq!(found.len(), expected.len());
            for (q, (found, expected)) in found.iter().zip(&expected).enumerate() {
                assert_eq!(
                    found,
                    expected,
                    "{} {metric} {} {}-d query {q} k {k} threads {threads}",
                    kernels.name(),
                    data.element,
                    data.dim
                );
            }
        }
    }
}

#[test]
fn every_metric_and_element_type() {
    for element in ElementType::ALL {
        for metric in Metric::ALL.into_iter().filter(|m| m.supports(element)) {
            for dim in [3usize, 48, 129] {
                let data = Data::random(element, dim, 1500, 1);
                let mask = RowMask::from_rows(1500, (0..1500).filter(|r| r % 3 != 1).map(RowId));
                check(metric, &Data::random(element, dim, 11, 2), &data, None, 10);
                check(
                    metric,
                    &Data::random(element, dim, 9, 3),
                    &data,
                    Some(&mask),
                    7,
                );
                check(
                    metric,
                    &Data::random(element, dim, 2, 4),
                    &data,
                    Some(&mask),
                    5,
                );
            }
        }
    }
}

#[test]
fn depths_around_a_block_and_panels_around_a_tile() {
    for dim in [1usize, 255, 256, 257, 784] {
        for queries in [8usize, 47, 48, 49, 100] {
            let data = Data::random(ElementType::F32, dim, 333, 5);
            let queries = Data::random(ElementType::F32, dim, queries, 6);
            for metric in [Metric::L2, Metric::Dot, Metric::Cosine] {
                check(metric, &queries, &data, None, 3);
            }
        }
    }
}

#[test]
fn k_beyond_the_rows_and_empty_masks() {
    let data = Data::random(ElementType::F32, 8, 50, 7);
    let queries = Data::random(ElementType::F32, 8, 10, 8);
    for k in [0, 1, 49, 50, 51, 1000] {
        check(Metric::L2, &queries, &data, None, k);
        check(Metric::L2, &queries, &data, Some(&RowMask::none(50)), k);
        check(Metric::L2, &queries, &data, Some(&RowMask::all(50)), k);
    }
}

/// Near duplicates far from the origin: the products alone cannot tell them apart.
#[test]
fn cancellation_and_ties_fall_back_to_exact_distances() {
    let dim = 24;
    let mut random = Random(9);
    let vectors: Vec<Vec<f32>> = (0..900)
        .map(|i| {
            (0..dim)
                .map(|_| match i % 3 {
                    0 => 1000.0 + random.unit() * 0.01,
                    1 => 1000.0,
                    _ => random.unit(),
                })
                .collect()
        })
        .collect();
    let data = Data::new(ElementType::F32, dim, &vectors);
    let queries = Data::new(ElementType::F32, dim, &vectors[..24]);
    for metric in [Metric::L2, Metric::Dot, Metric::Cosine] {
        check(metric, &queries, &data, None, 20);
    }
}

/// Rows and queries of zeros, denormals and magnitudes that overflow when squared.
#[test]
fn outliers_are_measured_exactly() {
    let dim = 20;
    let mut random = Random(10);
    let vectors: Vec<Vec<f32>> = (0..600)
        .map(|i| {
            let scale = match i % 29 {
                3 => 0.0,
                5 => 1e-39,
                7 => 1e-20,
                11 => 1e19,
                13 => 1e30,
                _ => 1.0,
            };
            (0..dim).map(|_| random.unit() * scale).collect()
        })
        .collect();
    let data = Data::new(ElementType::F32, dim, &vectors);
    let queries = Data::new(ElementType::F32, dim, &vectors[..40]);
    for metric in [Metric::L2, Metric::Dot, Metric::Cosine] {
        check(metric, &queries, &data, None, 10);
    }
}

#[test]
fn a_scan_ends_when_it_may_not_go_on() {
    let data = Data::random(ElementType::F32, 16, 2_000, 21);
    let query = Query::new(Metric::L2, ElementType::F32, 16, &[0.5; 16]).unwrap();
    let most = RowMask::from_rows(2_000, (0..2_000).filter(|row| row % 7 > 0).map(RowId));
    for mask in [None, Some(&most)] {
        let scan = |limit: u64| {
            let mut top = TopK::new(5);
            let go_on = |computed| computed < limit;
            let rows = data.rows();
            let computed = scan_while(Kernels::detect(), &query, rows, mask, &mut top, go_on);
            (computed, top.into_sorted_vec())
        };
        assert_eq!(scan(0), (0, Vec::new()));
        let (computed, found) = scan(500);
        assert!((500..1_000).contains(&computed) && found.len() == 5);
        assert!(found.iter().all(|hit| hit.row.0 < 1_200));
        let (computed, found) = scan(u64::MAX);
        assert_eq!(computed, mask.map_or(2_000, |mask| u64::from(mask.count())));
        let whole = by_sorting(Kernels::detect(), &query, data.rows(), mask, 5);
        assert_eq!(found, whole);
    }
}

#[test]
fn f32_queries_find_f16_rows() {
    let data = Data::random(ElementType::F16, 33, 400, 11);
    let queries = Data::random(ElementType::F32, 33, 20, 12);
    for kernels in Kernels::available() {
        let found = scan_batch(kernels, Metric::L2, queries.rows(), data.rows(), None, 4, 2);
        for (q, found) in found.iter().enumerate() {
            let mut values = vec![0.0; 33];
            queries.rows().to_f32(RowId(q as u32), &mut values);
            let query = Query::new(Metric::L2, ElementType::F16, 33, &values).unwrap();
            assert_eq!(
                found,
                &by_sorting(kernels, &query, data.rows(), None, 4),
                "{}",
                kernels.name()
            );
        }
    }
}
