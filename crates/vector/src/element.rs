//! How the numbers of a vector are stored, and the way from f32 to stored bytes and back.

use std::fmt;
use std::str::FromStr;

use half::f16;
use serde::{Deserialize, Serialize};

use crate::VectorError;

/// The largest dimension of a vector. Up to here the 32-bit sums of the integer kernels cannot
/// overflow (65,536 x 255 x 255 < 2^32).
pub const MAX_DIM: usize = 65_536;

/// How one number of a vector is stored, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ElementType {
    /// IEEE single precision, 4 bytes.
    F32,
    /// IEEE half precision, 2 bytes.
    F16,
    /// Integers -128..=127, 1 byte.
    I8,
    /// Integers 0..=255, 1 byte.
    U8,
    /// 0 or 1, eight to a byte, the first in the lowest bit; unused bits of the last byte are 0.
    Bits,
}

impl ElementType {
    /// Every element type.
    pub const ALL: [ElementType; 5] = [
        ElementType::F32,
        ElementType::F16,
        ElementType::I8,
        ElementType::U8,
        ElementType::Bits,
    ];

    /// The name used in files, flags and messages.
    pub fn name(self) -> &'static str {
        match self {
            ElementType::F32 => "f32",
            ElementType::F16 => "f16",
            ElementType::I8 => "i8",
            ElementType::U8 => "u8",
            ElementType::Bits => "bits",
        }
    }

    /// Bytes of one vector of `dim` numbers.
    pub fn bytes(self, dim: usize) -> usize {
        match self {
            ElementType::F32 => dim * 4,
            ElementType::F16 => dim * 2,
            ElementType::I8 | ElementType::U8 => dim,
            ElementType::Bits => dim.div_ceil(8),
        }
    }

    pub(crate) fn range(self) -> &'static str {
        match self {
            ElementType::F32 => "a finite number",
            ElementType::F16 => "a number within -65504..=65504",
            ElementType::I8 => "an integer within -128..=127",
            ElementType::U8 => "an integer within 0..=255",
            ElementType::Bits => "0 or 1",
        }
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for ElementType {
    type Err = VectorError;

    fn from_str(name: &str) -> Result<Self, VectorError> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "f32" | "float32" | "float" => ElementType::F32,
            "f16" | "float16" | "half" => ElementType::F16,
            "i8" | "int8" => ElementType::I8,
            "u8" | "uint8" => ElementType::U8,
            "bits" | "binary" => ElementType::Bits,
            _ => {
                return Err(VectorError::UnknownName {
                    what: "element type",
                    name: name.to_owned(),
                    expected: ElementType::ALL.map(ElementType::name).join(", "),
                });
            }
        })
    }
}

pub(crate) fn check_dim(dim: usize) -> Result<(), VectorError> {
    if (1..=MAX_DIM).contains(&dim) {
        Ok(())
    } else {
        Err(VectorError::BadLayout(format!(
            "dimension {dim} is outside 1..={MAX_DIM}"
        )))
    }
}

/// Appends the stored bytes of one vector to `out`. Bits are given as 0 and 1.
///
/// # Errors
/// `DimensionMismatch` when `values` has another length than `dim`; `NotFinite` and `OutOfRange`
/// name the first position whose value cannot be stored. `out` is unchanged on error.
pub fn encode_row(
    element: ElementType,
    dim: usize,
    values: &[f32],
    out: &mut Vec<u8>,
) -> Result<(), VectorError> {
    if values.len() != dim {
        return Err(VectorError::DimensionMismatch {
            expected: dim,
            got: values.len(),
        });
    }
    // Without a way out of the loop it is done many at a time.
    let finite = values.iter().fold(true, |all, v| all & v.is_finite());
    if !finite && let Some(position) = values.iter().position(|v| !v.is_finite()) {
        return Err(VectorError::NotFinite {
            position,
            value: values[position],
        });
    }
    let fits = |v: f32| match element {
        ElementType::F32 => true,
        ElementType::F16 => f16::from_f32(v).is_finite(),
        ElementType::I8 => v.trunc() == v && (-128.0..=127.0).contains(&v),
        ElementType::U8 => v.trunc() == v && (0.0..=255.0).contains(&v),
        ElementType::Bits => v == 0.0 || v == 1.0,
    };
    if element != ElementType::F32
        && let Some(position) = values.iter().position(|&v| !fits(v))
    {
        return Err(VectorError::OutOfRange {
            position,
            value: values[position],
            element,
        });
    }
    out.reserve(element.bytes(dim));
    match element {
        ElementType::F32 => {
            const { assert!(cfg!(target_endian = "little")) };
            out.extend_from_slice(bytemuck::cast_slice(values));
        }
        ElementType::F16 => {
            out.extend(values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()));
        }
        ElementType::I8 => out.extend(values.iter().map(|&v| v as i8 as u8)),
        ElementType::U8 => out.extend(values.iter().map(|&v| v as u8)),
        ElementType::Bits => out.extend(values.chunks(8).map(|eight| {
            eight
                .iter()
                .enumerate()
                .fold(0u8, |byte, (bit, &v)| byte | (u8::from(v != 0.0) << bit))
        })),
    }
    Ok(())
}

