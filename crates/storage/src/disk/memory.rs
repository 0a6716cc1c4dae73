//! A disk in RAM, for tests and `:memory:` databases. Nothing survives the process.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Blob, DirEntry, Disk, DiskFile, DiskRead, folder_of, temporary_name, wrong_length};

/// Files in memory. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk {
    tree: Arc<Mutex<Tree>>,
}

#[derive(Debug, Default)]
struct Tree {
    nodes: BTreeMap<PathBuf, Node>,
    locked: BTreeSet<PathBuf>,
}

#[derive(Debug, Clone)]
enum Node {
    Folder,
    File(Arc<Mutex<Content>>),
}

#[derive(Debug)]
enum Content {
    Growing(Vec<u8>),
    /// Mapped at least once: shared with its readers and no longer writable.
    Sealed(Blob),
}

impl Content {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Growing(bytes) => bytes,
            Self::Sealed(blob) => blob,
        }
    }
}

struct Handle {
    content: Arc<Mutex<Content>>,
    len: u64,
}

struct Locked {
    disk: MemoryDisk,
    path: PathBuf,
}

/// The path without "." and with ".." resolved, so that one file has one key.
fn key(path: &Path) -> PathBuf {
    let mut key = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                key.pop();
            }
            part => key.push(part),
        }
    }
    key
}

fn is_root(key: &Path) -> bool {
    key.as_os_str().is_empty() || key.parent().is_none()
}

fn error(kind: io::ErrorKind, path: &Path) -> io::Error {
    io::Error::new(kind, format!("{}: {kind}", path.display()))
}

impl Tree {
    fn require_folder(&self, folder: &Path) -> io::Result<()> {
        match self.nodes.get(folder) {
            _ if is_root(folder) => Ok(()),
            Some(Node::Folder) => Ok(()),
            Some(Node::File(_)) => Err(error(io::ErrorKind::NotADirectory, folder)),
            None => Err(error(io::ErrorKind::NotFound, folder)),
        }
    }

    fn file(&self, path: &Path) -> io::Result<Arc<Mutex<Content>>> {
        match self.nodes.get(&key(path)) {
            Some(Node::File(content)) => Ok(Arc::clone(content)),
            Some(Node::Folder) => Err(error(io::ErrorKind::IsADirectory, path)),
            None => Err(error(io::ErrorKind::NotFound, path)),
        }
    }

    fn add_file(&mut self, path: &Path, bytes: Vec<u8>) -> io::Result<Arc<Mutex<Content>>> {
        let path = key(path);
        self.require_folder(path.parent().unwrap_or(Path::new("")))?;
        let content = Arc::new(Mutex::new(Content::Growing(bytes)));
        self.nodes.insert(path, Node::File(Arc::clone(&content)));
        Ok(content)
    }
}

