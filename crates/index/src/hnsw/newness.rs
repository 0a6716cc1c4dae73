//! How many of the links around a row lead to rows to which no other link there leads.
//!
//! It tells what a step of a walk costs and how fast walks grow under narrower masks: 0.6 of the links of pictures of clothes, 0.8 of
//! sentences, 0.9 of clusters in many dimensions.

use vecdb_vector::RowId;

use super::links::Links;
use crate::IndexError;

/// Rows looked at, in equal distances.
const SAMPLE: u32 = 32;

/// What is assumed where there is nothing to look at.
pub(super) const NEWNESS: f64 = 0.8;

/// The part of the links of a row's neighbours that lead to different rows, other than the row and its neighbours; the mean
/// of some rows.
pub(super) fn newness<L: Links>(links: &L) -> Result<f64, IndexError> {
    let (mut checked, mut new) = (0usize, 0usize);
    let (mut around, mut beyond) = (Vec::new(), Vec::new());
    for at in 0..SAMPLE.min(links.rows()) {
        let row = RowId((u64::from(links.rows()) * u64::from(at) / u64::from(SAMPLE)) as u32);
        around.clear();
        links.for_each(0, row, |link| around.push(link))?;
        beyond.clear();
        for &neighbor in &around {
            links.for_each(0, neighbor, |link| beyond.push(link))?;
        }
        checked += beyond.len();
        around.push(row);
        around.sort_unstable();
        beyond.sort_unstable();
        beyond.dedup();
        new += beyond
            .iter()
            .filter(|link| around.binary_search(link).is_err())
            .count();
    }
    Ok(match checked {
        0 => NEWNESS,
        _ => new as f64 / checked as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hnsw::links::LinkTable;

    /// Rows of which each is linked with those at the given distances around a circle.
    fn circle(rows: u32, distances: &[u32]) -> LinkTable {
        let table = LinkTable::new(8, (0..rows).map(|_| 0));
        for row in 0..rows {
            let links = distances.iter();
            let links = links.map(|distance| RowId((row + distance) % rows));
            table.write(0, RowId(row), links);
        }
        table
    }

    #[test]
    fn neighbours_with_the_same_neighbours_bring_few_new_rows() {
        let close = newness(&circle(1_000, &[1, 2, 3, 4])).unwrap();
        let apart = newness(&circle(1_000, &[1, 10, 100, 500])).unwrap();
        // 4 of 16 lead beyond the neighbours: to the rows 5 to 8.
        assert_eq!(close, 0.25);
        // All 16 but that sums come in two orders, and 500 + 500 leads back.
        assert_eq!(apart, 9.0 / 16.0);
        assert_eq!(newness(&circle(0, &[])).unwrap(), NEWNESS);
    }
}
