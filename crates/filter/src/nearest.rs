//! "Did you mean ...?": the known name that is spelled most like an unknown one.

/// Longer names get no suggestion: the cost is quadratic and the input may be hostile.
const BYTES_MAX: usize = 64;

/// ` (did you mean ...?)` with the candidate that is spelled most like `name`; nothing where none is near enough to be a
/// likely slip.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    suggestion(nearest(name, candidates))
}

pub(crate) fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (did you mean {name}?)"))
}

/// The candidate with the least edit distance, if it is near enough to be a likely slip.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    if name.len() > BYTES_MAX {
        return None;
    }
    let wanted = name.to_lowercase();
    let limit = (wanted.chars().count() / 2).max(2);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= BYTES_MAX)
        .map(|candidate| {
            let distance = strsim::levenshtein(&wanted, &candidate.to_lowercase());
            (distance, candidate)
        })
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_likely_slip_only() {
        let known = ["category", "price", "installed_size_kb"];
        assert_eq!(nearest("prise", known), Some("price"));
        assert_eq!(nearest("Catgory", known), Some("category"));
        assert_eq!(nearest("zzzzzz", known), None);
        assert_eq!(nearest(&"p".repeat(100_000), known), None);
        assert_eq!(nearest("price", []), None);
        assert_eq!(did_you_mean("prise", known), " (did you mean price?)");
        assert_eq!(did_you_mean("zzzzzz", known), "");
    }
}
