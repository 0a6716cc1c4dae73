//! The calls of [`Disk`], each counted and each able to fail.

use std::io;
use std::path::{Path, PathBuf};

use super::tree::NodeId;
use super::{Call, Fault, Op, SimDisk, State};
use vecdb_storage::disk::{folder_of, temporary_name};
use vecdb_storage::{Blob, DirEntry, Disk, DiskFile, DiskRead};

struct Handle {
    disk: SimDisk,
    id: NodeId,
    path: PathBuf,
    len: u64,
}

struct Locked {
    disk: SimDisk,
    path: PathBuf,
}

/// How a counted call goes on.
enum Turn {
    Go,
    /// Do it if it is no sync, then fail: the power went in the middle.
    Crash,
    /// Write so many bytes, then fail.
    Torn(usize),
}

fn power_loss() -> io::Error {
    io::Error::other("simulated power loss")
}

impl State {
    /// Counts a call. An error means that it changes nothing.
    fn turn(&mut self, op: Op, path: &Path) -> io::Result<Turn> {
        if self.crashed {
            return Err(power_loss());
        }
        let number = self.trace.len() as u64 + 1;
        self.trace.push(Call {
            number,
            op,
            path: path.to_path_buf(),
            bytes: 0,
        });
        let planned = self.faults.iter().find(|(at, _)| *at == number);
        match planned.map(|(_, fault)| *fault) {
            Some(Fault::Error(kind)) => {
                return Err(io::Error::new(
                    kind,
                    format!("simulated failure of call {number}: {kind}"),
                ));
            }
            Some(Fault::Torn { bytes }) if op == Op::Write => return Ok(Turn::Torn(bytes)),
            Some(Fault::Torn { .. }) => {
                return Err(io::Error::other(format!(
                    "simulated failure of call {number}"
                )));
            }
            Some(Fault::Crash) => {
                self.crashed = true;
                return Ok(Turn::Crash);
            }
            None => {}
        }
        // A sync with nothing to do works on a read-only disk too.
        if self.read_only && op.changes() && op != Op::SyncDir {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        let grows = matches!(op, Op::Create | Op::CreateDir | Op::Link);
        if grows && self.space == Some(0) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(Turn::Go)
    }

    /// How many bytes the call just counted is about.
    fn note_bytes(&mut self, bytes: usize) {
        if let Some(call) = self.trace.last_mut() {
            call.bytes = bytes as u64;
        }
    }
}

impl SimDisk {
    /// Counts a call and does it under the lock.
    fn call<T>(
        &self,
        op: Op,
        path: &Path,
        work: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.state.lock();
        let turn = state.turn(op, path)?;
        if matches!(turn, Turn::Crash) {
            // A sync that did not return promises nothing.
            if op.changes() && op != Op::SyncDir {
                let _ = work(&mut state);
            }
            return Err(power_loss());
        }
        work(&mut state)
    }

    fn handle(&self, id: NodeId, path: &Path, len: u64) -> Handle {
        Handle {
            disk: self.clone(),
            id,
            path: path.to_path_buf(),
            len,
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call(Op::Remove, path, |state| state.tree.remove(path))
    }
}

impl Disk for SimDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let id = self.call(Op::Create, path, |state| state.tree.create(path))?;
        Ok(Box::new(self.handle(id, path, 0)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskRead>> {
        let (id, len) = self.call(Op::Open, path, |state| {
            let id = state.tree.find(path)?;
            Ok((id, state.tree.file(id, path)?.live.len() as u64))
        })?;
        Ok(Box::new(self.handle(id, path, len)))
    }

    fn map(&self, path: &Path, expected_len: u64) -> io::Result<Blob> {
        self.call(Op::Map, path, |state| {
            let id = state.tree.find(path)?;
            let bytes = &state.tree.file(id, path)?.live;
            if bytes.len() as u64 != expected_len {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{} bytes where {expected_len} were written", bytes.len()),
                ));
            }
            Ok(Blob::from_vec(bytes.clone()))
        })
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = temporary_name(path);
        if self.state.lock().tree.exists(&temporary) {
            self.remove(&temporary)?;
        }
        let mut file = self.create(&temporary)?;
        file.write(bytes)?;
        file.sync()?;
        self.rename(&temporary, path)?;
        self.sync_dir(folder_of(path))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let parent = folder_of(path);
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        if self.state.lock().tree.is_folder(path) {
            return self.sync_dir(parent);
        }
        self.create_dir(parent)?;
        self.call(Op::CreateDir, path, |state| state.tree.create_folder(path))?;
        self.sync_dir(parent)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.call(Op::Remove, path, |state| {
            let id = state.tree.find(path)?;
            state.tree.file(id, path)?;
            state.tree.remove(path)
        })
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        for entry in self.list(path)? {
            let inside = path.join(&entry.name);
            match entry.is_dir {
                true => self.remove_dir_all(&inside)?,
                false => self.remove(&inside)?,
            }
        }
        self.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Op::Rename, to, |state| state.tree.rename(from, to))
    }

