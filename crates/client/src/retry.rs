//! Which failures are worth another try, and when.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tonic::Code;

use crate::error::ClientError;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

/// The server could not be reached or is not ready, or is busy and says for how long. A full disk is
/// `RESOURCE_EXHAUSTED` too, but will not be better in a moment.
pub(crate) fn is_worth_it(error: &ClientError) -> bool {
    match error.status().code() {
        Code::Unavailable => true,
        Code::ResourceExhausted => error.retry_after().is_some(),
        _ => false,
    }
}

/// How long to wait before try `attempt` (0 is the first repetition): not less than the server asks for, and a random
/// half of a doubling time more, so that clients that failed together do not come back together.
pub(crate) fn wait(attempt: u32, asked: Option<Duration>) -> Duration {
    let backoff = FIRST.saturating_mul(1 << attempt.min(16)).min(LONGEST);
    // The standard library's hash keys are random; that is random enough for this.
    let share = RandomState::new().hash_one(attempt) as f64 / u64::MAX as f64;
    asked.unwrap_or_default() + backoff.mul_f64(0.5 + share / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_differ() {
        for attempt in [0, 1, 5, 40, u32::MAX] {
            let most = FIRST.saturating_mul(1 << attempt.min(16)).min(LONGEST);
            let given = wait(attempt, None);
            assert!(given >= most / 2 && given <= most, "{attempt}: {given:?}");
        }
        let asked = Duration::from_secs(7);
        assert!(wait(0, Some(asked)) > asked);
        assert!((0..20).any(|_| wait(0, None) != wait(0, None)));
    }
}
