//! What IVF tells about its lists.

use vecdb_index::{
    AnnIndex, Budget, BuildOptions, IndexSpec, Ivf, IvfCode, IvfParams, Scratch, SearchParams,
    build_extending, open,
};
use vecdb_vector::{ElementType, Metric, Neighbor, Query, RowId};

use crate::fixture::{Rows, open_file, save, sections};

const NLIST: u32 = 25;

fn params(code: IvfCode) -> IvfParams {
    IvfParams {
        nlist: Some(NLIST),
        code: Some(code),
        ..IvfParams::default()
    }
}

fn lists_of(index: &dyn AnnIndex) -> &Ivf {
    index.as_any().downcast_ref().unwrap()
}

fn built(rows: &Rows, code: IvfCode) -> Ivf {
    Ivf::build(
        &params(code),
        rows.metric,
        rows.view(),
        &BuildOptions::default(),
    )
    .unwrap()
}

fn search(rows: &Rows, index: &Ivf, query: &Query, nprobe: u32) -> (Vec<Neighbor>, Scratch) {
    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
    let params = SearchParams {
        nprobe: Some(nprobe),
        ..SearchParams::default()
    };
    index
        .search(
            rows.view(),
            query,
            10,
            None,
            &params,
            &Budget::UNLIMITED,
            &mut scratch,
            &mut hits,
        )
        .unwrap();
    (hits, scratch)
}

/// What the distance between two vectors is, told slowly.
fn distance_to(metric: Metric, query: &Query, centroid: &[f32]) -> f64 {
    let mut values = Vec::new();
    query.to_f32(&mut values);
    let norm = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
    let scale = if metric == Metric::Cosine {
        1.0 / norm.sqrt()
    } else {
        1.0
    };
    let pairs = values
        .iter()
        .map(|v| f64::from(*v) * scale)
        .zip(centroid.iter().map(|c| f64::from(*c)));
    match metric {
        Metric::Dot => -pairs.map(|(a, b)| a * b).sum::<f64>(),
        _ => pairs.map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt(),
    }
}

#[test]
fn a_search_tells_which_lists_it_looked_into() {
    for (metric, code) in [
        (Metric::L2, IvfCode::Sq8),
        (Metric::L2, IvfCode::Vector),
        (Metric::Cosine, IvfCode::Vector),
        (Metric::Dot, IvfCode::Sq8),
    ] {
        let rows = Rows::new(metric, ElementType::F32, 4_000, 12);
        let index = built(&rows, code);
        let list_of = index.list_of_rows().unwrap();
        for query in &rows.queries {
            let (hits, scratch) = search(&rows, &index, query, 4);
            let mut truth: Vec<_> = (0..index.lists())
                .map(|list| {
                    let centroid = index.centroid(list).unwrap();
                    (distance_to(metric, query, centroid), list)
                })
                .collect();
            truth.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert_eq!(scratch.lists().len(), 4);
            for (seen, (distance, list)) in scratch.lists().iter().zip(truth) {
                assert_eq!(seen.list, list, "{metric}");
                assert!(
                    (f64::from(seen.distance) - distance).abs() < 1e-3,
                    "{metric}: {seen:?}, truly {distance}"
                );
                assert_eq!(seen.compared as usize, index.members(list).unwrap().len());
            }
            for hit in hits {
                let list = list_of[hit.row.index()];
                assert!(scratch.lists().iter().any(|seen| seen.list == list));
            }
        }
        // All lists are all rows: that is a scan, which looks into none.
        let (_, scratch) = search(&rows, &index, &rows.queries[0], index.lists());
        assert_eq!(scratch.lists(), []);
    }
}

#[test]
fn every_row_has_the_list_that_holds_it() {
    let rows = Rows::new(Metric::L2, ElementType::F32, 3_000, 8);
    let index = built(&rows, IvfCode::Sq8);
    let list_of = index.list_of_rows().unwrap();
    assert_eq!(list_of.len(), 3_000);
    let mut held = 0;
    for list in 0..index.lists() {
        for &row in index.members(list).unwrap() {
            assert_eq!(list_of[row as usize], list);
            held += 1;
        }
    }
    assert_eq!(held, 3_000);
}

#[test]
fn a_build_keeps_the_report_of_its_training_and_a_file_does_not() {
    let rows = Rows::new(Metric::L2, ElementType::F32, 4_000, 12);
    let index = built(&rows, IvfCode::Sq8);
    let report = index.training().unwrap();
    assert_eq!(report.vectors, (NLIST * 128) as usize);
    assert!(!report.objectives.is_empty() && report.objectives.len() <= 15);
    assert!(
        report.objectives.is_sorted_by(|a, b| a >= b),
        "{:?}",
        report.objectives
    );
    let disk = save(&index);
    let file = open_file(&disk).unwrap();
    let spec = IndexSpec::Ivf(params(IvfCode::Sq8));
    let opened = open(&spec, Metric::L2, &file, rows.count).unwrap();
    assert!(lists_of(&*opened).training().is_none());
    assert_eq!(lists_of(&*opened).code(), IvfCode::Sq8);
    // What goes on from learned centroids has not learned them.
    let remap: Vec<_> = (0..rows.count).map(|row| Some(RowId(row))).collect();
    let extended = build_extending(
        &spec,
        Metric::L2,
        rows.view(),
        &BuildOptions::default(),
        &*opened,
        &remap,
    )
    .unwrap();
    assert!(lists_of(&*extended).training().is_none());
}

#[test]
fn more_recall_takes_no_fewer_lists() {
    let rows = Rows::new(Metric::L2, ElementType::F32, 4_000, 12);
    let index = built(&rows, IvfCode::Vector);
    let pairs: Vec<_> = index.nprobe_for_recall().collect();
    assert_eq!((pairs[0].0, pairs.len()), (0.5, 8));
    assert!(
        pairs
            .windows(2)
            .all(|p| p[0].0 < p[1].0 && p[0].1 <= p[1].1)
    );
    assert!(
        pairs
            .iter()
            .all(|&(_, nprobe)| (1..=index.lists()).contains(&nprobe))
    );
    let (_, default) = pairs
        .iter()
        .find(|(recall, _)| (recall - 0.99).abs() < 1e-6)
        .unwrap();
    assert_eq!(*default, index.default_nprobe());
}

#[test]
fn the_same_lists_come_of_any_number_of_threads() {
    for metric in [Metric::L2, Metric::Cosine] {
        let rows = Rows::new(metric, ElementType::F32, 6_000, 24);
        let spec = IndexSpec::Ivf(IvfParams::default());
        let one = sections(&save(&*rows.build(&spec, 1)));
        assert!(one == sections(&save(&*rows.build(&spec, 3))), "{metric}");
    }
}
