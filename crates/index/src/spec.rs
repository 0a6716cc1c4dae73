//! [`IndexSpec`]: which index to build and with which parameters; what a collection's schema stores.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use vecdb_vector::{ElementType, Metric};

use crate::sq4::Sq4Codes;
use crate::{DiskAnnParams, IndexError, IvfParams, LshParams, SearchParams};

/// An index kind with its build parameters. As JSON: `{"type":"hnsw","m":16,"ef_construction":200}` or
/// `{"type":"flat"}`; unknown keys are errors, missing ones take their defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Form", into = "Form")]
pub enum IndexSpec {
    /// No structure: every search scans all rows, exactly.
    Flat,
    /// Hierarchical navigable small world graph.
    Hnsw(HnswParams),
    /// Lists around learned centroids.
    Ivf(IvfParams),
    /// A graph on the disk, codes in memory.
    DiskAnn(DiskAnnParams),
    /// Hash tables in which near rows share buckets.
    Lsh(LshParams),
}

/// The JSON form. serde lets a unit variant pass with unknown keys, an empty struct variant not.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Form {
    Flat {},
    Hnsw(HnswParams),
    Ivf(IvfParams),
    #[serde(rename = "diskann")]
    DiskAnn(DiskAnnParams),
    Lsh(LshParams),
}

impl From<Form> for IndexSpec {
    fn from(form: Form) -> Self {
        match form {
            Form::Flat {} => Self::Flat,
            Form::Hnsw(params) => Self::Hnsw(params),
            Form::Ivf(params) => Self::Ivf(params),
            Form::DiskAnn(params) => Self::DiskAnn(params),
            Form::Lsh(params) => Self::Lsh(params),
        }
    }
}

impl From<IndexSpec> for Form {
    fn from(spec: IndexSpec) -> Self {
        match spec {
            IndexSpec::Flat => Self::Flat {},
            IndexSpec::Hnsw(params) => Self::Hnsw(params),
            IndexSpec::Ivf(params) => Self::Ivf(params),
            IndexSpec::DiskAnn(params) => Self::DiskAnn(params),
            IndexSpec::Lsh(params) => Self::Lsh(params),
        }
    }
}

/// Build parameters of HNSW, by the names of the paper (Malkov and Yashunin 2016, section 4).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HnswParams {
    /// Links kept per row on the upper layers; layer 0 keeps up to twice as many. 2 to 256, default 16.
    pub m: u32,
    /// Size of the candidate pool while inserting; larger is slower to build and better connected.
    /// 1 to 10,000, default 200.
    pub ef_construction: u32,
    /// Seed of the level draw. The same seed and rows built by one thread give the same graph, byte for byte.
    pub seed: u64,
    /// How many times nearer to a kept link than to the row a candidate has to be to be left out: 1 as published, more
    /// keeps more and longer links. Nothing under dot. 1 to 2, default 1.1.
    pub alpha: f32,
    /// What the graph is walked on. Default `auto`.
    pub quantization: Quantization,
}

/// Only `alpha` could be unequal to itself, and validation refuses what is no number.
impl Eq for HnswParams {}

/// What a walk through a graph measures rows by.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantization {
    /// Codes of four bits a number where they are much smaller than the vectors and a sample shows that they tell near
    /// rows from others; else the vectors.
    #[default]
    Auto,
    /// The vectors themselves.
    None,
    /// Codes of four bits a number; the vectors only of the most promising rows found. For vectors of floats under L2,
    /// cosine and dot.
    Sq4,
}

impl Quantization {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Auto, Self::None, Self::Sq4];

    /// The name in text: `auto`, `none`, `sq4`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::None => "none",
            Self::Sq4 => "sq4",
        }
    }

    /// How it is stored.
    pub(crate) fn code(self) -> u32 {
        self as u32
    }

    pub(crate) fn from_code(code: u32) -> Option<Self> {
        Self::ALL.get(code as usize).copied()
    }
}

impl FromStr for Quantization {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| {
            format!("{text:?} is no quantization of a graph; there are auto, none and sq4")
        })
    }
}

impl fmt::Display for Quantization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Default for HnswParams {
    fn default() -> Self {
        Self {
            m: 16,
            ef_construction: 200,
            seed: 42,
            alpha: 1.1,
            quantization: Quantization::Auto,
        }
    }
}

impl HnswParams {
    /// Checks that such vectors can be indexed so.
    pub(crate) fn check_field(
        &self,
        metric: Metric,
        element: ElementType,
    ) -> Result<(), IndexError> {
        if self.quantization == Quantization::Sq4 && !Sq4Codes::serves(metric, element) {
            return Err(IndexError::UnsupportedCode {
                code: "sq4".to_owned(),
                metric,
                element,
            });
        }
        Ok(())
    }

