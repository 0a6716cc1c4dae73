//! A column of lists of numbers as vectors.

use std::ops::Range;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type, Int8Type, UInt8Type};
use arrow_array::{Array, ListArray};
use arrow_schema::DataType;
use vecdb_vector::{ElementType, MAX_DIM};

use crate::DatasetError;

/// One batch of a list column whose items are numbers.
pub(super) struct ListColumn {
    lists: ListArray,
    element: ElementType,
}

impl ListColumn {
    pub(super) fn new(path: &Path, column: &dyn Array) -> Result<Self, DatasetError> {
        let lists = column.as_list_opt::<i32>();
        let found = lists.and_then(|lists| Some((lists, element_of(lists.values().data_type())?)));
        let Some((lists, element)) = found else {
            let what = format!(
                "vectors of type {}; a list of numbers is needed",
                column.data_type()
            );
            return Err(DatasetError::unsupported(path, what));
        };
        Ok(Self {
            lists: lists.clone(),
            element,
        })
    }

    pub(super) fn rows(&self) -> usize {
        self.lists.len()
    }

    /// 64-bit floats are narrowed to `F32`.
    pub(super) fn element(&self) -> ElementType {
        self.element
    }

    /// The items of a row of this batch, which starts at row `first` of the file; `None` for a null list.
    pub(super) fn range(
        &self,
        path: &Path,
        first: u64,
        at: usize,
    ) -> Result<Option<Range<usize>>, DatasetError> {
        if self.lists.is_null(at) {
            return Ok(None);
        }
        let items = self.lists.values();
        let range = match self.lists.value_offsets().get(at..at + 2) {
            Some(&[start, end]) if 0 <= start && start <= end && end as usize <= items.len() => {
                start as usize..end as usize
            }
            _ => 0..0,
        };
        let row = first + at as u64;
        if range.is_empty() || range.len() > MAX_DIM {
            let what = format!(
                "a vector of {} elements; 1 to {MAX_DIM} are possible",
                range.len()
            );
            return Err(DatasetError::row(path, row, what));
        }
        if items.null_count() > 0
            && let Some(null) = range.clone().find(|&item| items.is_null(item))
        {
            let what = format!("element {} of the vector is null", null - range.start);
            return Err(DatasetError::row(path, row, what));
        }
        Ok(Some(range))
    }

    /// Appends the items as little-endian bytes of [`Self::element`].
    pub(super) fn append_bytes(
        &self,
        path: &Path,
        row: u64,
        range: Range<usize>,
        out: &mut Vec<u8>,
    ) -> Result<(), DatasetError> {
        let items = self.lists.values();
        match items.data_type() {
            DataType::Float16 => items.as_primitive::<Float16Type>().values()[range]
                .iter()
                .for_each(|value| out.extend_from_slice(&value.to_le_bytes())),
            DataType::Float32 => items.as_primitive::<Float32Type>().values()[range]
                .iter()
                .for_each(|value| out.extend_from_slice(&value.to_le_bytes())),
            DataType::UInt8 => {
                out.extend_from_slice(&items.as_primitive::<UInt8Type>().values()[range])
            }
            DataType::Int8 => {
                out.extend(
                    items.as_primitive::<Int8Type>().values()[range]
                        .iter()
                        .map(|&value| value as u8),
                );
            }
            _ => {
                for value in self.to_f32(path, row, range)? {
                    out.extend_from_slice(&value.to_le_bytes());
                }
            }
        }
        Ok(())
    }

    /// The items as f32; a 64-bit value beyond its range is an error.
    pub(super) fn to_f32(
        &self,
        path: &Path,
        row: u64,
        range: Range<usize>,
    ) -> Result<Vec<f32>, DatasetError> {
        let items = self.lists.values();
        Ok(match items.data_type() {
            DataType::Float16 => items.as_primitive::<Float16Type>().values()[range]
                .iter()
                .map(|value| value.to_f32())
                .collect(),
            DataType::Float32 => items.as_primitive::<Float32Type>().values()[range].to_vec(),
            DataType::UInt8 => items.as_primitive::<UInt8Type>().values()[range]
                .iter()
                .map(|&value| f32::from(value))
                .collect(),
            DataType::Int8 => items.as_primitive::<Int8Type>().values()[range]
                .iter()
                .map(|&value| f32::from(value))
                .collect(),
            _ => {
                let wide = &items.as_primitive::<Float64Type>().values()[range];
                let mut narrow = Vec::with_capacity(wide.len());
                for (position, &value) in wide.iter().enumerate() {
                    if value.is_finite() && !(value as f32).is_finite() {
                        let what = format!(
                            "element {position} is {value}, beyond what 32-bit floats hold"
                        );
                        return Err(DatasetError::row(path, row, what));
                    }
                    narrow.push(value as f32);
                }
                narrow
            }
        })
    }
}

fn element_of(items: &DataType) -> Option<ElementType> {
    match items {
        DataType::Float16 => Some(ElementType::F16),
        DataType::Float32 | DataType::Float64 => Some(ElementType::F32),
        DataType::UInt8 => Some(ElementType::U8),
        DataType::Int8 => Some(ElementType::I8),
        _ => None,
    }
}
