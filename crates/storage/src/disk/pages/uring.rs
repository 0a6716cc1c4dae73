//! Blocks read through io_uring: one ring per reader, the file registered.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Instant;

use io_uring::{IoUring, opcode, types};

use super::aligned::Aligned;
use super::{BlockLayout, Completion, PageIo, PageReader, PageSource, busy, no_slot};

/// A read that comes back short, or that the kernel asks to repeat, is repeated so often.
const REPEATS_MAX: u32 = 8;
/// What the kernel answers when a read should be asked for again.
const EINTR: i32 = 4;
const EAGAIN: i32 = 11;

/// A file whose blocks are read through io_uring.
#[derive(Debug)]
pub(super) struct UringPages {
    file: Arc<File>,
    layout: BlockLayout,
    direct: bool,
}

impl UringPages {
    pub(super) fn new(file: Arc<File>, layout: BlockLayout, direct: bool) -> Self {
        Self {
            file,
            layout,
            direct,
        }
    }
}

impl PageSource for UringPages {
    fn reader(&self, depth: usize) -> io::Result<Box<dyn PageReader>> {
        let depth = depth.clamp(1, 1024);
        let ring = IoUring::new(depth.next_power_of_two() as u32)?;
        ring.submitter().register_files(&[self.file.as_raw_fd()])?;
        Ok(Box::new(UringReader {
            ring,
            _file: Arc::clone(&self.file),
            layout: self.layout,
            slots: (0..depth)
                .map(|_| Slot {
                    buffer: Aligned::new(self.layout.block_bytes),
                    state: State::Empty,
                })
                .collect(),
            on_their_way: 0,
            unsubmitted: 0,
        }))
    }

    fn io(&self) -> PageIo {
        PageIo::Uring
    }

    fn is_direct(&self) -> bool {
        self.direct
    }
}

#[derive(Debug)]
struct Slot {
    buffer: Aligned,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Empty,
    OnItsWay {
        offset: u64,
        from: Instant,
        repeats: u32,
    },
    There,
}

/// The kernel writes into the buffers of slots that are on their way: those are not touched, and all are waited for before
/// the buffers go.
struct UringReader {
    ring: IoUring,
    _file: Arc<File>,
    layout: BlockLayout,
    slots: Vec<Slot>,
    on_their_way: usize,
    /// Asked for, but the kernel not told yet.
    unsubmitted: usize,
}

impl UringReader {
    fn push(&mut self, slot: usize, offset: u64) -> io::Result<()> {
        let depth = self.slots.len();
        let place = self.slots.get_mut(slot).ok_or(no_slot(slot, depth))?;
        let buffer = place.buffer.bytes_mut();
        let read = opcode::Read::new(types::Fixed(0), buffer.as_mut_ptr(), buffer.len() as u32)
            .offset(offset)
            .build()
            .user_data(slot as u64);
        // SAFETY: the buffer is on the heap, does not move, and lives until the read has ended: its slot is `OnItsWay`
        // until then, so that nothing reads or writes it, and `drop` waits for all that are.
        let pushed = unsafe { self.ring.submission().push(&read) };
        pushed.map_err(|_| io::Error::other("the submission queue is full"))?;
        self.unsubmitted += 1;
        Ok(())
    }

    /// Tells the kernel what is asked for, and waits for `wanted` completions.
    fn enter(&mut self, wanted: usize) -> io::Result<()> {
        loop {
            match self.ring.submitter().submit_and_wait(wanted) {
                Ok(_) => {
                    self.unsubmitted = 0;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What becomes of a slot whose read ended with `result`; `None` if it is read again.
    fn settle(&mut self, slot: usize, result: i32) -> io::Result<Option<Completion>> {
        let wanted = self.layout.block_bytes;
        let Some(place) = self.slots.get_mut(slot) else {
            return Err(io::Error::other(format!("a completion of slot {slot}")));
        };
        let State::OnItsWay {
            offset,
            from,
            repeats,
        } = place.state
        else {
            return Err(io::Error::other(format!(
                "a second completion of slot {slot}"
            )));
        };
        let whole = result >= 0 && result as usize == wanted;
        let again = result > 0 || result == -EINTR || result == -EAGAIN;
        if !whole && again && repeats < REPEATS_MAX {
            place.state = State::OnItsWay {
                offset,
                from,
                repeats: repeats + 1,
            };
            self.push(slot, offset)?;
            return Ok(None);
        }
        self.on_their_way -= 1;
        place.state = if whole { State::There } else { State::Empty };
        let result = match result {
            _ if whole => Ok(()),
            code if code < 0 => Err(io::Error::from_raw_os_error(-code)),
            bytes => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{bytes} of {wanted} bytes at byte {offset}"),
            )),
        };
        Ok(Some(Completion {
            slot,
            nanos: from.elapsed().as_nanos() as u64,
            result,
        }))
    }
}

impl PageReader for UringReader {
    fn depth(&self) -> usize {
        self.slots.len()
    }

    fn submit(&mut self, slot: usize, block: u64) -> io::Result<()> {
        let offset = self.layout.place(block)?;
        let depth = self.slots.len();
        let place = self.slots.get(slot).ok_or(no_slot(slot, depth))?;
        if matches!(place.state, State::OnItsWay { .. }) {
            return Err(busy(slot));
        }
        self.push(slot, offset)?;
        if let Some(place) = self.slots.get_mut(slot) {
            place.state = State::OnItsWay {
                offset,
                from: Instant::now(),
                repeats: 0,
            };
        }
        self.on_their_way += 1;
        Ok(())
    }

    fn wait(&mut self) -> io::Result<Option<Completion>> {
        while self.on_their_way > 0 {
            let next = self.ring.completion().next();
            let Some(entry) = next else {
                self.enter(1)?;
                continue;
            };
            if self.unsubmitted > 0 {
                self.enter(0)?;
            }
            let settled = self.settle(entry.user_data() as usize, entry.result())?;
            if settled.is_some() {
                return Ok(settled);
            }
        }
        Ok(None)
    }

    fn bytes(&self, slot: usize) -> &[u8] {
        match self.slots.get(slot) {
            Some(Slot {
                buffer,
                state: State::There,
            }) => buffer.bytes(),
            _ => &[],
        }
    }
}

impl Drop for UringReader {
    fn drop(&mut self) {
        loop {
            match self.wait() {
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(_) => break,
            }
        }
        // The kernel may still write: its buffers are never freed.
        for slot in self.slots.drain(..) {
            std::mem::forget(slot);
        }
    }
}
