//! Where a node lies on the disk.
//!
//! A block is one 4 KiB page with as many whole nodes as fit, or as many pages as one node needs:
//!
//! ```text
//! crc32c u32 | block u32 | nodes u32 | 0 u32 | inverse norms, f32 each (cosine only) | nodes
//! node: vector, padded to 4 bytes | links u32 | r x u32, those beyond the links zero
//! ```
//! The checksum covers everything after it, and is seeded with the number of the block. Nodes are numbered by their place:
//! block times nodes per block, plus slot. Links are places too, so that no table leads from a node to its page.

use std::ops::Range;

use vecdb_storage::checksum::{crc32c, crc32c_seeded};
use vecdb_storage::disk::PAGE_BYTES;
use vecdb_vector::{ElementType, VectorRows};

use super::section::PAGES;
use crate::IndexError;

const HEADER_BYTES: usize = 16;

/// The shape of the blocks of an index.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) element: ElementType,
    pub(super) dim: usize,
    /// Links a node has room for.
    pub(super) degree: usize,
    pub(super) norms: bool,
    /// Nodes of a block.
    pub(super) slots: usize,
    pub(super) block_bytes: usize,
    vector_bytes: usize,
    node_bytes: usize,
}

impl Layout {
    pub(super) fn new(element: ElementType, dim: usize, degree: usize, norms: bool) -> Self {
        let vector_bytes = element.bytes(dim).next_multiple_of(4);
        let node_bytes = vector_bytes + 4 + 4 * degree;
        let each = node_bytes + 4 * usize::from(norms);
        let slots = ((PAGE_BYTES - HEADER_BYTES) / each).max(1);
        let block_bytes = (HEADER_BYTES + slots * each).next_multiple_of(PAGE_BYTES);
        Self {
            element,
            dim,
            degree,
            norms,
            slots,
            block_bytes,
            vector_bytes,
            node_bytes,
        }
    }

    /// Blocks for so many nodes.
    pub(super) fn blocks(&self, nodes: u32) -> u32 {
        nodes.div_ceil(self.slots as u32)
    }

    pub(super) fn block_of(&self, place: u32) -> u32 {
        place / self.slots as u32
    }

    /// The places of a block of an index of `nodes` nodes.
    pub(super) fn places(&self, block: u32, nodes: u32) -> Range<u32> {
        let slots = self.slots as u32;
        let first = block.saturating_mul(slots).min(nodes);
        first..first.saturating_add(slots).min(nodes)
    }

    /// Bytes of a node without its block.
    pub(super) fn record_bytes(&self) -> usize {
        self.node_bytes + 4
    }

    fn nodes_at(&self) -> usize {
        HEADER_BYTES + 4 * self.slots * usize::from(self.norms)
    }

    /// Writes a block: for each of its nodes the vector, the inverse norm and the links.
    pub(super) fn encode<'a>(
        &self,
        block: u32,
        nodes: impl Iterator<Item = (&'a [u8], f32, &'a [u32])>,
        out: &mut [u8],
    ) {
        out.fill(0);
        let mut count = 0;
        for (slot, (vector, norm, links)) in nodes.take(self.slots).enumerate() {
            if self.norms {
                put(out, HEADER_BYTES + 4 * slot, norm.to_bits());
            }
            let start = self.nodes_at() + slot * self.node_bytes;
            out[start..start + vector.len()].copy_from_slice(vector);
            let at = start + self.vector_bytes;
            let links = &links[..links.len().min(self.degree)];
            put(out, at, links.len() as u32);
            for (i, &link) in links.iter().enumerate() {
                put(out, at + 4 + 4 * i, link);
            }
            count += 1;
        }
        put(out, 4, block);
        put(out, 8, count);
        put(out, 0, checksum(block, out));
    }

    /// The nodes of a block, checked.
    pub(super) fn decode<'a>(
        &self,
        block: u32,
        nodes: u32,
        bytes: &'a [u8],
    ) -> Result<Block<'a>, IndexError> {
        let places = self.places(block, nodes);
        let corrupt = |what: String| {
            let (first, last) = (places.start, places.end.saturating_sub(1));
            Err(IndexError::Corrupt {
                section: PAGES,
                what: format!("block {block} with the nodes {first} to {last}: {what}"),
            })
        };
        if bytes.len() != self.block_bytes {
            return corrupt(format!("{} bytes of {}", bytes.len(), self.block_bytes));
        }
        let (words, _) = bytes.as_chunks::<4>();
        let word = |at: usize| words.get(at).map_or(0, |word| u32::from_le_bytes(*word));
        if word(0) != checksum(block, bytes) {
            return corrupt("does not match its checksum".to_owned());
        }
        if word(1) != block || word(2) != places.len() as u32 {
            return corrupt(format!("says block {} with {} nodes", word(1), word(2)));
        }
        let norms = match self.norms {
            true => floats(bytes.get(HEADER_BYTES..self.nodes_at())),
            false => Some(&[][..]),
        };
        let Some(norms) = norms else {
            return corrupt("is not aligned to its numbers".to_owned());
        };
        Ok(Block {
            layout: *self,
            first: places.start,
            count: places.len() as u32,
            norms,
            nodes: bytes.get(self.nodes_at()..).unwrap_or_default(),
        })
    }

    /// A node kept by itself, as [`Block::record`] wrote it.
    pub(super) fn decode_record<'a>(&self, place: u32, bytes: &'a [u8]) -> Option<Block<'a>> {
        let (norm, nodes) = bytes.split_at_checked(4)?;
        Some(Block {
            layout: *self,
            first: place,
            count: 1,
            norms: floats(Some(norm))?,
            nodes,
        })
    }
}

