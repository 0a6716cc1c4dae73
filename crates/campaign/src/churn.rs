//! Half of the points deleted and put back, half of the rest changed, ten times, on real data.

use vecdb_engine::{
    Collection, CollectionConfig, Database, Error, Options, Point, PointId, SearchParams,
    SearchRequest,
};
use vecdb_testkit::data::{Dataset, test_data};
use vecdb_testkit::random::SeededRandom;

use crate::report::Report;

/// Recall may be so much below that of a fresh build.
const RECALL_LOSS_MAX: f64 = 0.01;
/// Bytes of all files, by those of a fresh build.
const DISK_SHARE_MAX: f64 = 1.5;
const QUERIES: usize = 200;
const BATCH: usize = 500;

/// Churns each data set `rounds` times, at most `rows` rows of each.
pub fn run(rounds: u64, rows: usize, seed: u64) -> Report {
    let mut report = Report::begin("churn", seed);
    for data in [test_data().fashion_mnist(rows), test_data().debian(rows)] {
        if let Err(error) = one(&data, rounds, seed, &mut report) {
            report.fail(format!("{}: {error}", data.name));
        }
    }
    report.end()
}

fn one(data: &Dataset, rounds: u64, seed: u64, report: &mut Report) -> Result<(), Error> {
    let mut random = SeededRandom::new(seed);
    let dim = data.base.info.dim;
    let values = data.base.to_f32();
    let vectors: Vec<&[f32]> = values.chunks(dim).collect();
    let rows = vectors.len() as u64;
    let folder = tempfile::tempdir()
        .map_err(|error| Error::new(vecdb_engine::ErrorKind::Io, format!("no folder: {error}")))?;
    let churned = folder.path().join("churned");
    // Which row each id has: ids swap their rows, so the set of vectors stays what it was.
    let mut row_of: Vec<u64> = (0..rows).collect();
    let open = || Database::open(&churned, Options::default());
    let mut db = open()?;
    let config = CollectionConfig::new(dim as u32, data.metric);
    let mut c = db.create_collection("c", config.clone())?;
    let write = |c: &Collection, ids: &[u64], row_of: &[u64]| -> Result<(), Error> {
        for ids in ids.chunks(BATCH) {
            let point = |&id: &u64| Point::new(id, vectors[row_of[id as usize] as usize].to_vec());
            c.upsert(ids.iter().map(point).collect())?;
        }
        Ok(())
    };
    let all: Vec<u64> = (0..rows).collect();
    write(&c, &all, &row_of)?;
    c.wait_until_idle()?;
    for _ in 0..rounds {
        let half = |random: &mut SeededRandom| -> Vec<u64> {
            (0..rows).filter(|_| random.below(2) == 0).collect()
        };
        let gone = half(&mut random);
        for ids in gone.chunks(BATCH) {
            let ids: Vec<_> = ids.iter().map(|&id| PointId::from(id)).collect();
            c.delete(&ids)?;
        }
        write(&c, &gone, &row_of)?;
        let changed = half(&mut random);
        for pair in changed.chunks_exact(2) {
            row_of.swap(pair[0] as usize, pair[1] as usize);
        }
        write(&c, &changed, &row_of)?;
        drop(c);
        db.close()?;
        db = open()?;
        c = db.collection("c")?;
        c.wait_until_idle()?;
        report.count("rounds", 1);
    }
    c.compact()?;
    let fresh_db = Database::open(folder.path().join("fresh"), Options::default())?;
    let fresh = fresh_db.create_collection("c", config)?;
    write(&fresh, &all, &row_of)?;
    fresh.compact()?;

    let queries = data.queries.to_f32();
    let queries: Vec<&[f32]> = queries.chunks(dim).take(QUERIES).collect();
    let (after, before) = (recall(&c, &queries)?, recall(&fresh, &queries)?);
    let (bytes, fresh_bytes) = (bytes(&c), bytes(&fresh));
    let found = db.verify()?;
    let mut measure = |what: &str, value: f64| {
        report
            .measures
            .insert(format!("{}: {what}", data.name), value);
    };
    measure("rows", rows as f64);
    measure("recall_at_10 after", after);
    measure("recall_at_10 of a fresh build", before);
    measure("bytes after", bytes as f64);
    measure("bytes of a fresh build", fresh_bytes as f64);
    if after < before - RECALL_LOSS_MAX {
        report.fail(format!(
            "{}: recall {after:.4}, fresh {before:.4}",
            data.name
        ));
    }
    if bytes as f64 > DISK_SHARE_MAX * fresh_bytes as f64 {
        report.fail(format!("{}: {bytes} bytes, fresh {fresh_bytes}", data.name));
    }
    if let Some(problem) = found.problems.first() {
        report.fail(format!("{}: {problem}", data.name));
    }
    // Every id is there with the vector it was given last.
    for ids in all.chunks(BATCH) {
        let asked: Vec<_> = ids.iter().map(|&id| PointId::from(id)).collect();
        for (&id, record) in ids.iter().zip(c.get(&asked, true, false)?) {
            let right = vectors[row_of[id as usize] as usize];
            if record.and_then(|record| record.vector).as_deref() != Some(right) {
                report.fail(format!("{}: id {id} is not what it was", data.name));
            }
        }
    }
    report.count("points", rows);
    Ok(())
}

fn bytes(c: &Collection) -> u64 {
    c.info().segments.iter().map(|segment| segment.bytes).sum()
}

/// Share of the exact ten nearest, by distance, that the default search finds.
fn recall(c: &Collection, queries: &[&[f32]]) -> Result<f64, Error> {
    let exact = SearchParams {
        exact: true,
        ..SearchParams::default()
    };
    let (mut hits, mut wanted) = (0, 0);
    for query in queries {
        let request = SearchRequest::new(query.to_vec()).limit(10);
        let truth = c.search(&request.clone().params(exact.clone()))?.hits;
        let farthest = truth.last().map_or(0.0, |hit| hit.distance) + 1e-5;
        let found = c.search(&request)?.hits;
        hits += found.iter().filter(|hit| hit.distance <= farthest).count();
        wanted += truth.len();
    }
    Ok(hits as f64 / wanted.max(1) as f64)
}
