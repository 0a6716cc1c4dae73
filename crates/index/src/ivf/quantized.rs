//! Lists of quantized residuals (Jégou, Douze and Schmid, PAMI 2011, section 4).
//!
//! A row is coded as what is left of it beyond the centroid of its list. Its distance to a query `q` is
//! `|q - c|^2 + |r|^2 + 2 <r, c> - 2 <r, q>`: the first term is that of the list, the next two are a factor of the row, and
//! the last comes from tables that serve all lists.

use vecdb_storage::bytes::{Reader, Writer};
use vecdb_storage::{SectionFile, SectionWriter};
use vecdb_vector::{Metric, RowId, VectorRows};

use super::codes::CODES;
use crate::kmeans::read_row;
use crate::quantizer::{
    CodedRows, Names, Quantizer, QuantizerSpec, TrainingParams, mean_of, subtract,
};
use crate::random::Random;
use crate::{BuildOptions, IndexError};

const NAMES: Names = [CODES, "ivf:coarse", "ivf:factors", "ivf:extra"];
const QUANTIZER: &str = "ivf:quantizer";
/// Rows coded per step of a thread.
const BLOCK: usize = 256;

/// Codes in the order of the lists.
#[derive(Debug)]
pub(super) struct QuantizedCodes {
    pub(super) quantizer: Quantizer,
    pub(super) rows: CodedRows,
    /// Candidates measured by their vectors, for 10 hits.
    pub(super) rerank: u32,
}

/// Rows in lists.
pub(super) struct Placed<'a> {
    pub(super) rows: VectorRows<'a>,
    pub(super) metric: Metric,
    pub(super) members: &'a [u32],
    pub(super) offsets: &'a [u32],
    pub(super) centroids: &'a [f32],
}

impl QuantizedCodes {
    /// Codes of all rows by `known`, or by a quantizer that learns from them.
    pub(super) fn build(
        spec: QuantizerSpec,
        placed: &Placed<'_>,
        known: Option<&Quantizer>,
        seed: u64,
        options: &BuildOptions<'_>,
    ) -> Result<Self, IndexError> {
        let quantizer = match known {
            Some(known) => known.clone(),
            None => placed.learn(spec, seed, options)?,
        };
        let codes = placed.encode(&quantizer, options)?;
        Ok(Self {
            rows: quantizer.pack(NAMES, &codes, options)?,
            quantizer,
            rerank: 0,
        })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.rows.bytes() + self.quantizer.trained_bytes()
    }

    pub(super) fn save(&self, writer: &mut SectionWriter) -> Result<(), IndexError> {
        let mut bytes = Writer::new();
        bytes.u32(self.rerank);
        self.quantizer.write(&mut bytes);
        writer.add(QUANTIZER, bytes.as_slice())?;
        self.rows.save(writer)
    }

    /// Reads the quantizer, no codes.
    pub(super) fn open(
        spec: QuantizerSpec,
        (metric, dim): (Metric, usize),
        file: &SectionFile,
        rows: u32,
    ) -> Result<Self, IndexError> {
        let section = file.section(QUANTIZER)?;
        let bytes = section.bytes_verified()?;
        let mut reader = Reader::new(&bytes);
        let read = reader.u32().and_then(|rerank| {
            let quantizer = Quantizer::read(&mut reader)?;
            reader.finish()?;
            Ok((rerank, quantizer))
        });
        let (rerank, quantizer) = read.map_err(|error| {
            IndexError::Storage(error.in_file(section.path(), section.file_offset()))
        })?;
        if (quantizer.spec(), quantizer.metric(), quantizer.dim()) != (spec, metric, dim)
            || !quantizer.is_listed()
        {
            return Err(IndexError::Corrupt {
                section: QUANTIZER,
                what: format!(
                    "`{}` for {} dimensions under {}, not `{spec}` for {dim} under {metric}",
                    quantizer.spec(),
                    quantizer.dim(),
                    quantizer.metric()
                ),
            });
        }
        Ok(Self {
            rows: quantizer.open_codes_as(NAMES, file, rows)?,
            quantizer,
            rerank,
        })
    }
}

impl Placed<'_> {
    /// Trains on what is left of a sample beyond its centroids.
    fn learn(
        &self,
        spec: QuantizerSpec,
        seed: u64,
        options: &BuildOptions<'_>,
    ) -> Result<Quantizer, IndexError> {
        let dim = self.rows.dim();
        spec.check_dim(dim)?;
        let most = Quantizer::rows_to_learn_from(spec);
        let drawn = Random::new(seed ^ 0x0c0d_e5ed).distinct(most, self.members.len());
        let mut vectors = vec![0.0; drawn.len() * dim];
        for (vector, &place) in vectors.chunks_exact_mut(dim).zip(&drawn) {
            read_row(self.metric, self.rows, RowId(self.members[place]), vector);
        }
        let mean = mean_of(self.metric, dim, &vectors);
        for (vector, &place) in vectors.chunks_exact_mut(dim).zip(&drawn) {
            subtract(vector, self.centroid(self.list_at(place)));
        }
        let training = TrainingParams {
            seed,
            ..TrainingParams::default()
        };
        let quiet = BuildOptions {
            progress: &crate::Silent,
            ..*options
        };
        Quantizer::learn(spec, self.metric, (mean, vectors), true, &training, &quiet)
    }

    fn encode(
        &self,
        quantizer: &Quantizer,
        options: &BuildOptions<'_>,
    ) -> Result<Vec<u8>, IndexError> {
        let (each, dim) = (quantizer.code_bytes(), self.rows.dim());
        let mut codes = vec![0u8; self.members.len() * each];
        let encoder = || (quantizer.encoder(options), Vec::new(), Vec::new());
        options.for_each_chunk(
            &mut codes,
            BLOCK * each,
            encoder,
            |(encoder, vectors, centre): &mut (_, Vec<f32>, Vec<f32>), first, codes| {
                let start = first / each;
                let end = start + codes.len() / each;
                let mut place = start;
                while place < end {
                    let list = self.list_at(place);
                    let stop = (self.offsets[list + 1] as usize).min(end);
                    let centroid = self.centroid(list);
                    centre.clear();
                    if self.metric != Metric::Dot {
                        vectors.clear();
                        vectors.extend_from_slice(centroid);
                        subtract(vectors, quantizer.mean());
                        quantizer.turn(vectors, centre);
                    }
                    vectors.clear();
                    for &row in &self.members[place..stop] {
                        let at = vectors.len();
                        vectors.resize(at + dim, 0.0);
                        read_row(self.metric, self.rows, RowId(row), &mut vectors[at..]);
                        subtract(&mut vectors[at..], centroid);
                    }
                    let codes = &mut codes[(place - start) * each..(stop - start) * each];
                    encoder.encode(vectors, centre, codes)?;
                    place = stop;
                }
                Ok(())
            },
        )?;
        Ok(codes)
    }

    /// The list that holds the row at a place.
    fn list_at(&self, place: usize) -> usize {
        self.offsets
            .partition_point(|&offset| offset as usize <= place)
            .saturating_sub(1)
    }

    fn centroid(&self, list: usize) -> &[f32] {
        let dim = self.rows.dim();
        &self.centroids[list * dim..(list + 1) * dim]
    }
}