    /// Checks the ranges documented at the fields.
    pub fn validate(&self) -> Result<(), IndexError> {
        if !(2..=256).contains(&self.m) {
            return Err(IndexError::OutOfRange {
                name: "m",
                value: u64::from(self.m),
                expected: "from 2 to 256",
            });
        }
        if !(1..=10_000).contains(&self.ef_construction) {
            return Err(IndexError::OutOfRange {
                name: "ef_construction",
                value: u64::from(self.ef_construction),
                expected: "from 1 to 10,000",
            });
        }
        if !(1.0..=2.0).contains(&self.alpha) {
            return Err(IndexError::BadNumber {
                name: "alpha",
                value: f64::from(self.alpha),
                expected: "from 1 to 2",
            });
        }
        Ok(())
    }
}

impl Default for IndexSpec {
    fn default() -> Self {
        Self::Hnsw(HnswParams::default())
    }
}

impl IndexSpec {
    /// The names of all kinds.
    pub const KINDS: [&'static str; 5] = ["flat", "hnsw", "ivf", "diskann", "lsh"];

    /// The kind's name, as in JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Hnsw(_) => "hnsw",
            Self::Ivf(_) => "ivf",
            Self::DiskAnn(_) => "diskann",
            Self::Lsh(_) => "lsh",
        }
    }

    /// Checks the ranges of all parameters.
    pub fn validate(&self) -> Result<(), IndexError> {
        match self {
            Self::Flat => Ok(()),
            Self::Hnsw(params) => params.validate(),
            Self::Ivf(params) => params.validate(),
            Self::DiskAnn(params) => params.validate(),
            Self::Lsh(params) => params.validate(),
        }
    }

    /// Checks that such vectors can be indexed so.
    ///
    /// # Errors
    /// A metric that the elements do not have, codes that cannot serve them.
    pub fn check_field(&self, metric: Metric, element: ElementType) -> Result<(), IndexError> {
        if !metric.supports(element) {
            return Err(IndexError::UnsupportedMetric { metric, element });
        }
        match self {
            Self::Flat | Self::DiskAnn(_) => Ok(()),
            Self::Hnsw(params) => params.check_field(metric, element),
            Self::Ivf(params) => params.code_for(metric, element).map(|_| ()),
            Self::Lsh(params) => params.check_metric(metric),
        }
    }

    /// Checks that vectors of so many dimensions can be indexed so.
    ///
    /// # Errors
    /// Codes of more segments than there are dimensions.
    pub fn check_dim(&self, dim: usize) -> Result<(), IndexError> {
        match self {
            Self::Ivf(params) => params.check_dim(dim),
            Self::Flat | Self::Hnsw(_) | Self::DiskAnn(_) | Self::Lsh(_) => Ok(()),
        }
    }

    /// About how many bytes of memory a build over so many rows holds: the links of a graph. The rows are read where they
    /// are.
    pub fn build_bytes(&self, rows: u32) -> u64 {
        match self {
            Self::Flat => 0,
            Self::Hnsw(params) => crate::hnsw::build_bytes(params, rows),
            Self::Ivf(params) => crate::ivf::build_bytes(params, rows),
            Self::DiskAnn(params) => crate::diskann::build_bytes(params, rows),
            Self::Lsh(params) => crate::lsh::build_bytes(params, rows),
        }
    }

    /// Checks the knobs of a search before any index of this spec is there to check them.
    ///
    /// # Errors
    /// A knob that the kind does not know, or a value out of range.
    pub fn check_params(&self, params: &SearchParams) -> Result<(), IndexError> {
        let known = match self {
            Self::Flat => crate::Flat::KNOBS,
            Self::Hnsw(_) => crate::hnsw::KNOBS,
            Self::Ivf(_) => crate::ivf::KNOBS,
            Self::DiskAnn(_) => crate::diskann::KNOBS,
            Self::Lsh(_) => crate::lsh::KNOBS,
        };
        params.check(self.kind(), known)
    }
}

