//! Which rows a walk has seen: one bit per row, and the list of them, which both feeds the scorer and clears the bits.

use vecdb_vector::RowId;

/// Visited marks. Clearing costs as much as was marked, not as much as there are rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Visited {
    words: Vec<u64>,
    seen: List,
    passed: List,
}

/// Rows, and room for more: a row is written whether it is to stay or not, for whether it is new cannot be foretold, and a
/// branch would be taken wrongly often.
#[derive(Clone, Debug, Default)]
struct List {
    room: Vec<RowId>,
    len: usize,
}

impl List {
    #[inline]
    fn push_if(&mut self, wanted: bool, row: RowId) {
        match self.room.get_mut(self.len) {
            Some(place) => *place = row,
            None => self.room.resize(self.len * 2 + 64, row),
        }
        self.len += usize::from(wanted);
    }

    #[inline]
    fn since(&self, start: usize) -> &[RowId] {
        self.room.get(start..self.len).unwrap_or(&[])
    }
}

impl Visited {
    /// Forgets all marks and makes room for `rows` rows.
    pub(crate) fn reset(&mut self, rows: u32) {
        let words = (rows as usize).div_ceil(64);
        if self.seen.len + self.passed.len >= words {
            self.words.fill(0);
        } else {
            for row in self.seen.since(0).iter().chain(self.passed.since(0)) {
                if let Some(word) = self.words.get_mut(row.0 as usize >> 6) {
                    *word = 0;
                }
            }
        }
        self.seen.len = 0;
        self.passed.len = 0;
        if self.words.len() < words {
            self.words.resize(words, 0);
        }
    }

    /// Marks a row; whether it was new. Rows beyond the marks are never new.
    #[inline]
    pub(crate) fn insert(&mut self, row: RowId) -> bool {
        let new = self.mark(row);
        self.seen.push_if(new, row);
        new
    }

    /// Marks a row that is not to be scored; whether it was new.
    #[inline]
    pub(crate) fn pass(&mut self, row: RowId) -> bool {
        let new = self.mark(row);
        self.passed.push_if(new, row);
        new
    }

    /// The rows passed since there were `start` of them.
    #[inline]
    pub(crate) fn passed_since(&self, start: usize) -> &[RowId] {
        self.passed.since(start)
    }

    /// How many rows were passed.
    #[inline]
    pub(crate) fn passed(&self) -> usize {
        self.passed.len
    }

    #[inline]
    fn mark(&mut self, row: RowId) -> bool {
        let Some(word) = self.words.get_mut(row.0 as usize >> 6) else {
            return false;
        };
        let bit = 1u64 << (row.0 & 63);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Whether a row is marked.
    pub(crate) fn contains(&self, row: RowId) -> bool {
        let word = self.words.get(row.0 as usize >> 6);
        word.is_some_and(|word| word >> (row.0 & 63) & 1 == 1)
    }

    /// How many rows are marked, those passed apart.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.seen.len
    }

    /// The rows marked since there were `start` of them, in the order of marking.
    #[inline]
    pub(crate) fn since(&self, start: usize) -> &[RowId] {
        self.seen.since(start)
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
