//! "Did you mean ...?"

/// Longer names get no suggestion: the cost is quadratic.
const BYTES_MAX: usize = 64;

/// ` (did you mean ...?)` for the candidate that is spelled most alike, or nothing where none is near.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    if name.len() > BYTES_MAX {
        return String::new();
    }
    let wanted = name.to_lowercase();
    let limit = (wanted.chars().count() / 2).max(2);
    let found = candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= BYTES_MAX)
        .map(|candidate| {
            (
                strsim::levenshtein(&wanted, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, _)| *distance <= limit)
        .min();
    found.map_or_else(String::new, |(_, near)| format!(" (did you mean {near}?)"))
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_likely_slip_is_named() {
        assert_eq!(
            nearest("prise", ["price", "name"]),
            " (did you mean price?)"
        );
        assert_eq!(nearest("zzzzzz", ["price", "name"]), "");
        assert_eq!(nearest(&"x".repeat(100), ["price"]), "");
    }
}
