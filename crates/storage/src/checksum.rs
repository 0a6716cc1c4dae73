//! CRC-32C (Castagnoli), the one checksum of every file: hardware-fast, and the polynomial that
//! object stores accept natively.

use crc_fast::{CrcAlgorithm, Digest};

/// CRC-32C of `bytes`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc32c_seeded(0, bytes)
}

/// CRC-32C of `bytes` continued from `seed`, the checksum of what came before:
/// `crc32c_seeded(crc32c(a), b) == crc32c(a ++ b)`, and seed 0 gives [`crc32c`].
pub fn crc32c_seeded(seed: u32, bytes: &[u8]) -> u32 {
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, u64::from(!seed));
    digest.update(bytes);
    // The upper half of the state is zero for a 32-bit checksum.
    digest.finalize() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bit_by_bit(seed: u32, bytes: &[u8]) -> u32 {
        let mut crc = !seed;
        for &byte in bytes {
            crc ^= u32::from(byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 {
                    (crc >> 1) ^ 0x82F6_3B78
                } else {
                    crc >> 1
                };
            }
        }
        !crc
    }

    #[test]
    fn equals_the_definition_at_every_length_and_split() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        let bytes: Vec<u8> = (0..700u32).map(|i| (i * 31 % 251) as u8).collect();
        for len in 0..bytes.len() {
            let whole = bit_by_bit(0, &bytes[..len]);
            assert_eq!(crc32c(&bytes[..len]), whole, "length {len}");
            let split = len / 3;
            let continued = crc32c_seeded(crc32c(&bytes[..split]), &bytes[split..len]);
            assert_eq!(continued, whole, "length {len} split at {split}");
        }
    }
}
