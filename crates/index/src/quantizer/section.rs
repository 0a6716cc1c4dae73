//! A quantizer as bytes, and codes in a file.
//!
//! Little-endian: version u32, spec as text, metric name, listed u8, dimension u32, trained error f64, seed u64, mean
//! (dimension x f32); then for codes of books the rotation (OPQ only: dimension x dimension x f32) and the books
//! (dimension x 2^bits x f32, one number of every value after the other). For RaBitQ: bits of a number u32, directions
//! coded u32 (0: all dimensions are), and of those the squared deviation by what is left out f32 and the directions
//! (dimension x f32 each); its rotation follows from their number and the seed.

use vecdb_storage::bytes::{BytesError, Reader, Writer};
use vecdb_storage::{SectionFile, SectionWriter};
use vecdb_vector::{ElementType, MAX_DIM, Metric};

use super::linear::Matrix;
use super::packed::Names;
use super::principal::Head;
use super::product::Product;
use super::rabitq::Rabitq;
use super::rotation::LearnedRotation;
use super::{CodedRows, Kind, NAMES, Quantizer, QuantizerSpec};
use crate::IndexError;

const VERSION: u32 = 2;

impl Quantizer {
    /// Appends all that [`Self::read`] needs.
    pub(crate) fn write(&self, writer: &mut Writer) {
        let seed = match &self.kind {
            Kind::Rabitq(codes) => codes.seed,
            Kind::Product(_) => 0,
        };
        writer
            .u32(VERSION)
            .str(&self.spec.to_string())
            .str(self.metric.name())
            .u8(u8::from(self.listed))
            .u32(self.dim as u32)
            .u64(self.trained_error.to_bits())
            .u64(seed);
        put(writer, &self.mean);
        if let Kind::Product(books) = &self.kind {
            if let Some(rotation) = &books.rotation {
                put(writer, rotation.0.values());
            }
            put(writer, books.books());
        }
        if let Kind::Rabitq(codes) = &self.kind {
            let head = codes.head.as_ref();
            writer
                .u32(codes.bits)
                .u32(head.map_or(0, |head| head.count() as u32));
            if let Some(head) = head {
                put(writer, &[head.tail]);
                put(writer, head.values());
            }
        }
    }

    /// Reads what [`Self::write`] wrote.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, BytesError> {
        let version = reader.u32()?;
        if version != VERSION {
            let what =
                format!("a quantizer of version {version}, but this program reads {VERSION}");
            return Err(reader.error(what));
        }
        let spec: QuantizerSpec = named(reader)?;
        let metric: Metric = named(reader)?;
        let listed = reader.u8()? != 0;
        let dim = reader.u32()? as usize;
        let trained_error = f64::from_bits(reader.u64()?);
        let seed = reader.u64()?;
        let fits = (1..=MAX_DIM).contains(&dim) && spec.check_dim(dim).is_ok();
        if !fits || !spec.serves(metric, ElementType::F32) {
            return Err(reader.error(format!("`{spec}` for {dim} dimensions under {metric}")));
        }
        let mean = take(reader, dim)?;
        let product = |reader: &mut Reader<'_>, bits: u32, opq: bool| -> Result<Kind, BytesError> {
            let rotation = match opq {
                true => Matrix::new(dim, take(reader, dim * dim)?).map(LearnedRotation),
                false => None,
            };
            let books = take(reader, dim << bits)?;
            let segments = spec.segments(dim);
            Ok(Kind::Product(Product::new(
                dim, segments, bits, rotation, books,
            )))
        };
        let kind = match spec {
            QuantizerSpec::Pq { bits, opq, .. } => product(reader, bits, opq)?,
            QuantizerSpec::Sq { bits } => product(reader, bits, false)?,
            QuantizerSpec::Binary => product(reader, 1, false)?,
            QuantizerSpec::Rabitq { .. } => Kind::Rabitq(rabitq(reader, dim, seed)?),
        };
        let quantizer = Self::of(spec, metric, mean, listed, kind);
        Ok(Self {
            trained_error,
            ..quantizer
        })
    }

    /// Writes the quantizer as a section of a file.
    ///
    /// # Errors
    /// Those of the file.
    pub fn save(&self, name: &str, writer: &mut SectionWriter) -> Result<(), IndexError> {
        let mut bytes = Writer::new();
        self.write(&mut bytes);
        Ok(writer.add(name, bytes.as_slice())?)
    }

    /// Opens a quantizer that [`Self::save`] wrote.
    ///
    /// # Errors
    /// A missing or damaged section.
    pub fn open(name: &str, file: &SectionFile) -> Result<Self, IndexError> {
        let section = file.section(name)?;
        let bytes = section.bytes_verified()?;
        let mut reader = Reader::new(&bytes);
        let quantizer = Self::read(&mut reader).and_then(|quantizer| {
            reader.finish()?;
            Ok(quantizer)
        });
        quantizer.map_err(|error| {
            IndexError::Storage(error.in_file(section.path(), section.file_offset()))
        })
    }

    /// Opens the codes of so many rows. Reads none of them.
    ///
    /// # Errors
    /// Missing sections, or sections of other sizes.
    pub fn open_codes(&self, file: &SectionFile, rows: u32) -> Result<CodedRows, IndexError> {
        self.open_codes_as(NAMES, file, rows)
    }

    pub(crate) fn open_codes_as(
        &self,
        names: Names,
        file: &SectionFile,
        rows: u32,
    ) -> Result<CodedRows, IndexError> {
        CodedRows::open_as(names, self.shape, file, rows)
    }
}

fn rabitq(reader: &mut Reader<'_>, dim: usize, seed: u64) -> Result<Rabitq, BytesError> {
    let (bits, count) = (reader.u32()?, reader.u32()? as usize);
    if !(1..=8).contains(&bits) || count > dim {
        let what = format!("{bits} bits of {count} directions of {dim} dimensions");
        return Err(reader.error(what));
    }
    let head = match count {
        0 => None,
        count => {
            let tail = take(reader, 1)?.into_iter().sum();
            let values = take(reader, count * dim)?;
            let head = Head::new(dim, values, tail);
            Some(head.ok_or_else(|| reader.error(format!("a deviation of {tail}")))?)
        }
    };
    Ok(Rabitq::new(dim, bits, seed, head))
}

fn named<T: std::str::FromStr<Err: std::fmt::Display>>(
    reader: &mut Reader<'_>,
) -> Result<T, BytesError> {
    let text = reader.str()?;
    text.parse()
        .map_err(|error: T::Err| reader.error(error.to_string()))
}

fn put(writer: &mut Writer, numbers: &[f32]) {
    for number in numbers {
        writer.u32(number.to_bits());
    }
}

fn take(reader: &mut Reader<'_>, count: usize) -> Result<Vec<f32>, BytesError> {
    let bytes = reader.bytes(count * 4)?.as_chunks().0;
    let numbers: Vec<f32> = bytes
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    match numbers.iter().find(|number| !number.is_finite()) {
        Some(number) => Err(reader.error(format!("{number} among learned numbers"))),
        None => Ok(numbers),
    }
}
