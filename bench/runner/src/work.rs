//! One amount of searching, done by several clients: the same for a database in this process and for a server.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use crate::Outcome;
use crate::ids::Ids;
use crate::latency::Latencies;

/// What is searched, and by how many.
#[derive(Copy, Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Searching {
    pub(crate) clients: usize,
    pub(crate) k: usize,
    /// As the server or the engine chooses where none is given.
    pub(crate) ef: Option<u32>,
    pub(crate) with_metadata: bool,
    /// How often all queries are searched.
    pub(crate) repeat: usize,
}

/// What one client brings back.
pub(crate) struct Part {
    ids: Ids,
    latencies: Latencies,
}

/// The queries of each client, in their order.
pub(crate) fn spread(queries: usize, clients: usize) -> impl Iterator<Item = Range<usize>> {
    let share = queries.div_ceil(clients.max(1)).max(1);
    (0..queries)
        .step_by(share)
        .map(move |start| start..(start + share).min(queries))
}

impl Searching {
    /// Nothing yet.
    pub(crate) fn part(&self) -> Part {
        Part {
            ids: Ids::new(self.k, 0),
            latencies: Latencies::default(),
        }
    }

    /// Round and query of every search of a client.
    pub(crate) fn order(&self, part: Range<usize>) -> impl Iterator<Item = (usize, usize)> + use<> {
        (0..self.repeat).flat_map(move |round| part.clone().map(move |query| (round, query)))
    }

    /// Writes the ids down and sums up.
    pub(crate) fn finish(&self, parts: Vec<Part>, out: &Path) -> Outcome {
        let (mut ids, mut latencies) = (Ids::new(self.k, 0), Latencies::default());
        for part in parts {
            ids.append(part.ids);
            latencies.append(part.latencies);
        }
        ids.write(out)?;
        Ok(json!({ "latency": latencies.summary() }))
    }
}

impl Part {
    /// Counts a search; the ids of the first round stand for all.
    pub(crate) fn push(&mut self, round: usize, elapsed: Duration, ids: impl Iterator<Item = u32>) {
        self.latencies.push(elapsed);
        if round == 0 {
            self.ids.push(ids);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_is_searched_once_a_round() {
        for (queries, clients) in [(10, 3), (3, 32), (64, 32), (1, 1)] {
            let parts: Vec<_> = spread(queries, clients).collect();
            assert!(parts.len() <= clients);
            let all: Vec<usize> = parts.into_iter().flatten().collect();
            assert_eq!(all, (0..queries).collect::<Vec<_>>());
        }
        let searching = Searching {
            clients: 1,
            k: 1,
            ef: None,
            with_metadata: false,
            repeat: 2,
        };
        let order: Vec<_> = searching.order(4..6).collect();
        assert_eq!(order, [(0, 4), (0, 5), (1, 4), (1, 5)]);
    }
}
