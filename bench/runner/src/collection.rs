//! The embedded database: bulk load, search, reopen.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vecdb_engine::{
    Collection, CollectionConfig, Database, Durability, Metric, Options, PointId, SearchParams,
    SearchRequest,
};

use crate::Outcome;
use crate::command::Probe;
use crate::ids::Ids;
use crate::latency::Latencies;
use crate::points::{Payloads, batches, point};
use crate::rows::Rows;
use crate::work::{Searching, spread};

/// The one collection of the benchmark.
pub(crate) const NAME: &str = "bench";

/// How long the background may take to merge all into one segment, and how often it is looked whether it has.
const MERGES_MAX: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// An open database.
pub(crate) struct Store {
    database: Database,
    collection: Option<Collection>,
}

impl Store {
    /// Opens (or makes) the database in a folder, with the default options but for what is given.
    pub(crate) fn open(path: &Path, memtable_bytes_max: Option<u64>) -> Outcome<Self> {
        let mut options = Options::default();
        if let Some(bytes) = memtable_bytes_max {
            options.memtable_bytes_max = bytes;
        }
        let database = Database::open(path, options)?;
        let there = database
            .collections()
            .iter()
            .any(|summary| summary.name == NAME);
        let collection = if there {
            Some(database.collection(NAME)?)
        } else {
            None
        };
        Ok(Self {
            database,
            collection,
        })
    }

    /// What opening did.
    pub(crate) fn about(&self) -> Value {
        let points = self
            .collection
            .as_ref()
            .map(|collection| collection.info().points);
        json!({ "points": points, "recovery": format!("{:?}", self.database.recovery()) })
    }

    /// Puts all rows into a new collection, with searches of `queries` meanwhile where asked.
    pub(crate) fn load(
        &mut self,
        (base, payloads): (&Rows, Option<&Payloads>),
        queries: Option<&Rows>,
        metric: Metric,
        (batch, durability, probe): (usize, Durability, Option<Probe>),
    ) -> Outcome {
        let config = CollectionConfig::new(u32::try_from(base.dim)?, metric).durability(durability);
        let collection = self.database.create_collection(NAME, config)?;
        let filling = || fill(&collection, base, payloads, batch);
        let probed = beside(&collection, filling, queries, probe)?;
        let points = collection.info().points;
        self.collection = Some(collection);
        Ok(json!({ "points": points, "vector_bytes": size_of_val(&*base.values), "probe": probed }))
    }

    pub(crate) fn wait_idle(&self) -> Outcome {
        self.collection()?.wait_until_idle()?;
        self.info()
    }

    /// Deletes the points of some rows, writes them anew and flushes.
    pub(crate) fn replace(
        &self,
        (base, payloads): (&Rows, Option<&Payloads>),
        rows: Range<usize>,
        batch: usize,
    ) -> Outcome {
        if rows.end > base.len() {
            return Err(format!(
                "rows {} to {} are asked for, but only {} are loaded",
                rows.start,
                rows.end,
                base.len()
            )
            .into());
        }
        let collection = self.collection()?;
        for first in rows.clone().step_by(batch.max(1)) {
            let part = first..rows.end.min(first + batch.max(1));
            let ids: Vec<PointId> = part.clone().map(|row| (row as u64).into()).collect();
            collection.delete(&ids)?;
            let points = part.map(|row| point(row, base.row(row), payloads));
            collection.upsert(points.collect())?;
        }
        collection.flush()?;
        self.info()
    }

    pub(crate) fn pause_merges(&self) -> Outcome {
        self.database.pause_merges();
        Ok(json!({}))
    }

    /// Lets the background merge all into one segment, with searches meanwhile where asked.
    pub(crate) fn resume_merges(&self, queries: Option<&Rows>, probe: Option<Probe>) -> Outcome {
        let collection = self.collection()?;
        self.database.resume_merges();
        let probed = beside(collection, || wait_until_one(collection), queries, probe)?;
        self.info_with(probed)
    }