/// Nodes side by side.
#[derive(Copy, Clone, Debug)]
pub(super) struct Block<'a> {
    layout: Layout,
    first: u32,
    count: u32,
    norms: &'a [f32],
    nodes: &'a [u8],
}

impl<'a> Block<'a> {
    pub(super) fn places(&self) -> Range<u32> {
        self.first..self.first + self.count
    }

    /// The vectors, as rows from slot 0 on.
    pub(super) fn rows(&self) -> Result<VectorRows<'a>, IndexError> {
        let Layout {
            element,
            dim,
            node_bytes,
            norms,
            ..
        } = self.layout;
        let rows = VectorRows::new(element, dim, node_bytes, self.count, self.nodes)?;
        match norms {
            true => Ok(rows.with_inverse_norms(self.norms)?),
            false => Ok(rows),
        }
    }

    /// The links of a node, all below `nodes`.
    pub(super) fn links(&self, slot: usize, nodes: u32) -> Result<&'a [u32], IndexError> {
        let start = slot * self.layout.node_bytes + self.layout.vector_bytes;
        let words = self.nodes.get(start..start + 4 + 4 * self.layout.degree);
        let words: &[u32] = words
            .and_then(|bytes| bytemuck::try_cast_slice(bytes).ok())
            .unwrap_or_default();
        let links = words
            .split_first()
            .and_then(|(&count, links)| links.get(..count as usize));
        match links {
            Some(links) if links.iter().all(|&link| link < nodes) => Ok(links),
            _ => Err(IndexError::Corrupt {
                section: PAGES,
                what: format!(
                    "node {} has links that cannot be",
                    self.first as usize + slot
                ),
            }),
        }
    }

    /// Copies a node so that it can be kept by itself.
    pub(super) fn record(&self, slot: usize, out: &mut [u8]) {
        let Layout {
            node_bytes, norms, ..
        } = self.layout;
        let norm = match norms {
            true => self.norms.get(slot).copied().unwrap_or(0.0),
            false => 0.0,
        };
        let start = slot * node_bytes;
        if let (Some((head, body)), Some(node)) = (
            out.split_at_mut_checked(4),
            self.nodes.get(start..start + node_bytes),
        ) && body.len() == node.len()
        {
            head.copy_from_slice(&norm.to_le_bytes());
            body.copy_from_slice(node);
        }
    }
}

fn checksum(block: u32, bytes: &[u8]) -> u32 {
    let seed = crc32c(&block.to_le_bytes());
    crc32c_seeded(seed, bytes.get(4..).unwrap_or_default())
}

fn put(out: &mut [u8], at: usize, value: u32) {
    out[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn floats(bytes: Option<&[u8]>) -> Option<&[f32]> {
    bytemuck::try_cast_slice(bytes?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use vecdb_vector::RowId;

    #[test]
    fn nodes_come_back_and_damage_is_seen() {
        for (element, dim, degree, norms, slots, pages) in [
            (ElementType::F32, 128, 64, false, 5, 1),
            (ElementType::F16, 7, 4, true, 102, 1),
            (ElementType::F32, 1536, 64, true, 1, 2),
            (ElementType::Bits, 128, 32, false, 27, 1),
        ] {
            let layout = Layout::new(element, dim, degree, norms);
            assert_eq!(
                (layout.slots, layout.block_bytes),
                (slots, pages * PAGE_BYTES),
                "{dim}"
            );
            let nodes = 2 * slots as u32 + 1;
            assert_eq!(layout.blocks(nodes), 3);
            let vector = vec![1u8; element.bytes(dim)];
            let links: Vec<u32> = (0..3).collect();
            let mut bytes = vec![0xaa; layout.block_bytes];
            let node = || (&vector[..], 0.5, &links[..]);
            layout.encode(2, std::iter::once(node()), &mut bytes);
            let block = layout.decode(2, nodes, &bytes).unwrap();
            assert_eq!(block.places(), 2 * slots as u32..nodes);
            assert_eq!(block.rows().unwrap().row_bytes(RowId(0)), vector);
            assert_eq!(block.links(0, nodes).unwrap(), links);
            assert!(
                block.links(0, 2).is_err(),
                "a link to a node that is not there"
            );
            let mut record = vec![0; layout.record_bytes()];
            block.record(0, &mut record);
            let alone = layout.decode_record(nodes - 1, &record).unwrap();
            assert_eq!(alone.links(0, nodes).unwrap(), links);
            assert_eq!(
                alone.rows().unwrap().inverse_norms(),
                norms.then_some(&[0.5][..])
            );
            let error = layout.decode(1, nodes, &bytes).unwrap_err().to_string();
            assert!(error.contains("block 1 with the nodes"), "{error}");
            for at in (0..bytes.len()).step_by(37) {
                bytes[at] ^= 4;
                assert!(layout.decode(2, nodes, &bytes).is_err(), "{at}");
                bytes[at] ^= 4;
            }
            assert!(layout.decode(2, nodes, &bytes[1..]).is_err());
        }
    }
}
