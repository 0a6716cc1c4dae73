//! Numbers as people read them: 10,000 and 2.3 ms and 188.2 MB.

use std::time::Duration;

use vecdb_engine::Value;

/// 1234567 as `1,234,567`.
pub(crate) fn count(number: impl Into<u64>) -> String {
    let digits = number.into().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `3, 7, 12`; a dash for none.
pub(crate) fn numbers(numbers: &[u32]) -> String {
    if numbers.is_empty() {
        return "-".to_owned();
    }
    let texts: Vec<String> = numbers.iter().map(u32::to_string).collect();
    texts.join(", ")
}

/// `1 segment`, `2,000 segments`.
pub(crate) fn plural(number: impl Into<u64>, one: &str) -> String {
    let number = number.into();
    format!(
        "{} {one}{}",
        count(number),
        if number == 1 { "" } else { "s" }
    )
}

/// A mean or a ratio: whole and grouped where it is large, with decimals where it is small.
pub(crate) fn decimal(number: f64) -> String {
    match number.abs() {
        n if !n.is_finite() => "-".to_owned(),
        n if n >= 1_000.0 => count(number.round().max(0.0) as u64),
        n if n >= 100.0 => format!("{number:.0}"),
        n if n >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

/// A distance or a score.
pub(crate) fn float(number: f32) -> String {
    match number.abs() {
        n if n >= 10_000.0 => format!("{number:.1}"),
        n if n >= 100.0 => format!("{number:.2}"),
        _ => format!("{number:.4}"),
    }
}

/// A share from 0 to 1: recall.
pub(crate) fn percent(share: f64) -> String {
    format!("{share:.4}")
}

/// A decimal size, as disks are sold: `188.2 MB`.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if number < 1_000 {
        return format!("{number} B");
    }
    let mut value = number as f64 / 1_000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1_000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS.get(unit).copied().unwrap_or("B"))
}

/// `41.2 µs`, `2.3 ms`, `1.8 s`, `8 m 32 s`.
pub(crate) fn duration(time: Duration) -> String {
    seconds(time.as_secs_f64())
}

/// Microseconds since 1970 as metadata date-times are written.
pub(crate) fn date_time(micros: i64) -> String {
    match Value::DateTime(micros).to_json() {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }
}

/// [`duration`] of seconds.
pub(crate) fn seconds(time: f64) -> String {
    match time {
        t if t < 1e-6 => format!("{:.0} ns", t * 1e9),
        t if t < 1e-3 => format!("{:.1} µs", t * 1e6),
        t if t < 1.0 => format!("{:.1} ms", t * 1e3),
        t if t < 60.0 => format!("{t:.1} s"),
        t if t < 3600.0 => format!("{} m {:02} s", t as u64 / 60, t as u64 % 60),
        t => format!("{} h {:02} m", t as u64 / 3600, t as u64 % 3600 / 60),
    }
}

/// Something per second.
pub(crate) fn rate(per_second: f64) -> String {
    if per_second.is_finite() {
        decimal(per_second)
    } else {
        "-".to_owned()
    }
}

/// At most `width` characters, the last of them an ellipsis where something was cut. Control characters, which could
/// move the cursor or break the table, become spaces.
pub(crate) fn shorten(text: &str, width: usize) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    match text.char_indices().nth(width) {
        None => text.chars().map(clean).collect(),
        Some(_) => text
            .chars()
            .take(width.saturating_sub(1))
            .map(clean)
            .chain(['…'])
            .collect(),
    }
}

/// A metadata value in a table cell.
pub(crate) fn metadata_cell(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Int(number)) if *number >= 0 => count(number.unsigned_abs()),
        Some(Value::Array(values)) => {
            let cells: Vec<_> = values
                .iter()
                .map(|value| metadata_cell(Some(value)))
                .collect();
            cells.join(", ")
        }
        Some(other) => match other.to_json() {
            serde_json::Value::String(text) => text,
            json => json.to_string(),
        },
    };
    shorten(&text, 44)
}

/// A word as a POSIX shell takes it back unchanged.
pub(crate) fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(0u64), "0");
        assert_eq!(count(999u64), "999");
        assert_eq!(count(10_000u64), "10,000");
        assert_eq!(count(1_234_567u64), "1,234,567");
        assert_eq!(decimal(14.23), "14.2");
        assert_eq!(decimal(4347.8), "4,348");
        assert_eq!(decimal(f64::NAN), "-");
        assert_eq!(plural(1u64, "point"), "1 point");
        assert_eq!(plural(2_000u64, "point"), "2,000 points");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(188_200_000), "188.2 MB");
        assert_eq!(bytes(999_999), "1.0 MB");
    }

    #[test]
    fn times_read_well() {
        assert_eq!(duration(Duration::from_nanos(41_200)), "41.2 µs");
        assert_eq!(duration(Duration::from_micros(2_300)), "2.3 ms");
        assert_eq!(seconds(512.0), "8 m 32 s");
        assert_eq!(seconds(7_260.0), "2 h 01 m");
    }

    #[test]
    fn long_and_hostile_text_is_tamed() {
        assert_eq!(shorten("abcdef", 6), "abcdef");
        assert_eq!(shorten("abcdefg", 6), "abcde…");
        assert_eq!(shorten("a\x1b[2Jb\n", 20), "a [2Jb ");
        assert_eq!(shell_word("a/b-c.npy"), "a/b-c.npy");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }
}
