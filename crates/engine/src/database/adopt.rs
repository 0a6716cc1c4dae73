//! Collections that come as folders, prepared elsewhere in the same file system.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use vecdb_storage::disk::folder_of;
use vecdb_storage::{Disk, Wal};

use super::Database;
use super::catalog::{CatalogEntry, collection_folder};
use super::registry::{Named, Registry, Slot};
use crate::archive::Change;
use crate::collection::{Inner, Shared};
use crate::error::{Error, ErrorKind, Result};

impl Database {
    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        &self.registry.shared.disk
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.registry.shared
    }

    pub(crate) fn log(&self) -> &Arc<Wal> {
        &self.registry.log
    }

    /// All collections, whether they can be opened or not.
    pub(crate) fn names(&self) -> Vec<String> {
        self.registry.collections.read().keys().cloned().collect()
    }

    /// Makes collections of folders: all of them or none, also across a crash.
    pub(crate) fn adopt(&self, staged: &[(String, PathBuf)]) -> Result<()> {
        self.registry.adopt(staged)
    }
}

impl Registry {
    fn adopt(&self, staged: &[(String, PathBuf)]) -> Result<()> {
        let disk = self.shared.disk.as_ref();
        let mut catalog = self.catalog.lock();
        let mut next = catalog.clone();
        let before = next.collections.len();
        for (name, _) in staged {
            if self.collections.read().contains_key(name) {
                return Err(Error::new(
                    ErrorKind::AlreadyExists,
                    format!("a collection named {name:?} was created meanwhile"),
                ));
            }
            next.collections.push(CatalogEntry {
                name: name.clone(),
                id: next.next_id,
            });
            next.next_id += 1;
        }
        let added: Vec<_> = next.collections.iter().skip(before).cloned().collect();
        // Folders that no catalog names yet: what a crash leaves of them is removed at the next open.
        let opened = self.move_in(&added, staged).inspect_err(|_| {
            for entry in &added {
                let _ = disk.remove_dir_all(&collection_folder(&self.root, entry.id));
            }
        })?;
        for CatalogEntry { name, id } in &added {
            let name = name.clone();
            self.note_event(&mut next, *id, Change::Restored { name })?;
        }
        self.write_catalog(&next)?;
        *catalog = next;
        let mut collections = self.collections.write();
        for (CatalogEntry { name, id }, inner) in added.into_iter().zip(opened) {
            collections.insert(name, Named::new(id, Some(Slot::Open(inner))));
        }
        drop(collections);
        self.shared.signals.merge_wanted();
        Ok(())
    }

    fn move_in(
        &self,
        added: &[CatalogEntry],
        staged: &[(String, PathBuf)],
    ) -> Result<Vec<Arc<Inner>>> {
        let disk = self.shared.disk.as_ref();
        let parent = self.root.join("collections");
        disk.create_dir(&parent)
            .map_err(|e| Error::io("create folder", &parent, e))?;
        for (entry, (_, from)) in added.iter().zip(staged) {
            let folder = collection_folder(&self.root, entry.id);
            // A rest of a failed attempt is replaced.
            if disk
                .exists(&folder)
                .map_err(|e| Error::io("look for", &folder, e))?
            {
                disk.remove_dir_all(&folder)
                    .map_err(|e| Error::io("remove folder", &folder, e))?;
            }
            disk.rename(from, &folder)
                .map_err(|e| Error::io("rename to", &folder, e))?;
        }
        // The old names too: what is removed from there at the next open must not be what the catalog names.
        let old = staged.iter().map(|(_, from)| folder_of(from));
        for folder in old
            .collect::<BTreeSet<_>>()
            .into_iter()
            .chain([parent.as_path()])
        {
            disk.sync_dir(folder)
                .map_err(|e| Error::io("sync folder", folder, e))?;
        }
        let open = |entry: &CatalogEntry| {
            let folder = collection_folder(&self.root, entry.id);
            let inner = Inner::open(self.shared.clone(), &entry.name, entry.id, &folder)?;
            inner.attach(self.log.clone());
            Ok(Arc::new(inner))
        };
        added.iter().map(open).collect()
    }
}