    fn link(&self, existing: &Path, new: &Path) -> io::Result<()> {
        self.call(Op::Link, new, |state| state.tree.link(existing, new))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.call(Op::SyncDir, path, |state| state.tree.sync_folder(path))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.call(Op::List, dir, |state| {
            let entries = state.tree.list(dir)?.into_iter();
            Ok(entries
                .map(|(name, is_dir, len)| DirEntry { name, is_dir, len })
                .collect())
        })
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.call(Op::Exists, path, |state| Ok(state.tree.exists(path)))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let disk = self.clone();
        self.call(Op::Lock, path, |state| {
            if state.locked.iter().any(|locked| locked == path) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            if !state.tree.exists(path) {
                if state.read_only {
                    return Err(io::ErrorKind::ReadOnlyFilesystem.into());
                }
                state.tree.create(path)?;
            }
            state.locked.push(path.to_path_buf());
            let path = path.to_path_buf();
            Ok(Box::new(Locked { disk, path }) as Box<dyn Send + Sync>)
        })
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        let mut state = self.disk.state.lock();
        state.locked.retain(|locked| *locked != self.path);
    }
}

impl DiskFile for Handle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        let turn = state.turn(Op::Write, &self.path);
        state.note_bytes(bytes.len());
        let turn = turn?;
        let (wanted, failure) = match turn {
            Turn::Go => (bytes.len(), None),
            Turn::Crash => (bytes.len(), Some(power_loss())),
            Turn::Torn(kept) => {
                let error = io::Error::other(format!("simulated write cut after {kept} bytes"));
                (kept.min(bytes.len()), Some(error))
            }
        };
        let space = state.space;
        let file = state.tree.file_mut(self.id, &self.path)?;
        // What there is room for already takes no more space.
        let paid = file.room.saturating_sub(file.live.len() as u64);
        let kept = space.map_or(wanted, |space| wanted.min((paid + space) as usize));
        let part = bytes.get(..kept).unwrap_or(bytes);
        file.live.extend_from_slice(part);
        if let Some(space) = &mut state.space {
            *space -= (kept as u64).saturating_sub(paid);
        }
        self.len += kept as u64;
        match failure {
            Some(error) => Err(error),
            None if kept < wanted => Err(io::ErrorKind::StorageFull.into()),
            None => Ok(()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        let was_crashed = state.crashed;
        let turn = state.turn(Op::Sync, &self.path);
        let file = state.tree.file_mut(self.id, &self.path)?;
        match turn {
            Ok(Turn::Go) => {
                file.sync();
                Ok(())
            }
            Ok(_) => Err(power_loss()),
            Err(error) => {
                if !was_crashed {
                    file.drop_dirty();
                }
                Err(error)
            }
        }
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn preallocate(&mut self, bytes: u64) -> io::Result<()> {
        self.disk.call(Op::Preallocate, &self.path, |state| {
            let space = state.space;
            let file = state.tree.file_mut(self.id, &self.path)?;
            let has = file.room.max(file.live.len() as u64);
            let more = bytes.saturating_sub(has);
            if space.is_some_and(|space| space < more) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            file.room = has + more;
            if let Some(space) = &mut state.space {
                *space -= more;
            }
            Ok(())
        })
    }
}

impl DiskRead for Handle {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk.call(Op::Read, &self.path, |state| {
            state.note_bytes(out.len());
            let file = state.tree.file(self.id, &self.path)?;
            let found = usize::try_from(offset)
                .ok()
                .and_then(|start| file.live.get(start..))
                .and_then(|bytes| bytes.get(..out.len()))
                .ok_or(io::ErrorKind::UnexpectedEof)?;
            out.copy_from_slice(found);
            Ok(())
        })
    }
}
