//! `WITH (ef = 200, timeout_ms = 50)`: how a search is to be done.

use std::time::Duration;

use serde_json::{Map, Value as Json};
use vecdb_engine::{Result, SearchParams, did_you_mean};

use super::Parser;

/// What can be set: the fields of [`SearchParams`], the time limit, and whether the answer is kept.
pub(super) const KNOBS: [&str; 12] = [
    "ef",
    "nprobe",
    "rerank",
    "beam_width",
    "probes",
    "candidates",
    "target_recall",
    "plan",
    "plan_costs",
    "exact",
    "timeout_ms",
    "cache",
];

/// How a search is to be done.
#[derive(Default)]
pub(super) struct Knobs {
    pub(super) params: SearchParams,
    pub(super) timeout: Option<Duration>,
    pub(super) cache: bool,
}

impl Parser<'_> {
    /// The knobs, where there are some.
    pub(super) fn knobs(&mut self) -> Result<Option<Knobs>> {
        if !self.eat_word("WITH") {
            return Ok(None);
        }
        let mut params = Map::new();
        let (mut timeout, mut cache) = (None, None);
        self.list(|parser| {
            let at = parser.here();
            let knob = parser.identifier("a knob such as ef")?;
            if !KNOBS.contains(&knob.as_str()) {
                let near = did_you_mean(&knob, KNOBS);
                let message = format!(
                    "unknown knob {knob}{near}; these are known: {}",
                    KNOBS.join(", ")
                );
                return parser.error_at(at, message);
            }
            parser.expect("=")?;
            if knob == "timeout_ms" {
                let time = parser.count("timeout_ms")?;
                let time = Duration::from_millis(u64::try_from(time).unwrap_or(u64::MAX));
                return match timeout.replace(time) {
                    Some(_) => parser.error_at(at, "timeout_ms is there twice"),
                    None => Ok(()),
                };
            }
            let given = parser.given()?;
            let value_at = given.at;
            let value = parser.setting(given)?;
            if knob == "cache" {
                let Json::Bool(value) = value else {
                    return parser.error_at(value_at, "cache is TRUE or FALSE");
                };
                return match cache.replace(value) {
                    Some(_) => parser.error_at(at, "cache is there twice"),
                    None => Ok(()),
                };
            }
            // One knob by itself, so that its place is known where its value does not fit.
            let one = Json::Object(Map::from_iter([(knob.clone(), value.clone())]));
            if let Err(error) = serde_json::from_value::<SearchParams>(one) {
                return parser.error_at(value_at, format_args!("{knob}: {error}"));
            }
            match params.insert(knob, value) {
                Some(_) => parser.error_at(at, "the knob is there twice"),
                None => Ok(()),
            }
        })?;
        match serde_json::from_value(Json::Object(params)) {
            Ok(params) => Ok(Some(Knobs {
                params,
                timeout,
                cache: cache.unwrap_or_default(),
            })),
            Err(error) => Err(self.error(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_the_parameters_is_a_knob() {
        let all = SearchParams {
            ef: Some(1),
            nprobe: Some(1),
            rerank: Some(1),
            beam_width: Some(1),
            probes: Some(1),
            candidates: Some(1),
            target_recall: Some(0.9),
            plan: Some(vecdb_engine::Plan::Scan),
            plan_costs: Some(vecdb_engine::PlanCosts::Counted),
            exact: true,
        };
        let Json::Object(fields) = serde_json::to_value(all).unwrap() else {
            panic!("not an object");
        };
        let mut known: Vec<_> = fields.keys().map(String::as_str).collect();
        known.extend(["timeout_ms", "cache"]);
        known.sort_unstable();
        let mut knobs = KNOBS;
        knobs.sort_unstable();
        assert_eq!(known, knobs);
    }
}