    /// Merges all into one segment at once, with searches meanwhile where asked.
    pub(crate) fn compact(&self, queries: Option<&Rows>, probe: Option<Probe>) -> Outcome {
        let collection = self.collection()?;
        let probed = beside(collection, || Ok(collection.compact()?), queries, probe)?;
        self.info_with(probed)
    }

    /// So many searches as those beside other work.
    pub(crate) fn probe(&self, queries: &Rows, probe: Probe, count: usize) -> Outcome {
        let mut left = count;
        let done = || {
            left = left.wrapping_sub(1);
            left == usize::MAX
        };
        Ok(search_until(self.collection()?, queries, probe, done)?.summary())
    }

    pub(crate) fn info(&self) -> Outcome {
        let info = self.collection()?.info();
        Ok(json!({
            "points": info.points,
            "memtable_points": info.memtable_points,
            "segment_count": info.segments.len(),
            "segments": serde_json::to_value(&info.segments)?,
        }))
    }

    /// Points and segments, and what the searches meanwhile took.
    fn info_with(&self, probed: Option<Value>) -> Outcome {
        let mut info = self.info()?;
        info["probe"] = probed.into();
        Ok(info)
    }

    /// Searches all queries one after the other.
    pub(crate) fn search(
        &self,
        queries: &Rows,
        (k, ef, exact): (usize, Option<u32>, bool),
        out: &Path,
    ) -> Outcome {
        let collection = self.collection()?;
        let mut ids = Ids::new(k, queries.len());
        let mut latencies = Latencies::default();
        let (mut distances, mut visited, mut segments) = (0u64, 0u64, 0);
        for query in queries.iter() {
            let started = Instant::now();
            let answer = collection.search(&request(query, k, ef, exact))?;
            latencies.push(started.elapsed());
            distances += answer.stats.distance_computations;
            visited += answer.stats.nodes_visited;
            segments = answer.stats.segments;
            ids.push(answer.hits.iter().map(|hit| row(&hit.id)));
        }
        ids.write(out)?;
        Ok(json!({
            "queries": queries.len(),
            "distance_computations": distances,
            "nodes_visited": visited,
            "segments": segments,
            "latency": latencies.summary(),
        }))
    }

