//! Points made of their numbers: the same ones at every run.

use vecdb_engine::{ElementType, Metadata, Point, PointId, Value, VectorField};

/// Values of the field `group`.
const GROUPS: u64 = 10;

/// Makes point after point.
pub(super) struct Generator {
    seed: u64,
    dimension: usize,
    element: ElementType,
}

impl Generator {
    pub(super) fn new(seed: u64, field: &VectorField) -> Self {
        Self {
            seed,
            dimension: field.dimension as usize,
            element: field.element,
        }
    }

    /// Point `number`: numbers that its elements hold exactly, or nearly, and two metadata fields.
    pub(super) fn point(&self, number: u64) -> Point {
        let mut state = mix(self.seed ^ mix(number));
        let mut vector: Vec<f32> = (0..self.dimension)
            .map(|_| {
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let bits = mix(state);
                match self.element {
                    ElementType::Bits => (bits >> 63) as f32,
                    ElementType::U8 => (bits >> 56) as f32,
                    ElementType::I8 => (bits >> 57) as f32 - 64.0,
                    _ => (bits >> 40) as f32 / (1u64 << 23) as f32 - 1.0,
                }
            })
            .collect();
        // All zeros have no direction.
        if let Some(first) = vector.first_mut().filter(|first| **first == 0.0) {
            *first = 1.0;
        }
        Point {
            id: PointId::U64(number),
            vector,
            metadata: Metadata::from([
                ("number".to_owned(), Value::Int(number as i64)),
                (
                    "group".to_owned(),
                    Value::from(format!("group-{}", number % GROUPS)),
                ),
            ]),
        }
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(value: u64) -> u64 {
    let mut mixed = value;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_makes_one_point_that_its_elements_hold() {
        for element in [
            ElementType::F32,
            ElementType::F16,
            ElementType::I8,
            ElementType::U8,
            ElementType::Bits,
        ] {
            let generator = Generator {
                seed: 7,
                dimension: 64,
                element,
            };
            let (first, again) = (generator.point(3), generator.point(3));
            assert_eq!(first.vector, again.vector, "{element}");
            assert_ne!(first.vector, generator.point(4).vector, "{element}");
            let mut bytes = Vec::new();
            vecdb_vector::encode_row(element, 64, &first.vector, &mut bytes).unwrap();
        }
    }
}