impl Disk for MemoryDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut tree = self.tree.lock();
        if tree.nodes.contains_key(&key(path)) {
            return Err(error(io::ErrorKind::AlreadyExists, path));
        }
        let content = tree.add_file(path, Vec::new())?;
        Ok(Box::new(Handle { content, len: 0 }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskRead>> {
        let content = self.tree.lock().file(path)?;
        let len = content.lock().bytes().len() as u64;
        Ok(Box::new(Handle { content, len }))
    }

    fn map(&self, path: &Path, expected_len: u64) -> io::Result<Blob> {
        let content = self.tree.lock().file(path)?;
        let mut content = content.lock();
        let found = content.bytes().len() as u64;
        if found != expected_len {
            return Err(wrong_length(path, found, expected_len));
        }
        let blob = match &mut *content {
            Content::Sealed(blob) => return Ok(blob.clone()),
            Content::Growing(bytes) => Blob::from_vec(std::mem::take(bytes)),
        };
        *content = Content::Sealed(blob.clone());
        Ok(blob)
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = temporary_name(path);
        self.tree.lock().add_file(&temporary, bytes.to_vec())?;
        self.rename(&temporary, path)?;
        self.sync_dir(folder_of(path))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut tree = self.tree.lock();
        let path = key(path);
        for folder in path.ancestors().filter(|folder| !is_root(folder)) {
            match tree.nodes.get(folder) {
                Some(Node::File(_)) => return Err(error(io::ErrorKind::NotADirectory, folder)),
                _ => tree.nodes.insert(folder.to_path_buf(), Node::Folder),
            };
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut tree = self.tree.lock();
        tree.file(path)?;
        tree.nodes.remove(&key(path));
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut tree = self.tree.lock();
        let path = key(path);
        tree.require_folder(&path)?;
        tree.nodes.retain(|name, _| !name.starts_with(&path));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut tree = self.tree.lock();
        let (from, to) = (key(from), key(to));
        tree.require_folder(to.parent().unwrap_or(Path::new("")))?;
        let moved = match tree.nodes.get(&from) {
            None => return Err(error(io::ErrorKind::NotFound, &from)),
            Some(node) => node.clone(),
        };
        if matches!(moved, Node::Folder) {
            if tree.nodes.contains_key(&to) {
                return Err(error(io::ErrorKind::AlreadyExists, &to));
            }
            if to.starts_with(&from) {
                return Err(error(io::ErrorKind::InvalidInput, &to));
            }
            let inside: Vec<PathBuf> = tree
                .nodes
                .keys()
                .filter(|name| name.starts_with(&from) && **name != from)
                .cloned()
                .collect();
            for name in inside {
                if let (Some(node), Ok(rest)) = (tree.nodes.remove(&name), name.strip_prefix(&from))
                {
                    tree.nodes.insert(to.join(rest), node);
                }
            }
        } else if matches!(tree.nodes.get(&to), Some(Node::Folder)) {
            return Err(error(io::ErrorKind::IsADirectory, &to));
        }
        tree.nodes.remove(&from);
        tree.nodes.insert(to, moved);
        Ok(())
    }

    fn link(&self, existing: &Path, new: &Path) -> io::Result<()> {
        let mut tree = self.tree.lock();
        let content = tree.file(existing)?;
        let new = key(new);
        if tree.nodes.contains_key(&new) {
            return Err(error(io::ErrorKind::AlreadyExists, &new));
        }
        tree.require_folder(new.parent().unwrap_or(Path::new("")))?;
        tree.nodes.insert(new, Node::File(content));
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.tree.lock().require_folder(&key(path))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let tree = self.tree.lock();
        let dir = key(dir);
        tree.require_folder(&dir)?;
        let mut entries: Vec<DirEntry> = tree
            .nodes
            .iter()
            .filter(|(path, _)| path.parent() == Some(&dir))
            .filter_map(|(path, node)| {
                let name = path.file_name()?.to_string_lossy().into_owned();
                let (is_dir, len) = match node {
                    Node::Folder => (true, 0),
                    Node::File(content) => (false, content.lock().bytes().len() as u64),
                };
                Some(DirEntry { name, is_dir, len })
            })
            .collect();
        entries.sort();
        Ok(entries)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let path = key(path);
        Ok(is_root(&path) || self.tree.lock().nodes.contains_key(&path))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let mut tree = self.tree.lock();
        let path = key(path);
        if !tree.nodes.contains_key(&path) {
            tree.add_file(&path, Vec::new())?;
        }
        if !tree.locked.insert(path.clone()) {
            return Err(error(io::ErrorKind::WouldBlock, &path));
        }
        let disk = self.clone();
        Ok(Box::new(Locked { disk, path }))
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.disk.tree.lock().locked.remove(&self.path);
    }
}

impl DiskFile for Handle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut *self.content.lock() {
            Content::Growing(content) => content.extend_from_slice(bytes),
            Content::Sealed(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::ReadOnlyFilesystem,
                    "a mapped file is sealed",
                ));
            }
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> u64 {
        self.len
    }
}

impl DiskRead for Handle {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let content = self.content.lock();
        let found = usize::try_from(offset)
            .ok()
            .and_then(|start| content.bytes().get(start..))
            .and_then(|bytes| bytes.get(..out.len()))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }
}
