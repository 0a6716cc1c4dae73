use vecdb_vector::{ElementType, Query};

use super::*;
use crate::random::Random;
use crate::{Budget, Scratch};

fn rows(count: usize, dim: usize) -> Vec<f32> {
    let mut random = Random::new(9);
    let centres: Vec<f32> = (0..20 * dim).map(|_| random.unit() as f32 * 4.0).collect();
    (0..count)
        .flat_map(|row| {
            let centre = &centres[row % 20 * dim..(row % 20 + 1) * dim];
            let near = |&value: &f32| value + random.unit() as f32;
            centre.iter().map(near).collect::<Vec<_>>()
        })
        .collect()
}

fn ask(params: &AdviceParams) -> Result<Advice, IndexError> {
    let values = rows(2_400, 16);
    let rows = VectorRows::from_f32(16, &values).unwrap();
    advise(Metric::L2, rows, params, &BuildOptions::default())
}

#[test]
fn every_kind_is_measured_and_what_will_do_comes_first() {
    let params = AdviceParams {
        queries: 50,
        ..AdviceParams::default()
    };
    let advice = ask(&params).unwrap();
    let kinds: Vec<_> = advice.choices.iter().map(|c| c.spec.kind()).collect();
    for kind in IndexSpec::KINDS {
        assert!(kinds.contains(&kind), "{kind} of {kinds:?}");
    }
    assert!(advice.choices.is_sorted_by_key(|choice| !choice.will_do()));
    let best = advice.recommended().unwrap();
    assert!(best.sample_recall >= 0.95 && best.latency_us > 0.0);
    // What is predicted as reaching the recall does, on the rows it was not measured with. Which kind is the first depends
    // on the time measured: the same one is looked at each time.
    let graphs = advice.choices.iter();
    let mut graphs = graphs.filter(|choice| choice.will_do() && choice.spec.kind() == "hnsw");
    let best = graphs.next().unwrap();
    let values = rows(2_400, 16);
    let rows = VectorRows::from_f32(16, &values).unwrap();
    let index = crate::build(&best.spec, Metric::L2, rows, &BuildOptions::default()).unwrap();
    let (mut found, mut out) = (0, Vec::new());
    let mut scratch = Scratch::new();
    for query in values.chunks_exact(16).take(40) {
        let near: Vec<f32> = query.iter().map(|value| value + 0.05).collect();
        let query = Query::new(Metric::L2, rows.element(), 16, &near).unwrap();
        let (none, budget) = (SearchParams::default(), Budget::UNLIMITED);
        let exact = SearchParams {
            exact: true,
            ..none
        };
        let mut search = |params: &SearchParams| {
            index
                .search(
                    rows,
                    &query,
                    10,
                    None,
                    params,
                    &budget,
                    &mut scratch,
                    &mut out,
                )
                .unwrap();
            out.clone()
        };
        let truth = search(&exact);
        let hits = search(&best.params);
        found += hits.iter().filter(|hit| truth.contains(hit)).count();
    }
    assert!(found >= 360, "{found} of 400 with {:?}", best.params);
}

#[test]
fn memory_decides_which_will_do() {
    let with = |memory_bytes| {
        let params = AdviceParams {
            queries: 20,
            memory_bytes: Some(memory_bytes),
            rows: Some(1_000_000),
            ..AdviceParams::default()
        };
        ask(&params).unwrap()
    };
    assert!(with(1 << 40).recommended().is_some());
    let none = with(1_000);
    assert!(none.recommended().is_none());
    assert!(none.choices.iter().all(|choice| !choice.fits_memory));
    // A million vectors take 64 MB: what keeps them in memory does not fit into less.
    let tight = with(60_000_000);
    let flat = tight.choices.iter().find(|c| c.spec == IndexSpec::Flat);
    let flat = flat.unwrap();
    assert!(!flat.fits_memory);
    assert!((63_000_000..65_000_000).contains(&flat.memory_bytes));
    assert!(tight.choices.iter().any(|choice| choice.fits_memory));
}

