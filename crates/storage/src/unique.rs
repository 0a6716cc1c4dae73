//! 128-bit numbers that tell files apart, so that bytes of one file never pass for another's.
//!
//! Not secret: drawn from the standard library's per-process hash keys, the time and a counter.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A fresh file number.
pub(crate) fn fresh_file_uuid() -> [u8; 16] {
    static DRAWN: AtomicU64 = AtomicU64::new(0);
    let count = DRAWN.fetch_add(1, Ordering::Relaxed);
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    let mut uuid = [0u8; 16];
    for (half, out) in uuid.chunks_exact_mut(8).enumerate() {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u64(count);
        hasher.write_u128(nanos);
        hasher.write_u32(std::process::id());
        hasher.write_usize(half);
        out.copy_from_slice(&hasher.finish().to_le_bytes());
    }
    uuid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_repeats() {
        let drawn: std::collections::BTreeSet<_> = (0..1000).map(|_| fresh_file_uuid()).collect();
        assert_eq!(drawn.len(), 1000);
    }
}
