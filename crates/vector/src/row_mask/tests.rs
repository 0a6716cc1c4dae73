//! `RowMask` against a `BTreeSet`.

use std::collections::BTreeSet;

use super::*;

fn random(state: &mut u64) -> u32 {
    *state = state
        .wrapping_mul(6364136223846793005)
        .wrapping_add(1442695040888963407);
    (*state >> 33) as u32
}

fn check(mask: &RowMask, model: &BTreeSet<u32>, context: &str) {
    assert_eq!(mask.count() as usize, model.len(), "{context}");
    let rows: Vec<u32> = mask.iter().map(|r| r.0).collect();
    assert!(rows.iter().eq(model.iter()), "{context}");
    let back = RowMask::from_bytes(mask.rows(), &mask.to_bytes()).unwrap();
    assert_eq!(&back, mask, "{context}");
}

#[test]
fn random_operations_equal_a_set() {
    for seed in 0..12u64 {
        let mut state = seed;
        // Around the ends of words and chunks, small and large.
        let mut rows = [1, 63, 64, 65, 1000, 65_535, 65_536, 65_537, 200_000][seed as usize % 9];
        let mut mask = RowMask::none(rows);
        let mut model = BTreeSet::new();
        for step in 0..300 {
            let row = random(&mut state) % (rows + 10);
            match random(&mut state) % 10 {
                0..=4 => {
                    let inserted = row < rows && model.insert(row);
                    assert_eq!(mask.insert(RowId(row)), inserted, "seed {seed}");
                }
                5..=6 => assert_eq!(mask.remove(RowId(row)), model.remove(&row), "seed {seed}"),
                7 => {
                    let end = row.saturating_add(random(&mut state) % 70_000);
                    mask.insert_range(row..end);
                    model.extend(row..end.min(rows).max(row));
                }
                8 => {
                    let value = random(&mut state).is_multiple_of(2);
                    let more = rows + random(&mut state) % 100;
                    mask.extend_to(more, value);
                    if value {
                        model.extend(rows..more);
                    }
                    rows = more;
                }
                _ => assert_eq!(
                    mask.contains(RowId(row)),
                    model.contains(&row),
                    "seed {seed}"
                ),
            }
            if step % 50 == 49 {
                check(&mask, &model, &format!("seed {seed} step {step}"));
            }
        }
    }
}

#[test]
fn algebra_equals_sets() {
    for seed in 0..8u64 {
        let mut state = seed + 100;
        let sizes = [70u32, 65_536, 131_072, 140_000];
        let (rows_a, rows_b) = (sizes[seed as usize % 4], sizes[(seed as usize / 2) % 4]);
        let mut draw = |rows: u32| -> BTreeSet<u32> {
            let start = random(&mut state) % rows;
            let mut set: BTreeSet<u32> = (0..500).map(|_| random(&mut state) % rows).collect();
            set.extend(start..rows.min(start + 66_000));
            set
        };
        let (a, b) = (draw(rows_a), draw(rows_b));
        let mask =
            |rows, set: &BTreeSet<u32>| RowMask::from_rows(rows, set.iter().map(|&r| RowId(r)));
        let (ma, mb) = (mask(rows_a, &a), mask(rows_b, &b));
        let context = format!("seed {seed}");
        check(
            &ma.and(&mb),
            &a.intersection(&b).copied().collect(),
            &context,
        );
        check(&ma.or(&mb), &a.union(&b).copied().collect(), &context);
        check(
            &ma.and_not(&mb),
            &a.difference(&b).copied().collect(),
            &context,
        );
        check(
            &ma.not(),
            &(0..rows_a).filter(|r| !a.contains(r)).collect(),
            &context,
        );
        let collected: RowMask = ma.iter().collect();
        assert_eq!(collected.count(), ma.count());
    }
}

#[test]
fn all_and_none_share_their_chunks() {
    let all = RowMask::all(200_000);
    assert!(all.is_all() && !all.is_none());
    assert!(all.chunks[..3].iter().all(|c| Arc::ptr_eq(c, &ONES)));
    let none = all.not();
    assert!(none.is_none());
    assert!(none.chunks.iter().all(|c| Arc::ptr_eq(c, &ZEROS)));
    assert!(RowMask::all(0).is_all() && RowMask::all(0).is_none());
    assert!(!all.contains(RowId(200_000)) && !all.contains(RowId(u32::MAX)));
}

#[test]
fn a_clone_is_independent() {
    let mut a = RowMask::all(70_000);
    let b = a.clone();
    a.remove(RowId(69_999));
    assert!(b.contains(RowId(69_999)) && !a.contains(RowId(69_999)));
    assert!(Arc::ptr_eq(&a.chunks[0], &b.chunks[0]));
}

#[test]
fn what_was_removed_is_found_without_looking_at_the_rest() {
    for rows in [1, 64, 70_000, 200_000] {
        let before = RowMask::all(rows);
        let mut now = before.clone();
        assert_eq!(now.removed_since(&before).count(), 0);
        let gone = [0, 63, 65_535, 65_536, 69_999, 199_999].map(RowId);
        let gone: Vec<RowId> = gone.into_iter().filter(|&row| now.remove(row)).collect();
        let found: Vec<RowId> = now.removed_since(&before).collect();
        assert_eq!(found, gone, "{rows}");
        // What came to be in the set is no matter.
        assert_eq!(before.removed_since(&now).count(), 0, "{rows}");
    }
}

#[test]
fn bad_bytes_are_refused() {
    assert!(RowMask::from_bytes(65, &[0; 8]).is_err());
    let mut bytes = vec![0u8; 16];
    bytes[8] = 0b10;
    let error = RowMask::from_bytes(65, &bytes).unwrap_err().to_string();
    assert!(error.contains("beyond its end"), "{error}");
}
