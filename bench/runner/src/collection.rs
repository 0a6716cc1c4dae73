//! The embedded database: bulk load, search, reopen.

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
use crate::points::{Payloads, batches};
use crate::rows::Rows;
use crate::work::{Searching, spread};

/// The one collection of the benchmark.
pub(crate) const NAME: &str = "bench";

/// An open database.
pub(crate) struct Store {
    database: Database,
    collection: Option<Collection>,
}

impl Store {
    /// Opens (or makes) the database in a folder with the default options.
    pub(crate) fn open(path: &Path) -> Outcome<Self> {
        let database = Database::open(path, Options::default())?;
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
        let probed = match (probe, queries) {
            (None, _) => {
                fill(&collection, base, payloads, batch)?;
                None
            }
            (Some(probe), Some(queries)) => {
                let filling = || fill(&collection, base, payloads, batch);
                Some(probed(&collection, filling, queries, probe)?)
            }
            (Some(_), None) => {
                return Err("a probed load needs queries: send the command queries first".into());
            }
        };
        let points = collection.info().points;
        self.collection = Some(collection);
        Ok(json!({ "points": points, "vector_bytes": size_of_val(&*base.values), "probe": probed }))
    }

    pub(crate) fn wait_idle(&self) -> Outcome {
        self.collection()?.wait_until_idle()?;
        self.info()
    }

    /// So many searches as those during a load.
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

    /// Searches all queries one after the other.
    pub(crate) fn search(&self, queries: &Rows, k: usize, ef: u32, out: &Path) -> Outcome {
        let collection = self.collection()?;
        let mut ids = Ids::new(k, queries.len());
        let mut latencies = Latencies::default();
        let (mut distances, mut visited, mut segments) = (0u64, 0u64, 0);
        for query in queries.iter() {
            let started = Instant::now();
            let answer = collection.search(&request(query, k, Some(ef)))?;
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
                            let request = request(query, searching.k, searching.ef)
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

fn request(query: &[f32], k: usize, ef: Option<u32>) -> SearchRequest {
    let params = SearchParams {
        ef,
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

/// Fills on a thread of its own while this one searches.
fn probed(
    collection: &Collection,
    fill: impl FnOnce() -> Outcome<()> + Send,
    queries: &Rows,
    probe: Probe,
) -> Outcome {
    let filled = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let result = fill();
            filled.store(true, Ordering::Release);
            result
        });
        let searched = search_until(collection, queries, probe, || {
            filled.load(Ordering::Acquire)
        });
        writer.join().map_err(|_| "the loading thread panicked")??;
        Ok(searched?.summary())
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
        let request = request(query, probe.k, Some(probe.ef));
        let started = Instant::now();
        collection.search(&request)?;
        latencies.push(started.elapsed());
        std::thread::sleep(Duration::from_millis(probe.pause_ms));
    }
    Ok(latencies)
}
