//! Sizes in bytes: `16GB`, `64MiB`, `1500000`.

/// Units, longer names first.
const UNITS: [(&str, u64); 9] = [
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("b", 1),
];

/// Reads a size.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let lower = text.trim().to_ascii_lowercase();
    let unit = UNITS.iter().find_map(|&(unit, factor)| {
        let number = lower.strip_suffix(unit)?;
        Some((number.trim_end().to_owned(), factor))
    });
    let (number, factor) = unit.unwrap_or((lower, 1));
    let bytes = number.parse::<f64>().ok().map(|n| n * factor as f64);
    match bytes {
        Some(bytes) if (1.0..=(1_u64 << 53) as f64).contains(&bytes) => Ok(bytes as u64),
        _ => Err(format!(
            "`{text}` is no size; write it like 16GB, 64MiB or 1500000"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_units() {
        for (text, bytes) in [
            ("16GB", 16_000_000_000),
            ("64 MiB", 64 << 20),
            ("1.5kb", 1500),
            ("77", 77),
            ("8b", 8),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "GB", "-1MB", "0", "1e30", "12 parsecs", "NaN"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
