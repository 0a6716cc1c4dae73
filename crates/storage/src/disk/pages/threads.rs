//! Blocks read by a pool of threads: what every system has.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::aligned::Aligned;
use super::{BlockLayout, Completion, PageIo, PageReader, PageSource, busy, no_slot};

/// Threads that read, for all readers of a file together: they wait for the disk, not for a processor.
const THREADS: usize = 16;

/// A file whose blocks a pool of threads reads.
#[derive(Debug)]
pub(super) struct ThreadPages {
    pool: Arc<Pool>,
    layout: BlockLayout,
    direct: bool,
}

#[derive(Debug)]
struct Pool {
    file: Arc<File>,
    jobs: Mutex<Jobs>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    closed: bool,
}

/// A read to do. It takes its buffer along, and brings it back.
#[derive(Debug)]
struct Job {
    slot: usize,
    offset: u64,
    buffer: Aligned,
    from: Instant,
    to: Arc<Arrivals>,
}

#[derive(Debug, Default)]
struct Arrivals {
    done: Mutex<VecDeque<Done>>,
    more: Condvar,
}

#[derive(Debug)]
struct Done {
    completion: Completion,
    buffer: Aligned,
}

impl ThreadPages {
    pub(super) fn new(file: Arc<File>, layout: BlockLayout, direct: bool) -> io::Result<Self> {
        let pool = Arc::new(Pool {
            file,
            jobs: Mutex::default(),
            more: Condvar::new(),
        });
        let pages = Self {
            pool,
            layout,
            direct,
        };
        for _ in 0..THREADS {
            let pool = Arc::clone(&pages.pool);
            std::thread::Builder::new()
                .name("page-reader".to_owned())
                .spawn(move || pool.serve())?;
        }
        Ok(pages)
    }
}

impl Drop for ThreadPages {
    /// Lets the threads go; they do what is waiting first.
    fn drop(&mut self) {
        self.pool.jobs.lock().closed = true;
        self.pool.more.notify_all();
    }
}

impl Pool {
    fn serve(&self) {
        while let Some(mut job) = self.next() {
            let result = self.file.read_exact_at(job.buffer.bytes_mut(), job.offset);
            let completion = Completion {
                slot: job.slot,
                nanos: job.from.elapsed().as_nanos() as u64,
                result,
            };
            job.to.done.lock().push_back(Done {
                completion,
                buffer: job.buffer,
            });
            job.to.more.notify_one();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut jobs = self.jobs.lock();
        loop {
            if let Some(job) = jobs.waiting.pop_front() {
                return Some(job);
            }
            if jobs.closed {
                return None;
            }
            self.more.wait(&mut jobs);
        }
    }
}

impl PageSource for ThreadPages {
    fn reader(&self, depth: usize) -> io::Result<Box<dyn PageReader>> {
        let depth = depth.max(1);
        let arrivals = Arrivals {
            done: Mutex::new(VecDeque::with_capacity(depth)),
            more: Condvar::new(),
        };
        let block_bytes = self.layout.block_bytes;
        Ok(Box::new(ThreadReader {
            pool: Arc::clone(&self.pool),
            layout: self.layout,
            slots: (0..depth)
                .map(|_| Some(Aligned::new(block_bytes)))
                .collect(),
            filled: vec![false; depth],
            arrivals: Arc::new(arrivals),
            on_their_way: 0,
        }))
    }

    fn io(&self) -> PageIo {
        PageIo::Threads
    }

    fn is_direct(&self) -> bool {
        self.direct
    }
}

struct ThreadReader {
    pool: Arc<Pool>,
    layout: BlockLayout,
    /// `None` while the buffer is with a thread.
    slots: Vec<Option<Aligned>>,
    filled: Vec<bool>,
    arrivals: Arc<Arrivals>,
    on_their_way: usize,
}

impl PageReader for ThreadReader {
    fn depth(&self) -> usize {
        self.slots.len()
    }

    fn submit(&mut self, slot: usize, block: u64) -> io::Result<()> {
        let offset = self.layout.place(block)?;
        let depth = self.slots.len();
        let place = self.slots.get_mut(slot).ok_or(no_slot(slot, depth))?;
        let mut jobs = self.pool.jobs.lock();
        if jobs.closed {
            return Err(io::Error::other("the threads that read have ended"));
        }
        let buffer = place.take().ok_or_else(|| busy(slot))?;
        jobs.waiting.push_back(Job {
            slot,
            offset,
            buffer,
            from: Instant::now(),
            to: Arc::clone(&self.arrivals),
        });
        drop(jobs);
        self.pool.more.notify_one();
        self.on_their_way += 1;
        Ok(())
    }

    fn wait(&mut self) -> io::Result<Option<Completion>> {
        if self.on_their_way == 0 {
            return Ok(None);
        }
        let mut done = self.arrivals.done.lock();
        let Done { completion, buffer } = loop {
            match done.pop_front() {
                Some(first) => break first,
                None => self.arrivals.more.wait(&mut done),
            }
        };
        drop(done);
        self.on_their_way -= 1;
        if let (Some(slot), Some(filled)) = (
            self.slots.get_mut(completion.slot),
            self.filled.get_mut(completion.slot),
        ) {
            *slot = Some(buffer);
            *filled = completion.result.is_ok();
        }
        Ok(Some(completion))
    }

    fn bytes(&self, slot: usize) -> &[u8] {
        match (self.slots.get(slot), self.filled.get(slot)) {
            (Some(Some(buffer)), Some(true)) => buffer.bytes(),
            _ => &[],
        }
    }
}
