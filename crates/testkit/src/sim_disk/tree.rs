//! Folders and files with a live and a durable side each.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::CrashMode;
use crate::random::SeededRandom;

pub(super) type NodeId = usize;

const ROOT: NodeId = 0;
const BLOCK_BYTES: usize = 4096;

/// All nodes ever made; those without a name are only reached by open handles.
pub(super) struct Tree {
    nodes: Vec<Node>,
}

enum Node {
    Folder(Folder),
    File(File),
}

#[derive(Default)]
struct Folder {
    live: BTreeMap<String, NodeId>,
    durable: BTreeMap<String, NodeId>,
    /// What leads from durable to live, in order.
    unsynced: Vec<NameChange>,
}

#[derive(Clone)]
enum NameChange {
    Add(String, NodeId),
    Remove(String),
    /// Within one folder: both happen or neither.
    Rename(String, String),
}

/// A file that is only appended to.
#[derive(Default)]
pub(super) struct File {
    pub(super) live: Vec<u8>,
    pub(super) durable: Vec<u8>,
    /// Bytes up to here have no dirty pages: synced, or dropped by a failed sync.
    clean: usize,
    /// Up to this length there is room for it on the disk.
    pub(super) room: u64,
    /// Where failed syncs dropped pages: what is durable there stays what it was.
    dropped: Vec<std::ops::Range<usize>>,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            nodes: vec![Node::Folder(Folder::default())],
        }
    }
}

fn error(kind: io::ErrorKind, path: &Path) -> io::Error {
    io::Error::new(kind, format!("{}: {kind}", path.display()))
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => names.push(name.to_string_lossy().into_owned()),
            Component::ParentDir => {
                names.pop();
            }
            _ => {}
        }
    }
    names
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, NodeId>) {
        match self {
            Self::Add(name, id) => {
                names.insert(name.clone(), *id);
            }
            Self::Remove(name) => {
                names.remove(name);
            }
            Self::Rename(from, to) => {
                if let Some(id) = names.remove(from) {
                    names.insert(to.clone(), id);
                }
            }
        }
    }
}

impl Folder {
    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.live);
        self.unsynced.push(change);
    }
}

impl File {
    pub(super) fn sync(&mut self) {
        let mut synced = self.live.clone();
        for range in &self.dropped {
            for at in range.clone() {
                synced[at] = self.durable.get(at).copied().unwrap_or(0);
            }
        }
        self.durable = synced;
        self.clean = self.live.len();
    }

    /// What a failed fsync does: the dirty pages are marked clean and forgotten.
    pub(super) fn drop_dirty(&mut self) {
        self.dropped.push(self.clean..self.live.len());
        self.clean = self.live.len();
    }

    fn after_crash(&self, mode: CrashMode, random: &mut SeededRandom) -> Vec<u8> {
        match mode {
            CrashMode::LoseUnsynced => self.durable.clone(),
            CrashMode::KeepAll => self.live.clone(),
            CrashMode::KeepRandom(_) => self.keep_some(random),
        }
    }

    fn keep_some(&self, random: &mut SeededRandom) -> Vec<u8> {
        let (old, new) = (self.durable.len(), self.live.len());
        let mut bytes = self.durable.clone();
        bytes.resize(new.max(old), 0);
        for block in old / BLOCK_BYTES..new.div_ceil(BLOCK_BYTES) {
            let from = (block * BLOCK_BYTES).max(old);
            let to = ((block + 1) * BLOCK_BYTES).min(new).max(from);
            let kept = match random.below(4) {
                0 => 0,
                1 => random.below((to - from) as u64) as usize,
                2 if block > 0 => {
                    // Old content: another block of this file.
                    let other = random.below(block as u64) as usize * BLOCK_BYTES;
                    for (at, byte) in bytes.iter_mut().enumerate().take(to).skip(from) {
                        *byte = self.live[other + at % BLOCK_BYTES];
                    }
                    0
                }
                _ => to - from,
            };
            bytes[from..from + kept].copy_from_slice(&self.live[from..from + kept]);
        }
        // The new length is a change of its own.
        let len = match random.below(4) {
            0 => old,
            1 => old + random.below((new.saturating_sub(old) + 1) as u64) as usize,
            _ => new,
        };
        bytes.truncate(len.max(old));
        bytes
    }
}

impl Tree {
    pub(super) fn find(&self, path: &Path) -> io::Result<NodeId> {
        let mut id = ROOT;
        for name in names(path) {
            let folder = self.folder(id, path)?;
            id = *folder
                .live
                .get(&name)
                .ok_or_else(|| error(io::ErrorKind::NotFound, path))?;
        }
        Ok(id)
    }

    pub(super) fn file(&self, id: NodeId, path: &Path) -> io::Result<&File> {
        match &self.nodes[id] {
            Node::File(file) => Ok(file),
            Node::Folder(_) => Err(error(io::ErrorKind::IsADirectory, path)),
        }
    }

    pub(super) fn file_mut(&mut self, id: NodeId, path: &Path) -> io::Result<&mut File> {
        match &mut self.nodes[id] {
            Node::File(file) => Ok(file),
            Node::Folder(_) => Err(error(io::ErrorKind::IsADirectory, path)),
        }
    }

    fn folder(&self, id: NodeId, path: &Path) -> io::Result<&Folder> {
        match &self.nodes[id] {
            Node::Folder(folder) => Ok(folder),
            Node::File(_) => Err(error(io::ErrorKind::NotADirectory, path)),
        }
    }

