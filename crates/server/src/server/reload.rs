//! Settings that a running server takes over: all of them are checked and prepared before the first is used, so that
//! nothing changes where something is wrong.

use vecdb_backend::Local;
use vecdb_engine::Result;

use super::run::Running;
use crate::auth::Authority;
use crate::config::{Config, Limits, Storage};
use crate::listen::exposure;
use crate::observe::{Audit, check_level};

impl Running {
    /// Takes `config` over, and returns the settings of it that count from the next start on.
    pub(super) fn reload(&mut self, config: Config) -> Result<Vec<&'static str>> {
        let wants_insecure = config.listen.allow_insecure;
        let (config, later) = merge(&self.config, config);
        // The addresses are those that are served. A file that was lost does not say that strangers are welcome, even
        // if the one before it did.
        let mut exposed = config.clone();
        exposed.listen.allow_insecure &= wants_insecure;
        exposure::check(&exposed)?;
        check_level(&config.log.level)?;
        let auth = Authority::prepare(&config.auth)?;
        let listen = self.stopper.prepare(&config.limits, &config.tls)?;
        let audit = Audit::new(&config.log)?;
        // From here on nothing can fail.
        if self.config.knows_callers() && !config.knows_callers() {
            tracing::warn!("there are no keys any more: whoever can connect may do everything");
        }
        self.authority.take_over(auth);
        self.stopper.take_over(listen);
        self.gateway.reload(&config.limits);
        self.gateway.recorder().take_over(audit, &config.log);
        if let Some(backend) = &self.backend {
            limit(backend, &config);
        }
        self.config = config;
        Ok(later)
    }
}

/// Tells a backend what it may use.
pub(super) fn limit(backend: &Local, config: &Config) {
    let limits = &config.limits;
    backend.set_limits(limits.memory_bytes_max, Some(answer_bytes_max(limits)));
    let pace = config.storage.merge_bytes_per_second;
    backend.database().set_merge_bytes_per_second(pace);
}

/// One answer may take as much memory as all requests together.
fn answer_bytes_max(limits: &Limits) -> u64 {
    const UNLIMITED: u64 = 256 << 20;
    limits
        .memory_bytes_max
        .map_or(UNLIMITED, |memory| memory / 4)
}

/// What is in force once `new` is taken over from `old`, and the settings of `new` that are not.
fn merge(old: &Config, mut new: Config) -> (Config, Vec<&'static str>) {
    let mut later = Vec::new();
    let (a, b) = (&old.limits, &mut new.limits);
    let storage = Storage {
        merge_bytes_per_second: new.storage.merge_bytes_per_second,
        ..old.storage.clone()
    };
    keep("storage", &storage, &mut new.storage, &mut later);
    keep("listen", &old.listen, &mut new.listen, &mut later);
    keep(
        "limits.search_threads",
        &a.search_threads,
        &mut b.search_threads,
        &mut later,
    );
    keep(
        "limits.write_threads",
        &a.write_threads,
        &mut b.write_threads,
        &mut later,
    );
    keep(
        "limits.request_bytes_max",
        &a.request_bytes_max,
        &mut b.request_bytes_max,
        &mut later,
    );
    let (a, b) = (old.log.format, &mut new.log.format);
    keep("log.format", &a, b, &mut later);
    keep("trace", &old.trace, &mut new.trace, &mut later);
    keep("snapshots", &old.snapshots, &mut new.snapshots, &mut later);
    (new, later)
}

/// Puts the old value back where the new one has to wait.
fn keep<T: Clone + PartialEq>(
    setting: &'static str,
    old: &T,
    new: &mut T,
    later: &mut Vec<&'static str>,
) {
    if old != new {
        new.clone_from(old);
        later.push(setting);
    }
}
