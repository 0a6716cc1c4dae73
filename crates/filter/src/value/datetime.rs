//! Date-times: microseconds since 1970-01-01T00:00:00 UTC, written as RFC 3339.

use crate::error::quoted;
use jiff::{Timestamp, civil, tz::TimeZone};

/// Reads an RFC 3339 date-time with offset, or a plain date, which means its midnight in UTC.
/// Finer parts than a microsecond are cut off. The error says what was wrong.
pub fn parse(text: &str) -> Result<i64, String> {
    let moment = if text.len() == "2026-01-31".len() {
        text.parse::<civil::Date>()
            .and_then(|date| TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)))
    } else {
        text.parse::<Timestamp>()
    };
    moment
        .ok()
        .and_then(|moment| i64::try_from(moment.as_nanosecond().div_euclid(1_000)).ok())
        .ok_or_else(|| {
            format!(
                "{} is not a date-time; write it like \"2026-01-31T12:30:00Z\", \
                 \"2026-01-31T13:30:00+01:00\" or \"2026-01-31\" (midnight UTC)",
                quoted(text)
            )
        })
}

/// RFC 3339 in UTC; none outside the years -9999 to 9999.
pub(crate) fn format(micros: i64) -> Option<String> {
    Timestamp::from_microsecond(micros)
        .ok()
        .map(|moment| moment.to_string())
}

/// Whether the moment can be written as RFC 3339.
pub(crate) fn in_range(micros: i64) -> bool {
    Timestamp::from_microsecond(micros).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        assert_eq!(parse("1970-01-01"), Ok(0));
        assert_eq!(parse("1970-01-01T01:00:00+01:00"), Ok(0));
        assert_eq!(parse("1970-01-02T00:00:00.25Z"), Ok(86_400_250_000));
        assert_eq!(parse("1969-12-31T23:59:59.9999999Z"), Ok(-1));
        assert_eq!(
            format(86_400_250_000).as_deref(),
            Some("1970-01-02T00:00:00.25Z")
        );
        assert_eq!(format(i64::MAX), None);
        assert!(in_range(0) && !in_range(i64::MIN));
    }

    #[test]
    fn refuses_what_is_not_a_moment() {
        for text in [
            "",
            "yesterday",
            "2026-13-01",
            "2026-02-30",
            "2026-01-31T12:30:00",
            "éééé!",
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains("is not a date-time"), "{text}: {error}");
        }
    }
}
