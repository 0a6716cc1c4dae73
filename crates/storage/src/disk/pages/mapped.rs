//! Blocks of a map, or of memory: "read" the moment they are asked for.

use std::collections::VecDeque;
use std::io;

use super::{Completion, PageIo, PageReader, PageSource, busy, no_slot, usage};
use crate::disk::Blob;

/// The blocks of a blob.
#[derive(Debug, Clone)]
pub struct MappedPages {
    blob: Blob,
    block_bytes: usize,
}

impl MappedPages {
    /// The blocks of `block_bytes` that lie in `blob` one after the other.
    ///
    /// # Errors
    /// A length that is no whole number of blocks.
    pub fn new(blob: Blob, block_bytes: usize) -> io::Result<Self> {
        if block_bytes == 0 || !blob.len().is_multiple_of(block_bytes) {
            return Err(usage(format!(
                "{} bytes are no whole number of blocks of {block_bytes}",
                blob.len()
            )));
        }
        Ok(Self { blob, block_bytes })
    }
}

impl PageSource for MappedPages {
    fn reader(&self, depth: usize) -> io::Result<Box<dyn PageReader>> {
        let depth = depth.max(1);
        Ok(Box::new(MappedReader {
            pages: self.clone(),
            slots: vec![Slot::Free; depth],
            arrived: VecDeque::with_capacity(depth),
        }))
    }

    fn io(&self) -> PageIo {
        PageIo::Mapped
    }

    fn is_direct(&self) -> bool {
        false
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Slot {
    Free,
    OnItsWay(usize),
    There(usize),
}

struct MappedReader {
    pages: MappedPages,
    slots: Vec<Slot>,
    arrived: VecDeque<usize>,
}

impl PageReader for MappedReader {
    fn depth(&self) -> usize {
        self.slots.len()
    }

    fn submit(&mut self, slot: usize, block: u64) -> io::Result<()> {
        let (depth, bytes) = (self.slots.len(), self.pages.block_bytes);
        let place = self.slots.get_mut(slot).ok_or(no_slot(slot, depth))?;
        if matches!(place, Slot::OnItsWay(_)) {
            return Err(busy(slot));
        }
        let count = self.pages.blob.len() / bytes;
        let start = usize::try_from(block).ok().filter(|&block| block < count);
        let start = start.ok_or_else(|| usage(format!("block {block} of {count}")))? * bytes;
        *place = Slot::OnItsWay(start);
        self.arrived.push_back(slot);
        Ok(())
    }

    fn wait(&mut self) -> io::Result<Option<Completion>> {
        let Some(slot) = self.arrived.pop_front() else {
            return Ok(None);
        };
        if let Some(place) = self.slots.get_mut(slot)
            && let Slot::OnItsWay(start) = *place
        {
            *place = Slot::There(start);
        }
        Ok(Some(Completion {
            slot,
            nanos: 0,
            result: Ok(()),
        }))
    }

    fn bytes(&self, slot: usize) -> &[u8] {
        match self.slots.get(slot) {
            Some(&Slot::There(start)) => {
                let end = start + self.pages.block_bytes;
                self.pages.blob.get(start..end).unwrap_or_default()
            }
            _ => &[],
        }
    }
}
