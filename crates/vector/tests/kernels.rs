//! Every kernel of every instruction set of this CPU against the f64 reference.
//!
//! Tolerance of the float kernels, stated once: an error of at most `(64 + dim / 8)` units in the
//! last place of the sum of absolute terms (what a dot product cancels from), plus the smallest
//! normal number. Integer and bit kernels are exact: the f64 result rounded once.

use half::f16;
use vecdb_vector::{
    ElementType, Kernels, Metric, Query, RowId, Scorer, VectorRows, encode_row, inverse_norm,
    reference,
};

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 ^ (self.0 >> 29)).wrapping_mul(0xbf58476d1ce4e5b9) >> 16
    }

    /// Uniform in -1..1.
    fn unit(&mut self) -> f32 {
        (self.next() % (1 << 24)) as f32 / (1 << 23) as f32 - 1.0
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Values {
    Plain,
    Denormal,
    Huge,
    /// The smallest and largest values of the type.
    Extreme,
    /// Sparse, with whole rows of zeros.
    Zeros,
}

const ALL_VALUES: [Values; 5] = [
    Values::Plain,
    Values::Denormal,
    Values::Huge,
    Values::Extreme,
    Values::Zeros,
];

fn number(values: Values, metric: Metric, element: ElementType, random: &mut Random) -> f32 {
    let unit = random.unit();
    let huge = if metric == Metric::L1 { 1e30 } else { 1e18 };
    match element {
        ElementType::F32 => match values {
            Values::Plain => unit,
            Values::Denormal => unit * 1e-39,
            Values::Huge => unit * huge,
            Values::Extreme => unit.signum() * f32::MAX,
            Values::Zeros => 0.0,
        },
        ElementType::F16 => match values {
            Values::Plain => unit,
            Values::Denormal => unit * 5e-5,
            Values::Huge | Values::Extreme => unit.signum() * 65504.0,
            Values::Zeros => 0.0,
        },
        ElementType::I8 => match values {
            Values::Extreme if unit < 0.0 => -128.0,
            Values::Extreme => 127.0,
            Values::Zeros => 0.0,
            _ => (unit * 128.0).floor(),
        },
        ElementType::U8 => match values {
            Values::Extreme if unit < -0.5 => 0.0,
            Values::Extreme => 255.0,
            Values::Zeros => 0.0,
            _ => (unit.abs() * 255.0).floor(),
        },
        ElementType::Bits => match values {
            Values::Extreme => 1.0,
            Values::Zeros => 0.0,
            _ => f32::from(unit > 0.2),
        },
    }
}

fn largest_error(metric: Metric, element: ElementType, dim: usize, a: &[u8], b: &[u8]) -> f64 {
    let expected = reference::distance(metric, element, dim, a, b);
    let half_step = expected.abs() * f64::from(f32::EPSILON);
    if !matches!(element, ElementType::F32 | ElementType::F16) {
        return match metric {
            Metric::Cosine => 1e-6,
            // One rounding to f32.
            _ => half_step / 2.0,
        };
    }
    let units = (64.0 + dim as f64 / 8.0) * f64::from(f32::EPSILON) / 2.0;
    let terms: f64 = (0..dim)
        .map(|i| {
            let (x, y) = (
                reference::value(element, a, i),
                reference::value(element, b, i),
            );
            match metric {
                Metric::Dot => (x * y).abs(),
                Metric::L2 => (x - y) * (x - y),
                _ => (x - y).abs(),
            }
        })
        .sum();
    match metric {
        Metric::Cosine => units * 4.0,
        _ => terms * units + dim as f64 * f64::from(f32::MIN_POSITIVE) + half_step,
    }
}

/// Rows of one case at an unaligned address with a stride of one byte more than needed.
struct Case {
    metric: Metric,
    element: ElementType,
    dim: usize,
    values: Values,
    bytes: Vec<u8>,
    norms: Vec<f32>,
}

const ROWS: u32 = 7;

impl Case {
    fn new(metric: Metric, element: ElementType, dim: usize, values: Values) -> Case {
        let mut random = Random(dim as u64 * 31 + values as u64);
        let mut bytes = vec![0xa5; 1];
        let mut norms = Vec::new();
        for row in 0..ROWS {
            let numbers: Vec<f32> = (0..dim)
                .map(|i| {
                    let kind = match values {
                        // Row 3 and most numbers elsewhere are zero.
                        Values::Zeros if row != 3 && i % 5 == 0 => Values::Plain,
                        other => other,
                    };
                    number(kind, metric, element, &mut random)
                })
                .collect();
            let start = bytes.len();
            encode_row(element, dim, &numbers, &mut bytes).unwrap();
            norms.push(inverse_norm(element, dim, &bytes[start..]));
            bytes.push(0xa5); // a gap that no kernel may count
        }
        Case {
            metric,
            element,
            dim,
            values,
            bytes,
            norms,
        }
    }

    fn check(&self) {
        let Case {
            metric,
            element,
            dim,
            ..
        } = *self;
        let rows =
            VectorRows::new(element, dim, element.bytes(dim) + 1, ROWS, &self.bytes[1..]).unwrap();
        for kernels in Kernels::available() {
            for with_norms in [true, false] {
                let rows = if with_norms {
                    rows.with_inverse_norms(&self.norms).unwrap()
                } else {
                    rows
                };
                self.check_rows(kernels, rows);
                if metric != Metric::Cosine {
                    break;
                }
            }
        }
    }

    fn check_rows(&self, kernels: Kernels, rows: VectorRows<'_>) {
        let (metric, element, dim) = (self.metric, self.element, self.dim);
        let context = |row: u32| {
            format!(
                "{} {metric} {element} {dim}-d {:?} row {row}",
                kernels.name(),
                self.values
            )
        };
        let a = rows.row_bytes(RowId(0));
        let between = Scorer::between_rows(kernels, metric, rows, RowId(0));
        let ranks: Vec<f32> = (0..ROWS).map(|r| between.score(RowId(r))).collect();
        for row in 0..ROWS {
            let b = rows.row_bytes(RowId(row));
            let expected = reference::distance(metric, element, dim, a, b);
            let error = largest_error(metric, element, dim, a, b);
            let got = f64::from(ranks[row as usize]);
            // Sums that single precision cannot hold: infinity, or recomputed by the reference.
            let overflows = metric != Metric::Dot && expected > 0.5 * f64::from(f32::MAX);
            assert!(
                (got - expected).abs() <= error
                    || got == f64::from(expected as f32)
                    || (overflows && got > 1e38),
                "{}: {got} instead of {expected} +- {error}",
                context(row)
            );
        }
        let listed: Vec<RowId> = (0..ROWS).chain((0..ROWS).rev()).map(RowId).collect();
        for n in 0..=listed.len() {
            let mut out = vec![f32::NAN; n];
            between.score_rows(&listed[..n], &mut out);
            for (row, got) in listed.iter().zip(out) {
                assert_eq!(got, ranks[row.index()], "{}", context(row.0));
            }
        }
        for first in 0..=ROWS {
            let mut out = vec![f32::NAN; (ROWS - first) as usize];
            between.score_range(RowId(first), &mut out);
            assert_eq!(out, ranks[first as usize..], "{}", context(first));
        }
        if let Ok(query) = Query::from_row_bytes(metric, element, dim, a) {
            let scorer = Scorer::new(kernels, &query, rows);
            for row in 0..ROWS {
                assert_eq!(
                    scorer.score(RowId(row)),
                    ranks[row as usize],
                    "{} as a query",
                    context(row)
                );
            }
        } else {
            assert!(metric == Metric::Cosine && self.values == Values::Zeros);
        }
    }
}

fn check_element(element: ElementType) {
    let dims = (1..=130).chain([383, 384, 385, 784, 1536]);
    for dim in dims {
        for metric in Metric::ALL.into_iter().filter(|m| m.supports(element)) {
            for values in ALL_VALUES {
                Case::new(metric, element, dim, values).check();
            }
        }
    }
}

#[test]
fn f32_kernels_equal_the_reference() {
    check_element(ElementType::F32);
}

#[test]
fn f16_kernels_equal_the_reference() {
    check_element(ElementType::F16);
}

#[test]
fn i8_kernels_are_exact() {
    check_element(ElementType::I8);
}

#[test]
fn u8_kernels_are_exact() {
    check_element(ElementType::U8);
}

#[test]
fn bit_kernels_are_exact() {
    check_element(ElementType::Bits);
}

/// The largest sums the integer kernels can meet.
#[test]
fn the_largest_dimension_does_not_overflow() {
    let dim = vecdb_vector::MAX_DIM;
    for (element, low, high) in [
        (ElementType::I8, -128i32, 127i32),
        (ElementType::U8, 0, 255),
        (ElementType::Bits, 0, 1),
    ] {
        let mut bytes = Vec::new();
        for value in [high, high, low] {
            encode_row(element, dim, &vec![value as f32; dim], &mut bytes).unwrap();
        }
        let rows = VectorRows::new(element, dim, element.bytes(dim), 3, &bytes).unwrap();
        for metric in Metric::ALL.into_iter().filter(|m| m.supports(element)) {
            for kernels in Kernels::available() {
                for from in 0..3 {
                    let scorer = Scorer::between_rows(kernels, metric, rows, RowId(from));
                    for to in 0..3 {
                        let expected = reference::distance(
                            metric,
                            element,
                            dim,
                            rows.row_bytes(RowId(from)),
                            rows.row_bytes(RowId(to)),
                        );
                        let got = f64::from(scorer.score(RowId(to)));
                        assert!(
                            (got - expected).abs() <= expected.abs() * 6e-8 + 1e-6,
                            "{} {metric} {element} {from} {to}: {got}, not {expected}",
                            kernels.name()
                        );
                    }
                }
            }
        }
    }
}

/// A query for f16 rows is not rounded to f16.
#[test]
fn queries_against_f16_rows_stay_exact() {
    let mut random = Random(5);
    for dim in [1usize, 7, 16, 33, 100, 384] {
        let stored: Vec<f32> = (0..dim * 5)
            .map(|_| f16::from_f32(random.unit()).to_f32())
            .collect();
        let values: Vec<f32> = (0..dim).map(|_| random.unit()).collect();
        let mut bytes = Vec::new();
        encode_row(ElementType::F16, dim * 5, &stored, &mut bytes).unwrap();
        let rows = VectorRows::new(ElementType::F16, dim, dim * 2, 5, &bytes).unwrap();
        for metric in [Metric::L2, Metric::Cosine, Metric::Dot, Metric::L1] {
            let query = Query::new(metric, ElementType::F16, dim, &values).unwrap();
            for kernels in Kernels::available() {
                let scorer = Scorer::new(kernels, &query, rows);
                for row in 0..5 {
                    let expected = reference::distance(
                        metric,
                        ElementType::F32,
                        dim,
                        bytemuck::cast_slice(&values),
                        bytemuck::cast_slice(&stored[row * dim..][..dim]),
                    );
                    let got = f64::from(scorer.score(RowId(row as u32)));
                    assert!(
                        (got - expected).abs() <= 1e-5 * (1.0 + expected.abs()),
                        "{} {metric} {dim}: {got}, not {expected}",
                        kernels.name()
                    );
                }
            }
        }
    }
}

#[test]
fn dot_products_that_overflow_on_the_way_are_recomputed() {
    let dim = 64;
    let mut values = vec![3e19f32; dim];
    values.extend((0..dim).map(|i| if i % 2 == 0 { 3e19 } else { -3e19 }));
    let rows = VectorRows::from_f32(dim, &values).unwrap();
    for kernels in Kernels::available() {
        let scorer = Scorer::between_rows(kernels, Metric::Dot, rows, RowId(0));
        assert_eq!(scorer.score(RowId(1)), 0.0, "{}", kernels.name());
        assert_eq!(scorer.score(RowId(0)), f32::NEG_INFINITY);
        let scorer = Scorer::between_rows(kernels, Metric::Cosine, rows, RowId(0));
        assert_eq!(scorer.score(RowId(0)), 0.0);
        assert_eq!(scorer.score(RowId(1)), 1.0);
    }
}

#[test]
fn names_of_instruction_sets() {
    assert_eq!(Kernels::available()[0].name(), "scalar");
    for kernels in Kernels::available() {
        assert_eq!(Kernels::named(kernels.name()), Ok(kernels));
    }
    let error = Kernels::named("mmx").unwrap_err().to_string();
    assert!(
        error.contains("'mmx'") && error.contains("scalar"),
        "{error}"
    );
    assert!(Kernels::available().contains(&Kernels::detect()));
}

#[test]
#[should_panic(expected = "row 2 of 2 rows")]
fn rows_out_of_range_panic_with_a_message() {
    let rows = VectorRows::from_f32(2, &[0.0; 4]).unwrap();
    let scorer = Scorer::between_rows(Kernels::detect(), Metric::L2, rows, RowId(0));
    scorer.score_rows(&[RowId(1), RowId(2)], &mut [0.0; 2]);
}