#[test]
fn what_cannot_be_measured_is_refused_with_a_reason() {
    let with = |change: fn(&mut AdviceParams)| {
        let mut params = AdviceParams::default();
        change(&mut params);
        ask(&params).unwrap_err().to_string()
    };
    for (error, named) in [
        (with(|p| p.target_recall = 0.2), "from 0.5 to 1"),
        (with(|p| p.target_recall = f32::NAN), "target_recall"),
        (with(|p| p.limit = 0), "from 1 to 1,000"),
        (with(|p| p.sample_rows = 10), "from 256"),
        (with(|p| p.queries = 0), "from 10"),
        (with(|p| p.rows = Some(0)), "1 or more"),
        (with(|p| p.target_recall = 1.1), "`target_recall` is 1.1,"),
    ] {
        assert!(error.contains(named), "{error}");
    }
    let values = rows(200, 16);
    let few = VectorRows::from_f32(16, &values).unwrap();
    let params = AdviceParams::default();
    let error = advise(Metric::L2, few, &params, &BuildOptions::default()).unwrap_err();
    assert!(error.to_string().contains("at least 300"), "{error}");
    let stop = BuildOptions {
        cancelled: Some(&|| true),
        ..BuildOptions::default()
    };
    let many = VectorRows::from_f32(16, &values).unwrap();
    let error = advise(Metric::L2, many, &params, &stop).unwrap_err();
    assert!(matches!(error, IndexError::Cancelled), "{error}");
}

#[test]
fn growth_is_carried_on() {
    let sizes = (1_000.0, 4_000.0);
    let close = |value: f64, expected: f64| (value - expected).abs() < 1e-6 * expected;
    assert!(close(carried(sizes, (10.0, 40.0), 40_000.0), 400.0));
    assert!(close(carried(sizes, (10.0, 20.0), 16_000.0), 40.0));
    // What falls, or grows out of all proportion, is a disturbed measurement.
    assert!(close(carried(sizes, (20.0, 10.0), 40_000.0), 10.0));
    assert!(close(carried(sizes, (1.0, 400.0), 16_000.0), 3_200.0));
    assert!(close(carried(sizes, (10.0, 40.0), 4_000.0), 40.0));
}

#[test]
fn the_least_rows_and_every_element_type_can_be_measured() {
    let params = AdviceParams {
        queries: 10,
        target_recall: 0.9,
        ..AdviceParams::default()
    };
    let advise = |metric, rows| advise(metric, rows, &params, &BuildOptions::default()).unwrap();
    let values = rows(300, 2);
    let few = VectorRows::from_f32(2, &values).unwrap();
    for metric in [Metric::L2, Metric::Cosine, Metric::Dot, Metric::L1] {
        let advice = advise(metric, few);
        assert_eq!((advice.sample_rows, advice.queries), (290, 10));
        assert!(advice.recommended().is_some(), "{metric}");
    }
    let mut random = Random::new(4);
    let bytes: Vec<u8> = (0..400 * 16).map(|_| random.bits() as u8).collect();
    for (element, metric, dim) in [
        (ElementType::U8, Metric::L2, 16),
        (ElementType::I8, Metric::Dot, 16),
        (ElementType::Bits, Metric::Hamming, 128),
        (ElementType::Bits, Metric::Jaccard, 128),
    ] {
        let rows = VectorRows::new(element, dim, 16, 400, &bytes).unwrap();
        assert!(advise(metric, rows).recommended().is_some(), "{metric}");
    }
}

#[test]
fn rows_that_were_drawn_before_give_the_same_sample() {
    let params = AdviceParams {
        sample_rows: 300,
        queries: 100,
        ..AdviceParams::default()
    };
    let drawn = params.draw(5_000);
    assert_eq!(drawn.len(), 400);
    assert!(drawn.is_sorted() && drawn.last() < Some(&5_000));
    // All of them are used, though 100 queries are more than a tenth.
    assert_eq!(params.queries_of(drawn.len()), 100);
    assert_eq!(params.queries_of(350), 50);
    assert_eq!(params.queries_of(300), 30);
}

#[test]
fn advice_is_written_with_what_it_recommends() {
    let params = AdviceParams {
        queries: 20,
        ..AdviceParams::default()
    };
    let advice = ask(&params).unwrap();
    let json = serde_json::to_value(&advice).unwrap();
    assert_eq!(json["recommended"], json["choices"][0]);
    assert_eq!(
        json["choices"].as_array().unwrap().len(),
        advice.choices.len()
    );
    assert!(json["choices"][0]["index"]["type"].is_string());
}
