//! What the lists hold of their rows: the vectors, eight bits a number, or quantized residuals.

use vecdb_storage::SectionWriter;
use vecdb_vector::{ElementType, Metric, Query, RowId, VectorRows};

use super::IvfCode;
use super::quantized::{Placed, QuantizedCodes};
use crate::column::Column;
use crate::quantizer::QuantizedQuery;
use crate::scale::Scale;
use crate::{BuildOptions, IndexError, Quantizer};

pub(super) const CODES: &str = "ivf:codes";
pub(super) const NORMS: &str = "ivf:norms";

/// The codes of all rows, in the order of the lists.
#[derive(Debug)]
pub(super) enum Codes {
    /// The vectors, and under cosine their inverse norms.
    Vector {
        element: ElementType,
        dim: usize,
        vectors: Column,
        norms: Option<Column>,
    },
    /// Eight bits a number on one scale.
    Sq8 {
        scale: Scale,
        dim: usize,
        codes: Column,
    },
    Quantized(Box<QuantizedCodes>),
}

impl Codes {
    /// The codes of rows in the order of their lists; by the quantizer that is `known`, if the code has one.
    pub(super) fn build(
        code: IvfCode,
        placed: &Placed<'_>,
        known: Option<&Quantizer>,
        seed: u64,
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        let (metric, rows, members) = (placed.metric, placed.rows, placed.members);
        let (element, dim) = (rows.element(), rows.dim());
        let Some(scale) = (match code {
            IvfCode::Quantized(spec) => {
                let codes = QuantizedCodes::build(spec, placed, known, seed, options)?;
                return Ok(Self::Quantized(Box::new(codes)));
            }
            IvfCode::Vector => None,
            IvfCode::Sq8 => {
                let scale = Scale::of(metric, rows, options)?;
                Some(scale.unwrap_or_else(|| Scale::of_any(metric)))
            }
        }) else {
            let bytes_each = element.bytes(dim);
            let mut vectors = vec![0u8; members.len() * bytes_each];
            each_row(&mut vectors, bytes_each, members, options, |row, out| {
                out.copy_from_slice(rows.row_bytes(row));
            })?;
            let norms = metric.needs_norms().then(|| {
                let norm = |&row: &u32| match rows.inverse_norms() {
                    Some(norms) => norms[row as usize],
                    None => vecdb_vector::inverse_norm(element, dim, rows.row_bytes(RowId(row))),
                };
                let norms: Vec<f32> = members.iter().map(norm).collect();
                Column::built(NORMS, bytemuck::cast_slice(&norms).to_vec())
            });
            return Ok(Self::Vector {
                element,
                dim,
                vectors: Column::built(CODES, vectors),
                norms,
            });
        };
        let mut codes = vec![0u8; members.len() * dim];
        each_row(&mut codes, dim, members, options, |row, out| {
            let mut values = vec![0.0; dim];
            crate::kmeans::read_row(metric, rows, row, &mut values);
            scale.encode(&values, out);
        })?;
        Ok(Self::Sq8 {
            scale,
            dim,
            codes: Column::built(CODES, codes),
        })
    }

    pub(super) fn code(&self) -> IvfCode {
        match self {
            Self::Vector { .. } => IvfCode::Vector,
            Self::Sq8 { .. } => IvfCode::Sq8,
            Self::Quantized(codes) => IvfCode::Quantized(codes.quantizer.spec()),
        }
    }

    /// The quantized codes, where there are such.
    pub(super) fn quantized(&self) -> Option<&QuantizedCodes> {
        match self {
            Self::Quantized(codes) => Some(codes),
            _ => None,
        }
    }

    /// How many candidates a search measures for ten hits, where rows are quantized.
    pub(super) fn set_rerank(&mut self, rerank: u32) {
        if let Self::Quantized(codes) = self {
            codes.rerank = rerank;
        }
    }

    /// Whether distances by codes are the true ones.
    pub(super) fn are_exact(&self) -> bool {
        matches!(self, Self::Vector { .. })
    }

    pub(super) fn bytes(&self) -> u64 {
        let bytes = match self {
            Self::Vector { vectors, norms, .. } => {
                vectors.len() + norms.as_ref().map_or(0, Column::len)
            }
            Self::Sq8 { codes, .. } => codes.len(),
            Self::Quantized(codes) => return codes.bytes(),
        };
        bytes as u64
    }

    /// The codes at some places of the lists, where they are scored like any rows.
    pub(super) fn rows(
        &self,
        place: std::ops::Range<usize>,
    ) -> Result<Option<VectorRows<'_>>, IndexError> {
        let count = place.len() as u32;
        let rows = match self {
            Self::Quantized(_) => return Ok(None),
            Self::Vector {
                element,
                dim,
                vectors,
                norms,
            } => {
                let each = element.bytes(*dim);
                let bytes = vectors.bytes(place.start * each..place.end * each)?;
                let rows = VectorRows::new(*element, *dim, each, count, bytes)?;
                match norms {
                    Some(norms) => {
                        rows.with_inverse_norms(norms.floats(place.start, place.len())?)?
                    }
                    None => rows,
                }
            }
            Self::Sq8 { scale, dim, codes } => {
                let bytes = codes.bytes(place.start * dim..place.end * dim)?;
                VectorRows::new(scale.element(), *dim, *dim, count, bytes)?
            }
        };
        Ok(Some(rows))
    }

    /// The query to score codes with, where it is not the query itself. `values`: the query's numbers, under cosine at
    /// unit length; its codes afterwards. Reuses what is in `query`.
    pub(super) fn prepare(
        &self,
        metric: Metric,
        values: &mut [f32],
        query: &mut Option<Query>,
        tables: &mut QuantizedQuery,
    ) -> Result<(), IndexError> {
        let (scale, dim) = match self {
            Self::Vector { .. } => return Ok(()),
            Self::Quantized(codes) => return codes.quantizer.set(tables, values),
            Self::Sq8 { scale, dim, .. } => (scale, dim),
        };
        let (metric, element) = (scale.metric(metric), scale.element());
        values
            .iter_mut()
            .for_each(|value| *value = scale.code(*value));
        match query {
            Some(query)
                if query.metric() == metric
                    && query.element() == element
                    && query.dim() == *dim =>
            {
                query.set(values)?;
            }
            query => *query = Some(Query::new(metric, element, *dim, values)?),
        }
        Ok(())
    }

    pub(super) fn save(&self, writer: &mut SectionWriter) -> Result<(), IndexError> {
        match self {
            Self::Vector { vectors, norms, .. } => {
                vectors.save(writer)?;
                norms.as_ref().map_or(Ok(()), |norms| norms.save(writer))
            }
            Self::Sq8 { codes, .. } => codes.save(writer),
            Self::Quantized(codes) => codes.save(writer),
        }
    }

    /// Reads all bytes once, so that damage shows.
    pub(super) fn verify(&self, rows: u32) -> Result<(), IndexError> {
        match self {
            Self::Quantized(codes) => codes.rows.verify(),
            _ => self.rows(0..rows as usize).map(|_| ()),
        }
    }
}

/// Fills `out`, `each` items a row, on all threads.
fn each_row(
    out: &mut [u8],
    each: usize,
    members: &[u32],
    options: &BuildOptions<'_>,
    fill: impl Fn(RowId, &mut [u8]) + Sync,
) -> Result<(), IndexError> {
    options.for_each_chunk(
        out,
        256 * each,
        || (),
        |(), first, out| {
            let members = &members[first / each..];
            for (out, &row) in out.chunks_exact_mut(each).zip(members) {
                fill(RowId(row), out);
            }
            Ok(())
        },
    )
}