impl fmt::Display for IndexSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flat => f.write_str("flat"),
            Self::Hnsw(params) => {
                let (m, ef_construction) = (params.m, params.ef_construction);
                write!(f, "hnsw (m={m}, ef_construction={ef_construction}")?;
                match params.quantization {
                    Quantization::Auto => f.write_str(")"),
                    asked_for => write!(f, ", quantization={asked_for})"),
                }
            }
            Self::Ivf(params) => {
                f.write_str("ivf (nlist=")?;
                match params.nlist {
                    Some(nlist) => write!(f, "{nlist}")?,
                    None => f.write_str("auto")?,
                }
                match params.code {
                    Some(code) => write!(f, ", code={code})"),
                    None => f.write_str(")"),
                }
            }
            Self::DiskAnn(params) => write!(
                f,
                "diskann (r={}, l_build={}, alpha={})",
                params.r, params.l_build, params.alpha
            ),
            Self::Lsh(params) => {
                for (open, number) in [
                    ("lsh (tables=", params.tables),
                    (", hashes=", params.hashes),
                ] {
                    f.write_str(open)?;
                    match number {
                        Some(number) => write!(f, "{number}")?,
                        None => f.write_str("auto")?,
                    }
                }
                match params.width {
                    Some(width) => write!(f, ", width={width})"),
                    None => f.write_str(")"),
                }
            }
        }
    }
}

impl FromStr for IndexSpec {
    type Err = IndexError;

    /// Reads the name of a kind (with default parameters) or the JSON form, and validates it.
    fn from_str(text: &str) -> Result<Self, IndexError> {
        let spec = match text.trim() {
            "flat" => Self::Flat,
            "hnsw" => Self::Hnsw(HnswParams::default()),
            "ivf" => Self::Ivf(IvfParams::default()),
            "diskann" => Self::DiskAnn(DiskAnnParams::default()),
            "lsh" => Self::Lsh(LshParams::default()),
            json if json.starts_with('{') => {
                serde_json::from_str(json).map_err(|error| IndexError::BadSpec {
                    text: text.to_owned(),
                    reason: error.to_string(),
                })?
            }
            _ => {
                return Err(IndexError::BadSpec {
                    text: text.to_owned(),
                    reason: format!("the kinds are {}", Self::KINDS.join(", ")),
                });
            }
        };
        spec.validate()?;
        Ok(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_round_trips_and_fills_defaults() {
        let spec: IndexSpec = r#"{"type":"hnsw","m":32}"#.parse().unwrap();
        let expected = HnswParams {
            m: 32,
            ..HnswParams::default()
        };
        assert_eq!(spec, IndexSpec::Hnsw(expected));
        let lists = IndexSpec::Ivf(IvfParams {
            nlist: Some(7),
            ..IvfParams::default()
        });
        let plain = r#"{"type":"ivf"}"#.parse().unwrap();
        assert_eq!(plain, IndexSpec::Ivf(IvfParams::default()));
        let disk = r#"{"type":"diskann","r":32,"alpha":1.5}"#.parse().unwrap();
        let tables = IndexSpec::Lsh(LshParams {
            tables: Some(7),
            width: Some(0.1),
            ..LshParams::default()
        });
        for spec in [
            spec,
            IndexSpec::Flat,
            IndexSpec::default(),
            lists,
            plain,
            disk,
            tables,
        ] {
            let json = serde_json::to_string(&spec).unwrap();
            assert_eq!(json.parse::<IndexSpec>().unwrap(), spec, "{json}");
        }
        assert_eq!("flat".parse::<IndexSpec>().unwrap(), IndexSpec::Flat);
    }

    #[test]
    fn unknown_keys_kinds_and_ranges_are_errors() {
        for (text, named) in [
            (r#"{"type":"hnsw","M":32}"#, "`M`"),
            (r#"{"type":"flat","m":32}"#, "`m`"),
            (r#"{"type":"tree"}"#, "tree"),
            (r#"{"m":3}"#, "`type`"),
            (r#"{"kind":"hnsw","m":3}"#, "missing field `type`"),
            ("annoy", "flat, hnsw, ivf, diskann, lsh"),
            (r#"{"type":"diskann","r":5}"#, "even, from 4 to 256"),
            (r#"{"type":"diskann","alpha":3}"#, "from 1 to 2"),
            (r#"{"type":"lsh","tables":0}"#, "from 1 to 512"),
            (r#"{"type":"lsh","hashes":33}"#, "from 1 to 32"),
            (r#"{"type":"lsh","width":-1.0}"#, "above 0"),
            (r#"{"type":"ivf","nlist":0}"#, "from 1 to 1,000,000"),
            (r#"{"type":"ivf","code":"qp"}"#, "`qp`"),
            (r#"{"type":"ivf","code":"pq8x99"}"#, "from 4 to 12"),
            (r#"{"type":"hnsw","m":1}"#, "from 2 to 256"),
            (r#"{"type":"hnsw","ef_construction":0}"#, "from 1 to 10,000"),
        ] {
            let error = text.parse::<IndexSpec>().unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