/// Appends the `dim` numbers of one stored vector to `out`; bits become 0 and 1. Bytes beyond the
/// vector are ignored; where bytes are missing, fewer numbers are appended.
pub fn decode_row(element: ElementType, dim: usize, bytes: &[u8], out: &mut Vec<f32>) {
    let bytes = &bytes[..element.bytes(dim).min(bytes.len())];
    out.reserve(dim);
    match element {
        ElementType::F32 => {
            out.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)));
        }
        ElementType::F16 => out.extend(
            bytes
                .as_chunks()
                .0
                .iter()
                .map(|b| f16::from_le_bytes(*b).to_f32()),
        ),
        ElementType::I8 => out.extend(bytes.iter().map(|&b| f32::from(b as i8))),
        ElementType::U8 => out.extend(bytes.iter().map(|&b| f32::from(b))),
        ElementType::Bits => out.extend(
            bytes
                .iter()
                .flat_map(|&byte| (0..8).map(move |bit| f32::from((byte >> bit) & 1)))
                .take(dim),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_round_trip() {
        let cases: [(ElementType, Vec<f32>); 5] = [
            (ElementType::F32, vec![0.1, -2.5e30, 1e-40]),
            (ElementType::F16, vec![0.5, -65504.0, 0.0]),
            (ElementType::I8, vec![-128.0, 127.0, 0.0]),
            (ElementType::U8, vec![0.0, 255.0, 7.0]),
            (
                ElementType::Bits,
                vec![1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0],
            ),
        ];
        for (element, values) in cases {
            let mut bytes = vec![9u8];
            encode_row(element, values.len(), &values, &mut bytes).unwrap();
            assert_eq!(bytes.len(), 1 + element.bytes(values.len()));
            let mut back = Vec::new();
            decode_row(element, values.len(), &bytes[1..], &mut back);
            assert_eq!(back, values, "{element}");
        }
    }

    #[test]
    fn bad_values_name_their_position() {
        let mut out = Vec::new();
        let wrong = |element, values: &[f32]| {
            let error = encode_row(element, values.len(), values, &mut Vec::new()).unwrap_err();
            error.to_string()
        };
        assert!(wrong(ElementType::F32, &[1.0, f32::NAN]).contains("position 1"));
        assert!(wrong(ElementType::F16, &[70_000.0]).contains("65504"));
        assert!(wrong(ElementType::I8, &[0.0, 0.0, 1.5]).contains("1.5 at position 2"));
        assert!(wrong(ElementType::U8, &[-1.0]).contains("0..=255"));
        assert!(wrong(ElementType::Bits, &[2.0]).contains("0 or 1"));
        let error = encode_row(ElementType::F32, 3, &[1.0], &mut out).unwrap_err();
        assert_eq!(
            error,
            VectorError::DimensionMismatch {
                expected: 3,
                got: 1
            }
        );
        assert!(out.is_empty());
    }

    #[test]
    fn short_bytes_decode_to_fewer_numbers() {
        let mut out = Vec::new();
        decode_row(ElementType::F32, 4, &[0; 7], &mut out);
        assert_eq!(out.len(), 1);
    }
}
