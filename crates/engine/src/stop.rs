//! Ending a call early: because its caller went away or its time is up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::error::{Error, ErrorKind, Result};

/// Tells a running call to end. Clones share the flag. The default never stops anything.
#[derive(Clone, Debug, Default)]
pub struct StopSignal {
    flag: Option<Arc<AtomicBool>>,
    deadline: Option<Instant>,
}

impl StopSignal {
    /// A signal that [`Self::stop`] can give.
    pub fn new() -> Self {
        Self {
            flag: Some(Arc::default()),
            deadline: None,
        }
    }

    /// The same signal, given by itself at `deadline`.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Ends the calls that hold a clone. Nothing happens to a signal that was not made by [`Self::new`].
    pub fn stop(&self) {
        if let Some(flag) = &self.flag {
            flag.store(true, Ordering::Relaxed);
        }
    }

    /// When it is given by itself.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The flag that [`Self::stop`] sets.
    pub(crate) fn flag(&self) -> Option<&AtomicBool> {
        self.flag.as_deref()
    }

    /// Whether it was given.
    pub fn is_stopped(&self) -> bool {
        self.check().is_err()
    }

    /// # Errors
    /// `Cancelled` once it was given, `DeadlineExceeded` once its time is up.
    pub fn check(&self) -> Result<()> {
        if self
            .flag
            .as_ref()
            .is_some_and(|flag| flag.load(Ordering::Relaxed))
        {
            return Err(Error::new(
                ErrorKind::Cancelled,
                "the caller no longer waits for an answer",
            ));
        }
        if self
            .deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
        {
            return Err(Error::new(
                ErrorKind::DeadlineExceeded,
                "the time limit of the call has passed",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_reaches_its_clones_and_says_why() {
        let never = StopSignal::default();
        never.stop();
        assert!(never.check().is_ok());

        let signal = StopSignal::new();
        let clone = signal.clone();
        assert!(!clone.is_stopped());
        signal.stop();
        assert_eq!(clone.check().unwrap_err().kind(), ErrorKind::Cancelled);

        let late = StopSignal::default().with_deadline(Instant::now());
        assert_eq!(
            late.check().unwrap_err().kind(),
            ErrorKind::DeadlineExceeded
        );
    }
}