    /// Searches as clients of a server do, with the answers in the same form.
    pub(crate) fn search_as(&self, queries: &Rows, searching: &Searching, out: &Path) -> Outcome {
        let collection = self.collection()?;
        let parts = spread(queries.len(), searching.clients);
        let done = std::thread::scope(|scope| {
            let threads: Vec<_> = parts
                .map(|part| {
                    scope.spawn(move || {
                        let mut done = searching.part();
                        for (round, row) in searching.order(part) {
                            let query = queries.row(row);
                            let started = Instant::now();
                            let request = request(query, searching.k, searching.ef, false)
                                .with_metadata(searching.with_metadata);
                            let answer = collection.search(&request)?;
                            let elapsed = started.elapsed();
                            let ids = answer.hits.iter().map(|hit| self::row(&hit.id));
                            done.push(round, elapsed, ids);
                        }
                        Outcome::Ok(done)
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().map_err(|_| "a searching thread panicked")?)
                .collect::<Outcome<Vec<_>>>()
        })?;
        searching.finish(done, out)
    }

    /// Flushes and closes.
    pub(crate) fn close(self) -> Outcome {
        self.database.close()?;
        Ok(json!({}))
    }

    fn collection(&self) -> Outcome<&Collection> {
        Ok(self
            .collection
            .as_ref()
            .ok_or("nothing is loaded: send the command db_load first")?)
    }
}

fn request(query: &[f32], k: usize, ef: Option<u32>, exact: bool) -> SearchRequest {
    let params = SearchParams {
        ef,
        exact,
        ..SearchParams::default()
    };
    SearchRequest::new(query).limit(k).params(params)
}

/// The row number that a point was loaded from.
fn row(id: &PointId) -> u32 {
    match id {
        PointId::U64(number) => u32::try_from(*number).unwrap_or(u32::MAX),
        _ => u32::MAX,
    }
}

fn fill(
    collection: &Collection,
    base: &Rows,
    payloads: Option<&Payloads>,
    batch: usize,
) -> Outcome<()> {
    for points in batches(base, payloads, batch) {
        collection.upsert(points)?;
    }
    Ok(())
}

/// Waits until the background has made one segment with an index of all.
fn wait_until_one(collection: &Collection) -> Outcome<()> {
    let started = Instant::now();
    loop {
        let info = collection.info();
        if let Some(error) = info.maintenance.last_error {
            return Err(error.into());
        }
        if info.memtable_points == 0
            && let [only] = &info.segments[..]
            && only.index.is_some()
        {
            return Ok(());
        }
        if started.elapsed() > MERGES_MAX {
            return Err(format!(
                "after {MERGES_MAX:?} there are {} segments and {} points in memory, not one segment with an index",
                info.segments.len(),
                info.memtable_points
            )
            .into());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Does `work`; where searches are asked for, on a thread of its own while this one searches. Gives what they took.
fn beside(
    collection: &Collection,
    work: impl FnOnce() -> Outcome<()> + Send,
    queries: Option<&Rows>,
    probe: Option<Probe>,
) -> Outcome<Option<Value>> {
    let Some(probe) = probe else {
        work()?;
        return Ok(None);
    };
    let queries = queries.ok_or("a probe needs queries: send the command queries first")?;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let result = work();
            done.store(true, Ordering::Release);
            result
        });
        let searched = search_until(collection, queries, probe, || done.load(Ordering::Acquire));
        worker.join().map_err(|_| "the working thread panicked")??;
        Ok(Some(searched?.summary()))
    })
}

fn search_until(
    collection: &Collection,
    queries: &Rows,
    probe: Probe,
    mut is_over: impl FnMut() -> bool,
) -> Outcome<Latencies> {
    let mut latencies = Latencies::default();
    for query in queries.iter().cycle() {
        if is_over() {
            break;
        }
        let request = request(query, probe.k, Some(probe.ef), false);
        let started = Instant::now();
        collection.search(&request)?;
        latencies.push(started.elapsed());
        std::thread::sleep(Duration::from_millis(probe.pause_ms));
    }
    Ok(latencies)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: usize = 1_500;

    /// Rows of four numbers, read from a file as the command `load` does it.
    fn rows(folder: &Path) -> Rows {
        let path = folder.join("base.fvecs");
        let row = |row: usize| {
            let numbers = (0..4).map(move |at| ((row * 31 + at * 17) % 257) as f32);
            let bytes = numbers.flat_map(f32::to_le_bytes);
            4u32.to_le_bytes().into_iter().chain(bytes)
        };
        let bytes: Vec<u8> = (0..ROWS).flat_map(row).collect();
        std::fs::write(&path, bytes).unwrap();
        Rows::read(&path, None).unwrap()
    }

    #[test]
    fn replaced_rows_make_segments_that_are_merged_on_request_and_in_the_background() {
        let name = format!("vecdb-bench-store-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let base = rows(&folder);
        let mut store = Store::open(&folder.join("database"), Some(1 << 30)).unwrap();
        let loading = (500, Durability::EveryWrite, None);
        store
            .load((&base, None), None, Metric::L2, loading)
            .unwrap();
        assert_eq!(store.info().unwrap()["memtable_points"], ROWS);

        let probe = Probe {
            k: 5,
            ef: 20,
            pause_ms: 1,
        };
        assert!(store.compact(None, Some(probe)).is_err());
        let info = store.compact(Some(&base), Some(probe)).unwrap();
        assert_eq!(
            (&info["segment_count"], &info["points"]),
            (&1.into(), &ROWS.into())
        );
        assert!(info["probe"]["count"].as_u64().unwrap() > 0);

        store.pause_merges().unwrap();
        store.replace((&base, None), 0..100, 30).unwrap();
        let info = store.replace((&base, None), 50..150, 1_000).unwrap();
        assert_eq!(
            (&info["segment_count"], &info["points"]),
            (&3.into(), &ROWS.into())
        );
        assert!(store.replace((&base, None), 0..ROWS + 1, 10).is_err());

        let info = store.resume_merges(None, None).unwrap();
        assert_eq!(
            (&info["segment_count"], &info["points"]),
            (&1.into(), &ROWS.into())
        );
        store.close().unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
