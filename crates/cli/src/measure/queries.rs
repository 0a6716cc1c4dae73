//! The queries of a measurement.

use vecdb_dataset::{Vectors, read_vectors};
use vecdb_engine::{ElementType, Metric};
use vecdb_vector::{Query, VectorRows};

use super::naive::query_values;
use super::rows::search_shape;
use crate::args::QueryArgs;
use crate::failure::{Failure, Outcome};

/// Checked queries for rows of one shape.
pub(crate) struct Queries {
    vectors: Vectors,
    /// How `vectors` are to be read: as packed bits or as what they are.
    element: ElementType,
    dim: usize,
    /// Number of the first one in its file.
    first: usize,
    prepared: Vec<Query>,
}

impl Queries {
    /// Reads the queries that `args` choose, at most `most`, for rows of `dim` elements of type `element`.
    pub(crate) fn load(
        args: &QueryArgs,
        metric: Metric,
        (element, dim): (ElementType, usize),
        most: usize,
    ) -> Outcome<Self> {
        let path = args.query.display();
        if args.limit == 0 {
            return Err(Failure::usage("limit 0 asks for no hits; use 1 or more"));
        }
        let mut vectors = read_vectors(&args.query)?;
        let row_bytes = vectors.info.row_bytes();
        let mut first = 0;
        if let Some(row) = args.query_row {
            let bytes = vectors
                .bytes
                .get(row.saturating_mul(row_bytes)..)
                .and_then(|tail| tail.get(..row_bytes));
            let bytes = bytes.ok_or_else(|| {
                Failure::usage(format!(
                    "{path} has {} rows; there is no row {row} (they are counted from 0)",
                    vectors.rows()
                ))
            })?;
            vectors.bytes = bytes.to_vec();
            first = row;
        }
        let most = args
            .limit_queries
            .unwrap_or(most)
            .min(vectors.rows() as usize);
        vectors.truncate(most as u32);
        if vectors.rows() == 0 {
            return Err(Failure::usage(format!(
                "{path}: there are no queries to search for"
            )));
        }
        let (own_element, own_dim) = search_shape(&vectors.info, metric)?;
        if own_dim != dim {
            return Err(Failure::usage(format!(
                "{path}: queries have {own_dim} dimensions, the dataset has {dim}"
            )));
        }
        let prepare = |(at, bytes): (usize, &[u8])| {
            let query = match own_element == element {
                true => Query::from_row_bytes(metric, element, dim, bytes),
                false => Query::new(metric, element, dim, &query_values(own_element, dim, bytes)),
            };
            query.map_err(|error| {
                Failure::from(error).context(format_args!("{path}, row {}", first + at))
            })
        };
        let prepared = vectors
            .bytes
            .chunks_exact(row_bytes)
            .enumerate()
            .map(prepare)
            .collect::<Outcome<_>>()?;
        Ok(Self {
            vectors,
            element: own_element,
            dim,
            first,
            prepared,
        })
    }

    pub(crate) fn all(&self) -> &[Query] {
        &self.prepared
    }

    pub(crate) fn len(&self) -> usize {
        self.prepared.len()
    }

    /// The row of the query file that query `at` comes from.
    pub(crate) fn row_in_file(&self, at: usize) -> usize {
        self.first + at
    }

    /// The queries as rows, where they have the element type of the dataset.
    pub(crate) fn as_rows(&self, element: ElementType) -> Option<VectorRows<'_>> {
        let bytes = self.element.bytes(self.dim);
        let rows = VectorRows::new(
            self.element,
            self.dim,
            bytes,
            self.vectors.rows(),
            &self.vectors.bytes,
        );
        rows.ok().filter(|_| self.element == element)
    }

    /// The numbers of query `at`.
    pub(crate) fn values(&self, at: usize) -> Vec<f32> {
        let bytes = self.element.bytes(self.dim);
        let row = self
            .vectors
            .bytes
            .chunks_exact(bytes)
            .nth(at)
            .unwrap_or_default();
        query_values(self.element, self.dim, row)
    }
}
