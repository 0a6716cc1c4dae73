//! Conditions: which points a statement is about.
//!
//! SQL's logic has three values: a comparison with NULL is neither true nor false, and `WHERE` takes what is true. It is
//! worked into the filter here, by asking of each part of the condition either when it is true or when it is false: `NOT`
//! changes from one to the other, and a comparison is false where the field has a value for which it does not hold.

use vecdb_engine::{Filter, MetadataSchema, PointId, Result, Value};

use crate::source::{Source, Span};
use crate::statement::Near;

/// Which points.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Only these, in this order, each once.
    pub ids: Option<Vec<PointId>>,
    /// Not these.
    pub without: Vec<PointId>,
    /// Only those that match.
    pub filter: Option<Filter>,
    /// Where the comparisons of the filter stand, in its order.
    pub(crate) places: Vec<Span>,
    /// Where the first condition on `id` stands.
    pub(crate) id_at: Span,
}

/// A condition as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    Test(Test, Span),
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    Constant(bool),
}

/// What a condition is made of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test {
    /// One comparison of one field.
    Field(String, Filter),
    /// The field is null or missing.
    Null(String),
    /// The field is there, be it null.
    Exists(String),
    /// The id is one of these.
    Id(Vec<PointId>),
    Near(Box<Near>),
    MaxDistance(f32),
    MinScore(f32),
}

/// A condition taken apart.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) rows: Rows,
    pub(crate) near: Option<Near>,
    /// Where a bound of distance or score stands.
    pub(crate) bound_at: Option<Span>,
}

impl Rows {
    /// Holds the filter against the fields; the error points at the comparison that does not fit.
    pub(crate) fn check(&self, fields: &MetadataSchema, source: &Source) -> Result<()> {
        let Some(filter) = &self.filter else {
            return Ok(());
        };
        let Err(error) = filter.check(fields) else {
            return Ok(());
        };
        let mut places = self.places.iter();
        match first_misfit(filter, fields, &mut places) {
            Some((place, error)) => Err(source.error(place, error)),
            None => Err(error.into()),
        }
    }

    /// Whether no point is left out.
    pub fn is_all(&self) -> bool {
        self.ids.is_none() && self.without.is_empty() && self.filter.is_none()
    }

    /// Where the first condition on `id` stands.
    pub fn id_at(&self) -> Span {
        self.id_at
    }
}

/// Goes through the comparisons in the order in which [`Condition::filter`] made them.
fn first_misfit(
    filter: &Filter,
    fields: &MetadataSchema,
    places: &mut std::slice::Iter<'_, Span>,
) -> Option<(Span, String)> {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => parts
            .iter()
            .find_map(|part| first_misfit(part, fields, places)),
        Filter::Not(part) => first_misfit(part, fields, places),
        Filter::All => None,
        leaf => {
            let place = *places.next()?;
            let error = leaf.check(fields).err()?;
            Some((place, error.to_string()))
        }
    }
}

impl Condition {
    /// Takes what is about the search and about ids from among the parts that `AND` joins; the rest becomes the filter.
    pub(crate) fn split(self, source: &Source) -> Result<Parts> {
        let mut parts = Parts::default();
        let mut rest = Vec::new();
        let mut bounds = Vec::new();
        for part in self.conjuncts() {
            match part {
                Condition::Test(Test::Near(near), at) => {
                    if parts.near.is_some() {
                        return Err(source.error(at, "a statement has at most one NEAR"));
                    }
                    parts.near = Some(*near);
                }
                Condition::Test(Test::MaxDistance(bound), at) => {
                    bounds.push((Some(bound), None, at));
                }
                Condition::Test(Test::MinScore(bound), at) => bounds.push((None, Some(bound), at)),
                Condition::Test(Test::Id(ids), at) => parts.rows.only(ids, at),
                Condition::Not(not) => match *not {
                    Condition::Test(Test::Id(ids), at) => parts.rows.except(ids, at),
                    other => rest.push(Condition::Not(Box::new(other))),
                },
                other => rest.push(other),
            }
        }
        for (max_distance, min_score, at) in bounds {
            parts.bound_at.get_or_insert(at);
            if let Some(near) = &mut parts.near {
                if let Some(bound) = max_distance {
                    near.max_distance = Some(near.max_distance.map_or(bound, |x| x.min(bound)));
                }
                if let Some(bound) = min_score {
                    near.min_score = Some(near.min_score.map_or(bound, |x| x.max(bound)));
                }
            }
        }
        if let (Some(ids), without) = (&mut parts.rows.ids, &mut parts.rows.without) {
            ids.retain(|id| !without.contains(id));
            without.clear();
        }
        let places = &mut parts.rows.places;
        let filter = Condition::And(rest).filter(true, source, places)?;
        parts.rows.filter = Some(filter).filter(|filter| *filter != Filter::All);
        Ok(parts)
    }

