//! Advice: what is asked and what is said.

use vecdb_engine::{Advice, AdviceParams, Choice, Error, IndexSpec, Result};

use super::collections::index_text;
use super::required;
use crate::v1;

impl From<v1::AdviseRequest> for AdviceParams {
    fn from(message: v1::AdviseRequest) -> Self {
        let defaults = AdviceParams::default();
        let or = |given: u32, default: u32| if given == 0 { default } else { given };
        AdviceParams {
            target_recall: message.target_recall.unwrap_or(defaults.target_recall),
            limit: or(message.limit, defaults.limit as u32) as usize,
            memory_bytes: message.memory_bytes,
            rows: message.rows,
            sample_rows: or(message.sample_rows, defaults.sample_rows),
            queries: or(message.queries, defaults.queries),
            seed: message.seed.unwrap_or(defaults.seed),
        }
    }
}

/// Numbers of 0 mean the default in a message, but are out of range in the engine: check them before.
impl From<&AdviceParams> for v1::AdviseRequest {
    fn from(params: &AdviceParams) -> Self {
        v1::AdviseRequest {
            collection: String::new(),
            target_recall: Some(params.target_recall),
            limit: params.limit.try_into().unwrap_or(u32::MAX),
            memory_bytes: params.memory_bytes,
            rows: params.rows,
            sample_rows: params.sample_rows,
            queries: params.queries,
            seed: Some(params.seed),
        }
    }
}

impl TryFrom<v1::AdviseResponse> for Advice {
    type Error = Error;

    fn try_from(message: v1::AdviseResponse) -> Result<Self> {
        let choices = message.choices.into_iter();
        Ok(Advice {
            rows: message.rows,
            sample_rows: message.sample_rows,
            queries: message.queries,
            choices: choices.map(Choice::try_from).collect::<Result<_>>()?,
        })
    }
}

impl TryFrom<Advice> for v1::AdviseResponse {
    type Error = Error;

    fn try_from(advice: Advice) -> Result<Self> {
        let recommended = advice
            .recommended()
            .map(v1::IndexChoice::try_from)
            .transpose()?;
        let choices = advice.choices.iter().map(v1::IndexChoice::try_from);
        Ok(v1::AdviseResponse {
            rows: advice.rows,
            sample_rows: advice.sample_rows,
            queries: advice.queries,
            recommended,
            choices: choices.collect::<Result<_>>()?,
        })
    }
}

impl TryFrom<v1::IndexChoice> for Choice {
    type Error = Error;

    fn try_from(message: v1::IndexChoice) -> Result<Self> {
        Ok(Choice {
            spec: message.index.parse::<IndexSpec>()?,
            params: required(message.params, "the params of a choice")?.try_into()?,
            sample_recall: message.sample_recall,
            reaches_recall: message.reaches_recall,
            fits_memory: message.fits_memory,
            memory_bytes: message.memory_bytes,
            build_seconds: message.build_seconds,
            latency_us: message.latency_us,
        })
    }
}

impl TryFrom<&Choice> for v1::IndexChoice {
    type Error = Error;

    fn try_from(choice: &Choice) -> Result<Self> {
        Ok(v1::IndexChoice {
            index: index_text(&choice.spec)?,
            params: Some(choice.params.clone().into()),
            sample_recall: choice.sample_recall,
            reaches_recall: choice.reaches_recall,
            fits_memory: choice.fits_memory,
            memory_bytes: choice.memory_bytes,
            build_seconds: choice.build_seconds,
            latency_us: choice.latency_us,
        })
    }
}
