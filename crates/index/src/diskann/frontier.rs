//! The candidates of a walk, nearest first by their codes.

/// The nearest `capacity` nodes met, and which of them were expanded.
#[derive(Debug, Default)]
pub(super) struct Frontier {
    items: Vec<Item>,
    capacity: usize,
    /// All before it are expanded.
    cursor: usize,
}

#[derive(Copy, Clone, Debug, PartialEq)]
struct Item {
    distance: f32,
    place: u32,
    expanded: bool,
}

impl Item {
    fn is_before(&self, distance: f32, place: u32) -> bool {
        self.distance
            .total_cmp(&distance)
            .then(self.place.cmp(&place))
            .is_lt()
    }
}

impl Frontier {
    pub(super) fn reset(&mut self, capacity: usize) {
        self.items.clear();
        self.capacity = capacity.max(1);
        self.items.reserve(self.capacity);
        self.cursor = 0;
    }

    /// Keeps a node that is among the nearest; whether it was. `expanded`: it will not be handed out.
    pub(super) fn offer(&mut self, distance: f32, place: u32, expanded: bool) -> bool {
        if self.items.len() == self.capacity {
            match self.items.last() {
                Some(worst) if !worst.is_before(distance, place) => self.items.pop(),
                _ => return false,
            };
        }
        let at = self.find(distance, place);
        let item = Item {
            distance,
            place,
            expanded,
        };
        self.items.insert(at, item);
        if !expanded {
            self.cursor = self.cursor.min(at);
        }
        true
    }

    /// The nearest node not yet expanded; it counts as expanded from now on.
    pub(super) fn pop(&mut self) -> Option<u32> {
        loop {
            let item = self.items.get_mut(self.cursor)?;
            self.cursor += 1;
            if !item.expanded {
                item.expanded = true;
                return Some(item.place);
            }
        }
    }

    /// Takes a node that is waiting to be expanded, wherever it stands; whether it was.
    pub(super) fn take(&mut self, distance: f32, place: u32) -> bool {
        let at = self.find(distance, place);
        match self.items.get_mut(at) {
            Some(item) if item.place == place && !item.expanded => {
                item.expanded = true;
                true
            }
            _ => false,
        }
    }

    fn find(&self, distance: f32, place: u32) -> usize {
        self.items
            .partition_point(|item| item.is_before(distance, place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_come_first_and_once() {
        let mut frontier = Frontier::default();
        frontier.reset(3);
        for (distance, place) in [(5.0, 5), (1.0, 1), (3.0, 3)] {
            assert!(frontier.offer(distance, place, false));
        }
        assert!(frontier.take(3.0, 3) && !frontier.take(3.0, 3));
        assert!(!frontier.take(4.0, 4));
        assert_eq!(frontier.pop(), Some(1));
        assert!(!frontier.offer(6.0, 6, false));
        assert!(frontier.offer(0.5, 9, false));
        assert!(frontier.offer(0.1, 8, true));
        assert_eq!(frontier.pop(), Some(9));
        assert_eq!(frontier.pop(), None);
    }
}
