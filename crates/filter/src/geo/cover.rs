//! Ranges of keys that hold an area.
//!
//! A key's leading bits name a cell; cells are parted in four until they lie inside a box, outside it, or are small
//! beside it. What a range holds beyond the area is the reader's to drop.

use super::area::{Extent, GeoArea};
use super::{SIGN, gather};

/// A cell is not parted further once it is so many times smaller than the box.
const PARTS: u64 = 16;

/// Ranges of keys, both ends included, ascending and apart, which hold every point of the area.
pub(crate) fn cover(area: &GeoArea) -> Vec<(u64, u64)> {
    let mut ranges = Vec::new();
    for extent in area.extents() {
        let target = Target::of(extent);
        target.part(0, 32, &mut ranges);
    }
    ranges.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match joined.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    joined
}

/// A box in the unsigned coordinates of keys.
struct Target {
    south: u32,
    north: u32,
    west: u32,
    east: u32,
    /// Cells whose side is at most so many steps are taken whole.
    side_min: u64,
}

impl Target {
    fn of(extent: Extent) -> Target {
        let unsigned = |steps: i32| steps as u32 ^ SIGN;
        let (south, north) = (unsigned(extent.south), unsigned(extent.north));
        let (west, east) = (unsigned(extent.west), unsigned(extent.east));
        let longer = (north - south).max(east - west);
        Target {
            south,
            north,
            west,
            east,
            side_min: u64::from(longer) / PARTS,
        }
    }

    /// Covers what of the box lies in the cell that begins at `key` and has a side of 2^`level` steps.
    fn part(&self, key: u64, level: u32, ranges: &mut Vec<(u64, u64)>) {
        let side = (1u64 << level) - 1;
        let (south, west) = (gather(key >> 1), gather(key));
        let north = (u64::from(south) + side) as u32;
        let east = (u64::from(west) + side) as u32;
        if south > self.north || north < self.south || west > self.east || east < self.west {
            return;
        }
        let inside =
            south >= self.south && north <= self.north && west >= self.west && east <= self.east;
        if inside || level == 0 || side <= self.side_min {
            // 2^64 keys less one at level 32.
            let keys = u64::MAX.checked_shr(64 - 2 * level).unwrap_or(0);
            ranges.push((key, key + keys));
            return;
        }
        for quarter in 0..4u64 {
            self.part(key | quarter << (2 * (level - 1)), level - 1, ranges);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::GeoPoint;
    use super::*;

    fn point(latitude: f64, longitude: f64) -> GeoPoint {
        GeoPoint::new(latitude, longitude).unwrap()
    }

    /// Every point of an area lies in its ranges, and the ranges are few.
    #[test]
    fn ranges_hold_the_area() {
        let areas = [
            GeoArea::circle(point(52.5, 13.4), 1_000.0).unwrap(),
            GeoArea::circle(point(52.5, 13.4), 0.0).unwrap(),
            GeoArea::circle(point(-80.0, 179.0), 2_000_000.0).unwrap(),
            GeoArea::circle(point(0.0, -179.9), 500_000.0).unwrap(),
            GeoArea::circle(point(10.0, 0.0), 30_000_000.0).unwrap(),
            GeoArea::circle(point(10.0, 0.0), 12_000_000.0).unwrap(),
            GeoArea::bounds(point(-20.0, 177.0), point(-15.0, -178.0)).unwrap(),
            GeoArea::bounds(point(-90.0, -180.0), point(90.0, 180.0)).unwrap(),
            GeoArea::bounds(point(1.0, 1.0), point(1.0, 170.0)).unwrap(),
        ];
        let mut seed = 1u64;
        let mut draw = |range: f64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 11) as f64 / (1u64 << 53) as f64 * 2.0 * range - range
        };
        for area in areas {
            let ranges = cover(&area);
            assert!(ranges.len() < 2_000, "{area:?}: {} ranges", ranges.len());
            assert!(ranges.is_sorted_by(|a, b| a.1 < b.0));
            let center = match area {
                GeoArea::Circle { center, .. } => center,
                GeoArea::Box { south_west, .. } => south_west,
            };
            for spread in [180.0, 10.0, 0.1, 0.001] {
                for _ in 0..2_000 {
                    let latitude = (center.latitude() + draw(spread)).clamp(-90.0, 90.0);
                    let longitude = (center.longitude() + draw(spread)).clamp(-180.0, 180.0);
                    let near = point(latitude, longitude);
                    let key = near.key();
                    let covered = ranges.iter().any(|&(a, b)| (a..=b).contains(&key));
                    assert!(covered || !area.contains(near), "{area:?} {near:?}");
                }
            }
        }
    }
}