    fn conjuncts(self) -> Vec<Condition> {
        match self {
            Condition::And(parts) => parts.into_iter().flat_map(Self::conjuncts).collect(),
            one => vec![one],
        }
    }

    /// When the condition is true, or when it is false (`wanted`). Each comparison leaves its place.
    fn filter(self, wanted: bool, source: &Source, places: &mut Vec<Span>) -> Result<Filter> {
        Ok(match self {
            Condition::Constant(value) if value == wanted => Filter::All,
            Condition::Constant(_) => Filter::Or(Vec::new()),
            Condition::Not(part) => part.filter(!wanted, source, places)?,
            Condition::And(parts) | Condition::Or(parts) if parts.len() == 1 => {
                let only = parts.into_iter().next();
                only.unwrap_or(Condition::Constant(wanted))
                    .filter(wanted, source, places)?
            }
            Condition::And(parts) if wanted => all_of(parts, wanted, source, places)?,
            Condition::Or(parts) if !wanted => all_of(parts, wanted, source, places)?,
            Condition::And(parts) | Condition::Or(parts) => {
                let mut any = Vec::with_capacity(parts.len());
                for part in parts {
                    match part.filter(wanted, source, places)? {
                        Filter::Or(inner) if !inner.is_empty() => any.extend(inner),
                        other => any.push(other),
                    }
                }
                Filter::Or(any)
            }
            Condition::Test(test, at) => test.filter(wanted, at, source, places)?,
        })
    }
}

fn all_of(
    parts: Vec<Condition>,
    wanted: bool,
    source: &Source,
    places: &mut Vec<Span>,
) -> Result<Filter> {
    let mut all = Vec::with_capacity(parts.len());
    for part in parts {
        match part.filter(wanted, source, places)? {
            Filter::All => {}
            Filter::And(inner) => all.extend(inner),
            other => all.push(other),
        }
    }
    Ok(match all.len() {
        0 => Filter::All,
        1 => all.swap_remove(0),
        _ => Filter::And(all),
    })
}

impl Test {
    fn filter(
        self,
        wanted: bool,
        at: Span,
        source: &Source,
        places: &mut Vec<Span>,
    ) -> Result<Filter> {
        let misplaced = |what: &str| {
            let message = format!(
                "{what} can only be joined to the other conditions by AND, not stand below OR or NOT"
            );
            Err(source.error(at, message))
        };
        match self {
            Test::Field(_, filter) if wanted => {
                places.push(at);
                Ok(filter)
            }
            // SQL: not even NULL is in an empty list.
            Test::Field(_, Filter::In(_, values)) if values.is_empty() => Ok(Filter::All),
            Test::Field(field, filter) => {
                places.extend([at, at]);
                let negated = match filter {
                    Filter::Eq(field, value) => Filter::Ne(field, value),
                    Filter::In(field, values) => Filter::Nin(field, values),
                    other => Filter::Not(Box::new(other)),
                };
                Ok(Filter::And(vec![negated, Filter::Ne(field, Value::Null)]))
            }
            Test::Null(field) => {
                places.push(at);
                Ok(match wanted {
                    true => Filter::Eq(field, Value::Null),
                    false => Filter::Ne(field, Value::Null),
                })
            }
            Test::Exists(field) => {
                places.push(at);
                Ok(Filter::Exists(field, wanted))
            }
            Test::Id(_) => misplaced("a condition on id"),
            Test::Near(_) => misplaced("NEAR"),
            Test::MaxDistance(_) => misplaced("a bound of the distance"),
            Test::MinScore(_) => misplaced("a bound of the score"),
        }
    }
}

impl Rows {
    fn only(&mut self, ids: Vec<PointId>, at: Span) {
        self.note(at);
        self.ids = Some(match self.ids.take() {
            None => {
                let mut seen = std::collections::HashSet::new();
                let first = |id: &PointId| seen.insert(id.clone());
                ids.into_iter().filter(first).collect()
            }
            Some(known) => {
                let also: std::collections::HashSet<_> = ids.into_iter().collect();
                known.into_iter().filter(|id| also.contains(id)).collect()
            }
        });
    }

    fn except(&mut self, ids: Vec<PointId>, at: Span) {
        self.note(at);
        let mut known: std::collections::BTreeSet<_> = self.without.drain(..).collect();
        known.extend(ids);
        self.without = known.into_iter().collect();
    }

    fn note(&mut self, at: Span) {
        if self.ids.is_none() && self.without.is_empty() {
            self.id_at = at;
        }
    }
}