    fn folder_mut(&mut self, id: NodeId, path: &Path) -> io::Result<&mut Folder> {
        match &mut self.nodes[id] {
            Node::Folder(folder) => Ok(folder),
            Node::File(_) => Err(error(io::ErrorKind::NotADirectory, path)),
        }
    }

    /// The folder that holds `path` and the last name.
    fn place(&self, path: &Path) -> io::Result<(NodeId, String)> {
        let mut names = names(path);
        let last = names
            .pop()
            .ok_or_else(|| error(io::ErrorKind::InvalidInput, path))?;
        let folder = self.find(&names.iter().collect::<PathBuf>())?;
        self.folder(folder, path)?;
        Ok((folder, last))
    }

    pub(super) fn exists(&self, path: &Path) -> bool {
        self.find(path).is_ok()
    }

    pub(super) fn is_folder(&self, path: &Path) -> bool {
        let id = self.find(path);
        id.is_ok_and(|id| self.folder(id, path).is_ok())
    }

    fn add(&mut self, path: &Path, id: NodeId) -> io::Result<()> {
        let (folder, name) = self.place(path)?;
        let folder = self.folder_mut(folder, path)?;
        if folder.live.contains_key(&name) {
            return Err(error(io::ErrorKind::AlreadyExists, path));
        }
        folder.change(NameChange::Add(name, id));
        Ok(())
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<NodeId> {
        let id = self.nodes.len();
        self.add(path, id)?;
        self.nodes.push(Node::File(File::default()));
        Ok(id)
    }

    pub(super) fn create_folder(&mut self, path: &Path) -> io::Result<()> {
        let id = self.nodes.len();
        self.add(path, id)?;
        self.nodes.push(Node::Folder(Folder::default()));
        Ok(())
    }

    pub(super) fn link(&mut self, existing: &Path, new: &Path) -> io::Result<()> {
        let id = self.find(existing)?;
        self.file(id, existing)?;
        self.add(new, id)
    }

    /// Removes a file or an empty folder.
    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        let id = self.find(path)?;
        if let Node::Folder(folder) = &self.nodes[id]
            && !folder.live.is_empty()
        {
            return Err(error(io::ErrorKind::DirectoryNotEmpty, path));
        }
        let (folder, name) = self.place(path)?;
        self.folder_mut(folder, path)?
            .change(NameChange::Remove(name));
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let id = self.find(from)?;
        let (from_folder, from_name) = self.place(from)?;
        let (to_folder, to_name) = self.place(to)?;
        if names(to).starts_with(&names(from)) {
            return match names(to) == names(from) {
                true => Ok(()),
                false => Err(error(io::ErrorKind::InvalidInput, to)),
            };
        }
        if let Ok(replaced) = self.find(to) {
            let both_files = self.file(id, from).is_ok() && self.file(replaced, to).is_ok();
            if !both_files {
                return Err(error(io::ErrorKind::AlreadyExists, to));
            }
        }
        if from_folder == to_folder {
            self.folder_mut(from_folder, from)?
                .change(NameChange::Rename(from_name, to_name));
        } else {
            self.folder_mut(to_folder, to)?
                .change(NameChange::Add(to_name, id));
            self.folder_mut(from_folder, from)?
                .change(NameChange::Remove(from_name));
        }
        Ok(())
    }

    pub(super) fn sync_folder(&mut self, path: &Path) -> io::Result<()> {
        let id = self.find(path)?;
        let folder = self.folder_mut(id, path)?;
        folder.durable = folder.live.clone();
        folder.unsynced.clear();
        Ok(())
    }

    /// Name, is it a folder, length.
    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<(String, bool, u64)>> {
        let folder = self.folder(self.find(path)?, path)?;
        Ok(folder
            .live
            .iter()
            .map(|(name, &id)| match &self.nodes[id] {
                Node::Folder(_) => (name.clone(), true, 0),
                Node::File(file) => (name.clone(), false, file.live.len() as u64),
            })
            .collect())
    }

    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, id)) = open.pop() {
            match &self.nodes[id] {
                Node::File(_) => found.push(path),
                Node::Folder(folder) => {
                    let inside = folder.live.iter();
                    open.extend(inside.map(|(name, &id)| (path.join(name), id)));
                }
            }
        }
        found.sort();
        found
    }

    pub(super) fn crash_image(&self, mode: CrashMode) -> Self {
        let mut random = SeededRandom::new(match mode {
            CrashMode::KeepRandom(seed) => seed,
            _ => 0,
        });
        // The same numbers for the same nodes, so that links stay links.
        let nodes = self
            .nodes
            .iter()
            .map(|node| match node {
                Node::File(file) => {
                    let bytes = file.after_crash(mode, &mut random);
                    Node::File(File {
                        clean: bytes.len(),
                        room: 0,
                        durable: bytes.clone(),
                        live: bytes,
                        dropped: Vec::new(),
                    })
                }
                Node::Folder(folder) => {
                    let kept = match mode {
                        CrashMode::LoseUnsynced => 0,
                        CrashMode::KeepAll => folder.unsynced.len(),
                        CrashMode::KeepRandom(_) => {
                            random.below(folder.unsynced.len() as u64 + 1) as usize
                        }
                    };
                    let mut names = folder.durable.clone();
                    for change in &folder.unsynced[..kept] {
                        change.apply(&mut names);
                    }
                    Node::Folder(Folder {
                        live: names.clone(),
                        durable: names,
                        unsynced: Vec::new(),
                    })
                }
            })
            .collect();
        Self { nodes }
    }
}
