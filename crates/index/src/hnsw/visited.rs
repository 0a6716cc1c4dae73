//! Which rows a walk has seen: one bit per row, and the list of them, which both feeds the scorer and clears the bits.

use vecdb_vector::RowId;

/// Visited marks. Clearing costs as much as was marked, not as much as there are rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Visited {
    words: Vec<u64>,
    seen: Vec<RowId>,
    passed: Vec<RowId>,
}

impl Visited {
    /// Forgets all marks and makes room for `rows` rows.
    pub(crate) fn reset(&mut self, rows: u32) {
        let words = (rows as usize).div_ceil(64);
        if self.seen.len() + self.passed.len() >= words {
            self.words.fill(0);
        } else {
            for row in self.seen.iter().chain(&self.passed) {
                if let Some(word) = self.words.get_mut(row.0 as usize >> 6) {
                    *word = 0;
                }
            }
        }
        self.seen.clear();
        self.passed.clear();
        if self.words.len() < words {
            self.words.resize(words, 0);
        }
    }

    /// Marks a row; whether it was new. Rows beyond the marks are never new.
    #[inline]
    pub(crate) fn insert(&mut self, row: RowId) -> bool {
        let new = self.mark(row);
        if new {
            self.seen.push(row);
        }
        new
    }

    /// Marks a row that is not to be scored; whether it was new.
    #[inline]
    pub(crate) fn pass(&mut self, row: RowId) -> bool {
        let new = self.mark(row);
        if new {
            self.passed.push(row);
        }
        new
    }

    /// The rows passed since there were `start` of them.
    #[inline]
    pub(crate) fn passed_since(&self, start: usize) -> &[RowId] {
        self.passed.get(start..).unwrap_or(&[])
    }

    /// How many rows were passed.
    #[inline]
    pub(crate) fn passed(&self) -> usize {
        self.passed.len()
    }

    #[inline]
    fn mark(&mut self, row: RowId) -> bool {
        let Some(word) = self.words.get_mut(row.0 as usize >> 6) else {
            return false;
        };
        let bit = 1u64 << (row.0 & 63);
        if *word & bit != 0 {
            return false;
        }
        *word |= bit;
        true
    }

    /// Whether a row is marked.
    pub(crate) fn contains(&self, row: RowId) -> bool {
        let word = self.words.get(row.0 as usize >> 6);
        word.is_some_and(|word| word >> (row.0 & 63) & 1 == 1)
    }

    /// How many rows are marked, those passed apart.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.seen.len()
    }

    /// The rows marked since there were `start` of them, in the order of marking.
    #[inline]
    pub(crate) fn since(&self, start: usize) -> &[RowId] {
        self.seen.get(start..).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_forgotten_on_reset() {
        let mut visited = Visited::default();
        for rows in [10, 1000, 100] {
            visited.reset(rows);
            assert!(visited.insert(RowId(3)));
            assert!(!visited.insert(RowId(3)));
            assert!(visited.insert(RowId(rows - 1)));
            assert_eq!(visited.since(1), [RowId(rows - 1)]);
            assert_eq!(visited.len(), 2);
            assert!(visited.pass(RowId(5)) && !visited.insert(RowId(5)));
            assert_eq!((visited.passed(), visited.len()), (1, 2));
            assert!(visited.contains(RowId(3)) && !visited.contains(RowId(4)));
        }
        assert!(!visited.insert(RowId(5000)));
    }
}
