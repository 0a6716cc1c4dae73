//! The index suite: what every kind of index must do, checked alike for all, and more for the graph and the lists.
//!
//! A new kind gets one line at the end of this file.

mod fixture;
mod graph;
mod kinds;
mod lists;
mod pages;
mod quantized;
mod real_data;
mod tables;
mod targets;

use vecdb_index::{
    DiskAnnParams, HnswParams, IndexSpec, IvfCode, IvfParams, LshParams, Quantization,
};

/// One module per kind, one test per check.
macro_rules! suite {
    ($kind:ident, $spec:expr) => {
        mod $kind {
            use super::*;

            suite!(@tests $spec,
                finds_the_nearest_under_every_metric,
                respects_the_mask,
                answers_at_the_edges,
                lives_with_equal_rows,
                refuses_what_does_not_fit,
                stops_when_the_budget_is_spent,
                forgets_the_searches_before,
                reopens_with_the_same_answers,
                survives_corrupt_bytes,
                builds_the_same_from_the_same_seed,
                compares_few_rows,
            );
        }
    };
    (@tests $spec:expr, $($test:ident,)*) => {
        $(
            #[test]
            fn $test() {
                kinds::$test(&$spec);
            }
        )*
    };
}

suite!(flat, IndexSpec::Flat);
suite!(hnsw, IndexSpec::Hnsw(HnswParams::default()));
suite!(
    hnsw_on_codes,
    IndexSpec::Hnsw(HnswParams {
        quantization: Quantization::Sq4,
        ..HnswParams::default()
    })
);
suite!(ivf, IndexSpec::Ivf(IvfParams::default()));
suite!(
    ivf_of_vectors,
    IndexSpec::Ivf(IvfParams {
        code: Some(IvfCode::Vector),
        ..IvfParams::default()
    })
);
suite!(ivf_pq, quantized::spec("pq"));
suite!(ivf_pq_of_bytes, quantized::spec("pq4x8"));
suite!(ivf_opq, quantized::spec("opqx6"));
suite!(ivf_sq4, quantized::spec("sq4"));
suite!(ivf_rabitq, quantized::spec("rabitq"));
suite!(ivf_rabitq_of_more_bits, quantized::spec("rabitq4"));
suite!(ivf_binary, quantized::spec("binary"));
suite!(
    diskann,
    IndexSpec::DiskAnn(DiskAnnParams {
        r: 32,
        l_build: 64,
        ..DiskAnnParams::default()
    })
);
suite!(lsh, IndexSpec::Lsh(LshParams::default()));
