//! "Did you mean ...?": the known name that is spelled most like an unknown one.

/// Longer names get no suggestion: the cost is quadratic and the input may be hostile.
const CHARS_MAX: usize = 64;

/// The candidate with the least edit distance, if it is near enough to be a likely slip.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let wanted = lowercase_chars(name)?;
    let limit = (wanted.len() / 2).max(2);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let distance = edit_distance(&wanted, &lowercase_chars(candidate)?);
            (distance <= limit).then_some((distance, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

fn lowercase_chars(name: &str) -> Option<Vec<char>> {
    let chars: Vec<char> = name.chars().take(CHARS_MAX + 1).collect();
    (chars.len() <= CHARS_MAX).then(|| chars.into_iter().flat_map(char::to_lowercase).collect())
}

/// Levenshtein distance: insertions, deletions and replacements of one character each.
fn edit_distance(a: &[char], b: &[char]) -> usize {
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    let mut current = vec![0; b.len() + 1];
    for (i, x) in a.iter().enumerate() {
        current[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = previous[j] + usize::from(x != y);
            current[j + 1] = replaced.min(previous[j + 1] + 1).min(current[j] + 1);
        }
        std::mem::swap(&mut previous, &mut current);
    }
    previous[b.len()]
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
    }

    #[test]
    fn distances() {
        let distance = |a: &str, b: &str| {
            edit_distance(
                &a.chars().collect::<Vec<_>>(),
                &b.chars().collect::<Vec<_>>(),
            )
        };
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
