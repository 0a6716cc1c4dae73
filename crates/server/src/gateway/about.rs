//! What a call is about beyond its collection, as far as logs tell it: no vectors, no ids, no values of metadata.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use vecdb_engine::{Filter, SearchRequest};
use vecdb_sql::{Action, Statement};

/// What a call is about; clones share it. Said by the work once it has read the request, read by the record.
#[derive(Clone, Debug, Default)]
pub struct About(Arc<OnceLock<Details>>);

/// As much of it as applies to the operation.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Which snapshot.
    pub snapshot: Option<String>,
    /// What the restored collection is to be called.
    pub restore_as: Option<String>,
    /// How many points at most; of several searches the most.
    pub limit: Option<usize>,
    /// The knob of the index; of several searches the largest.
    pub ef: Option<u32>,
    /// The fields and operators of the filter; of several searches those of the first that has one.
    pub filter: Option<String>,
    /// How many searches.
    pub searches: Option<usize>,
}

/// A longer filter is cut.
const FILTER_BYTES_MAX: usize = 400;

impl About {
    /// What was said, if anything was.
    pub fn details(&self) -> Option<&Details> {
        self.0.get()
    }

    pub(crate) fn snapshot(&self, name: &str, restore_as: Option<&str>) {
        self.say(Details {
            snapshot: Some(name.to_owned()),
            restore_as: restore_as.map(str::to_owned),
            ..Details::default()
        });
    }

    pub(crate) fn search(&self, search: &SearchRequest) {
        self.say(Details {
            limit: Some(search.limit),
            ef: search.params.ef,
            filter: search.filter.as_ref().map(shape),
            ..Details::default()
        });
    }

    pub(crate) fn searches(&self, searches: &[SearchRequest]) {
        let filter = searches.iter().find_map(|search| search.filter.as_ref());
        self.say(Details {
            limit: searches.iter().map(|search| search.limit).max(),
            ef: searches.iter().filter_map(|search| search.params.ef).max(),
            filter: filter.map(shape),
            searches: Some(searches.len()),
            ..Details::default()
        });
    }

    /// What an SQL statement asks for.
    pub(crate) fn statement(&self, statement: &Statement) {
        let (limit, near) = match &statement.action {
            Action::Select(select) => (select.limit, select.near.as_ref()),
            _ => (None, None),
        };
        self.say(Details {
            limit,
            ef: near.and_then(|near| near.params.ef),
            filter: statement.filter().map(shape),
            ..Details::default()
        });
    }

    /// Points that are read, counted or deleted by a filter.
    pub(crate) fn filtered(&self, limit: Option<usize>, filter: Option<&Filter>) {
        self.say(Details {
            limit,
            filter: filter.map(shape),
            ..Details::default()
        });
    }

    fn say(&self, details: Details) {
        // What was said first stays.
        let _ = self.0.set(details);
    }
}

/// The fields and operators of a filter, with `?` for its values.
fn shape(filter: &Filter) -> String {
    let mut text = String::new();
    write(filter, &mut text);
    if text.len() > FILTER_BYTES_MAX {
        text.truncate(text.floor_char_boundary(FILTER_BYTES_MAX));
        text.push_str("...");
    }
    text
}

fn write(filter: &Filter, text: &mut String) {
    if text.len() > FILTER_BYTES_MAX {
        return;
    }
    let (field, operator) = match filter {
        Filter::All => return text.push_str("{}"),
        Filter::Eq(field, _) => (field, "$eq"),
        Filter::Ne(field, _) => (field, "$ne"),
        Filter::Gt(field, _) => (field, "$gt"),
        Filter::Gte(field, _) => (field, "$gte"),
        Filter::Lt(field, _) => (field, "$lt"),
        Filter::Lte(field, _) => (field, "$lte"),
        Filter::In(field, _) => (field, "$in"),
        Filter::Nin(field, _) => (field, "$nin"),
        Filter::StartsWith(field, _) => (field, "$startsWith"),
        Filter::Contains(field, _) => (field, "$contains"),
        Filter::Text(field, _) => (field, "$text"),
        Filter::Phrase(field, _) => (field, "$phrase"),
        Filter::GeoWithin(field, _) => (field, "$geoWithin"),
        Filter::Exists(field, _) => (field, "$exists"),
        Filter::And(parts) => return write_all("$and", parts, text),
        Filter::Or(parts) => return write_all("$or", parts, text),
        Filter::Not(part) => return write_all("$not", std::slice::from_ref(&**part), text),
    };
    // Writing to a string cannot fail.
    let _ = write!(text, "{field} {operator} ?");
}

fn write_all(operator: &str, parts: &[Filter], text: &mut String) {
    text.push_str(operator);
    text.push('(');
    for (at, part) in parts.iter().enumerate() {
        if text.len() > FILTER_BYTES_MAX {
            break;
        }
        if at > 0 {
            text.push_str(", ");
        }
        write(part, text);
    }
    text.push(')');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_told_without_their_values() {
        let filter = Filter::eq("name", "secret").and(
            Filter::gt("age", 41_i64).or(Filter::Not(Box::new(Filter::is_in("tag", ["a", "b"])))),
        );
        let text = shape(&filter);
        assert_eq!(text, "$and(name $eq ?, $or(age $gt ?, $not(tag $in ?)))");
        let many = Filter::Or((0..10_000).map(|n| Filter::eq("n", n as i64)).collect());
        assert!(shape(&many).len() <= FILTER_BYTES_MAX + 3);
    }
}
