//! Vector files small enough to know every answer.

use serde_json::Value;

use super::{World, noise, npy};

pub(crate) const ROWS: usize = 3_000;
pub(crate) const DIM: usize = 24;

/// A dataset, queries and the rows nearest to each query by a plain loop over f64.
pub(crate) fn small() -> (World, Vec<Vec<usize>>) {
    let world = World::new();
    let base: Vec<f32> = noise(11).take(ROWS * DIM).collect();
    let queries: Vec<f32> = noise(12).take(40 * DIM).collect();
    world.write("base.npy", npy(ROWS, DIM, base.iter().copied()));
    world.write("queries.npy", npy(40, DIM, queries.iter().copied()));
    let distance = |a: &[f32], b: &[f32]| {
        a.iter()
            .zip(b)
            .map(|(x, y)| f64::from(x - y).powi(2))
            .sum::<f64>()
    };
    let truth = queries.chunks(DIM).map(|query| {
        let mut rows: Vec<usize> = (0..ROWS).collect();
        rows.sort_by(|&a, &b| {
            let to = |row: usize| distance(query, &base[row * DIM..(row + 1) * DIM]);
            to(a).total_cmp(&to(b))
        });
        rows.truncate(10);
        rows
    });
    let truth: Vec<_> = truth.collect();
    let mut bytes = Vec::new();
    for list in &truth {
        bytes.extend(10u32.to_le_bytes());
        bytes.extend(list.iter().flat_map(|&row| (row as u32).to_le_bytes()));
    }
    world.write("truth.ivecs", bytes);
    (world, truth)
}

/// The rows that a query found.
pub(crate) fn rows_of(results: &Value) -> Vec<usize> {
    results["hits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| hit["row"].as_u64().unwrap() as usize)
        .collect()
}
