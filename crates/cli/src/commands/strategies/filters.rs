//! Filters of a collection's own fields that match shares of its points from most to few.

use std::collections::BTreeMap;

use vecdb_engine::{CollectionInfo, FacetRequest, FieldKind, Filter, Record, SortValue, Value};

use crate::commands::session::Collection;
use crate::failure::Outcome;

/// Points whose values tell where ranges end.
pub(super) const SAMPLE_POINTS: usize = 2_000;
/// Values of a field that are looked at, the most frequent ones.
const VALUES_MAX: usize = 1_000;
/// Shares of the points that filters are looked for of.
const SHARES: [f64; 10] = [
    0.9, 0.6, 0.3, 0.15, 0.05, 0.02, 0.005, 0.002, 0.0005, 0.0001,
];
/// Filters of a band at most, beside those that were given.
const PER_BAND: usize = 4;

/// Shares of points from the second bound of the band before up to this, with what they are called.
pub(super) const BANDS: [(f64, &str); 5] = [
    (0.5, "> 50%"),
    (0.1, "10% - 50%"),
    (0.01, "1% - 10%"),
    (0.001, "0.1% - 1%"),
    (0.0, "< 0.1%"),
];

/// A filter and how many points match it.
pub(super) struct Candidate {
    pub(super) filter: Filter,
    pub(super) matching: u64,
}

/// The band of a share.
pub(super) fn band_of(share: f64) -> usize {
    let band = BANDS.iter().position(|(above, _)| share > *above);
    band.unwrap_or(BANDS.len() - 1)
}

/// The filters given, and some of each band that the fields bring about.
pub(super) fn candidates(
    collection: Collection<'_>,
    info: &CollectionInfo,
    sample: &[Record],
    given: &[Filter],
) -> Outcome<Vec<Candidate>> {
    let mut chosen = Vec::new();
    for filter in given {
        chosen.push(Candidate {
            filter: filter.clone(),
            matching: collection.count(Some(filter))?,
        });
    }
    // By band, the how-manieth of its field there, and field: every field has its turn.
    let mut found: BTreeMap<(usize, usize, String), Candidate> = BTreeMap::new();
    for (name, field) in info.fields.fields() {
        // Without an index the time would be that of reading the points.
        if field.unindexed {
            continue;
        }
        let filters = match field.kind {
            Some(FieldKind::Int | FieldKind::Float | FieldKind::DateTime) => ranges(name, sample),
            Some(FieldKind::Bool | FieldKind::String | FieldKind::Uuid) => {
                values(collection, name, info.points)?
            }
            Some(FieldKind::Text | FieldKind::Geo) | None => Vec::new(),
        };
        let mut turns = [0; BANDS.len()];
        for filter in filters {
            let matching = collection.count(Some(&filter))?;
            if matching == 0 || matching == info.points {
                continue;
            }
            let band = band_of(matching as f64 / info.points as f64);
            let turn = &mut turns[band];
            found.insert(
                (band, *turn, name.to_owned()),
                Candidate { filter, matching },
            );
            *turn += 1;
        }
    }
    let mut taken = [0; BANDS.len()];
    for ((band, ..), candidate) in found {
        if taken[band] < PER_BAND {
            taken[band] += 1;
            chosen.push(candidate);
        }
    }
    chosen.sort_by_key(|candidate| std::cmp::Reverse(candidate.matching));
    Ok(chosen)
}

/// `field <= value` for values up to which these shares of the sample lie.
fn ranges(field: &str, sample: &[Record]) -> Vec<Filter> {
    let of_points = sample.iter().filter_map(|point| {
        let value = point.metadata.as_ref()?.get(field)?;
        SortValue::of(Some(value), false)
    });
    let mut values: Vec<SortValue> = of_points.collect();
    values.sort_unstable();
    let mut ends: Vec<&SortValue> = SHARES
        .iter()
        .filter_map(|share| {
            // Of all points, those without a value among them.
            let rank = (share * sample.len() as f64).ceil() as usize;
            values.get(rank.saturating_sub(1))
        })
        .collect();
    ends.dedup();
    ends.into_iter()
        .map(|end| Filter::lte(field, end.value().clone()))
        .collect()
}

/// `field = value` for values that about these shares of the points have.
fn values(collection: Collection<'_>, field: &str, points: u64) -> Outcome<Vec<Filter>> {
    let facets = collection.facets(&FacetRequest::new(field).limit(VALUES_MAX))?;
    let mut chosen: Vec<&Value> = Vec::new();
    for share in SHARES {
        let wanted = share * points as f64;
        let off = |count: u64| (count as f64 / wanted).ln().abs();
        let nearest = facets
            .values
            .iter()
            .min_by(|a, b| off(a.count).total_cmp(&off(b.count)));
        if let Some(facet) = nearest
            && !chosen.contains(&&facet.value)
        {
            chosen.push(&facet.value);
        }
    }
    Ok(chosen
        .into_iter()
        .map(|value| Filter::eq(field, value.clone()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands() {
        let named = |share: f64| BANDS[band_of(share)].1;
        let names = [1.0, 0.51, 0.5, 0.02, 0.01, 0.001, 0.0].map(named);
        let expected = [
            "> 50%",
            "> 50%",
            "10% - 50%",
            "1% - 10%",
            "0.1% - 1%",
            "< 0.1%",
            "< 0.1%",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn ranges_end_where_the_sample_says() {
        let point = |id: u64, value: Option<i64>| Record {
            id: id.into(),
            vector: None,
            metadata: Some(
                value
                    .map(|value| ("n".to_owned(), Value::Int(value)))
                    .into_iter()
                    .collect(),
            ),
        };
        let sample: Vec<Record> = (1..=1_000).map(|id| point(id, Some(id as i64))).collect();
        let shown = |filters: Vec<Filter>| -> Vec<String> {
            filters.iter().map(ToString::to_string).collect()
        };
        let filters = shown(ranges("n", &sample));
        assert_eq!(filters[0], r#"{"n":{"$lte":900}}"#);
        assert_eq!(filters.last().unwrap(), r#"{"n":{"$lte":1}}"#);
        // Half of them have no value: no range matches more.
        let half: Vec<Record> = (1..=1_000)
            .map(|id| point(id, (id % 2 == 0).then_some(id as i64)))
            .collect();
        assert_eq!(shown(ranges("n", &half))[0], r#"{"n":{"$lte":600}}"#);
        assert!(ranges("n", &[]).is_empty());
    }
}
