//! A database for the length of one command: a folder, or a server with `--url`.

use std::sync::Arc;
use std::time::Duration;

use vecdb_backend::{Backend, Local, Remote, RemoteOptions, Selection};
use vecdb_engine::{
    Archive, CollectionInfo, Database, Error, ErrorKind, FacetRequest, Facets, Filter,
    MetadataUpdate, OnCorruption, Options, Point, PointId, Progress, RecommendRequest, Record,
    ScrollPage, ScrollRequest, SearchRequest, SearchResponse, Silent, StopSignal, WriteResult,
};
use vecdb_remote::SnapshotStore;

use crate::args::Globals;
use crate::failure::{Failure, Outcome};
use crate::output::Console;

/// What a command is going to do with the database.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Intent {
    /// Read: no background work is begun.
    Read,
    /// Write into what is there.
    Write,
    /// Write, and make the database where there is none.
    Create,
}

/// An open database, here or behind an address.
pub(crate) struct Session {
    opened: Opened,
    place: String,
}

enum Opened {
    Folder(Local),
    Server(Remote),
}

impl Session {
    /// Opens the folder, or speaks to the server.
    pub(crate) fn open(console: &Console, globals: &Globals, intent: Intent) -> Outcome<Self> {
        Self::begin(console, globals, intent, None)
    }

    /// [`Self::open`] with a store for snapshots; a server has its own.
    pub(crate) fn with_store(
        console: &Console,
        globals: &Globals,
        intent: Intent,
        location: Option<&str>,
    ) -> Outcome<Self> {
        let default = globals.path.join("snapshots");
        let location = location.map_or_else(|| default.display().to_string(), str::to_owned);
        Self::begin(console, globals, intent, Some(&location))
    }

    /// Opens the folder after a crash; `progress` hears how many bytes of the log have been read.
    pub(crate) fn recover(
        globals: &Globals,
        on_corruption: OnCorruption,
        progress: &dyn Progress,
    ) -> Outcome<Self> {
        let options = Options {
            on_corruption,
            ..options(globals, Intent::Read)
        };
        let database = open_observed(globals, options, progress)?;
        Ok(Self {
            opened: Opened::Folder(Local::new(Arc::new(database), None)),
            place: globals.path.display().to_string(),
        })
    }

    /// Opens the folder with this archive of its log, or speaks to the server, which has its own.
    pub(crate) fn archiving(
        console: &Console,
        globals: &Globals,
        archive: Archive,
    ) -> Outcome<Self> {
        if globals.server.url.is_some() {
            if archive != Archive::Unchanged {
                let what = "the archive of a server is its setting `storage.archive`";
                return Err(Error::new(ErrorKind::InvalidArgument, what).into());
            }
            return Self::open(console, globals, Intent::Read);
        }
        let options = Options {
            archive,
            ..options(globals, Intent::Read)
        };
        let database = open_observed(globals, options, &Silent)?;
        Ok(Self {
            opened: Opened::Folder(Local::new(Arc::new(database), None)),
            place: globals.path.display().to_string(),
        })
    }

    /// Archives what was written so far, in a folder; a server does so by itself.
    pub(crate) fn archive_log(&self) -> vecdb_engine::Result<()> {
        match &self.opened {
            Opened::Folder(local) => local.database().archive_log(),
            Opened::Server(_) => Ok(()),
        }
    }

    fn begin(
        console: &Console,
        globals: &Globals,
        intent: Intent,
        store: Option<&str>,
    ) -> Outcome<Self> {
        if let Some(url) = &globals.server.url {
            return Ok(Self {
                opened: Opened::Server(connect(globals, url)?),
                place: url.clone(),
            });
        }
        let store = store.map(SnapshotStore::open).transpose()?;
        let database = Arc::new(open_folder(console, globals, intent)?);
        Ok(Self {
            opened: Opened::Folder(Local::new(database, store)),
            place: globals.path.display().to_string(),
        })
    }

    /// Every operation there is.
    pub(crate) fn backend(&self) -> &dyn Backend {
        match &self.opened {
            Opened::Folder(local) => local,
            Opened::Server(remote) => remote,
        }
    }

    /// The folder or the address.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// One of its collections, which may not exist.
    pub(crate) fn collection<'a>(&'a self, name: &'a str) -> Collection<'a> {
        Collection {
            session: self,
            name,
        }
    }

    /// Does `work` and closes the database. An error of the work comes before one of closing.
    pub(crate) fn run<T>(self, work: impl FnOnce(&Self) -> Outcome<T>) -> Outcome<T> {
        let outcome = work(&self);
        let closed = match self.opened {
            Opened::Folder(local) => {
                let database = local.database().clone();
                drop(local);
                Arc::into_inner(database).map_or(Ok(()), Database::close)
            }
            Opened::Server(_) => Ok(()),
        };
        let value = outcome?;
        closed?;
        Ok(value)
    }
}

/// A collection of a session.
#[derive(Clone, Copy)]
pub(crate) struct Collection<'a> {
    session: &'a Session,
    name: &'a str,
}

impl<'a> Collection<'a> {
    pub(crate) fn name(&self) -> &'a str {
        self.name
    }

    fn backend(&self) -> &'a dyn Backend {
        self.session.backend()
    }

    /// How often it is worth asking how far a long call is.
    pub(crate) fn poll_interval(&self) -> Duration {
        Duration::from_millis(match self.session.opened {
            Opened::Folder(_) => 20,
            Opened::Server(_) => 250,
        })
    }

    pub(crate) fn info(&self) -> Outcome<CollectionInfo> {
        Ok(self.backend().collection(self.name)?)
    }

    pub(crate) fn upsert(&self, points: Vec<Point>) -> Outcome<WriteResult> {
        let stop = StopSignal::default();
        Ok(self.backend().upsert(self.name, points, None, &stop)?)
    }

    /// Upserts batch after batch in their order and gives `progress` the answer to each. A server gets several at a
    /// time: it is not idle while the next batch is read.
    pub(crate) fn upsert_all(
        &self,
        batches: impl IntoIterator<Item = Vec<Point>>,
        progress: &mut dyn FnMut(WriteResult),
    ) -> Outcome {
        match &self.session.opened {
            Opened::Server(remote) => {
                let never = StopSignal::default();
                remote.upsert_stream(self.name, batches, None, &never, progress)?;
            }
            Opened::Folder(_) => {
                for batch in batches {
                    progress(self.upsert(batch)?);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn update_metadata(
        &self,
        ids: &[PointId],
        update: &MetadataUpdate,
    ) -> Outcome<WriteResult> {
        let stop = StopSignal::default();
        Ok(self
            .backend()
            .update_metadata(self.name, ids, update, &stop)?)
    }

    pub(crate) fn delete(&self, selection: &Selection) -> Outcome<WriteResult> {
        let stop = StopSignal::default();
        Ok(self.backend().delete(self.name, selection, &stop)?)
    }

    pub(crate) fn get(&self, ids: &[PointId], with_vector: bool) -> Outcome<Vec<Option<Record>>> {
        let stop = StopSignal::default();
        Ok(self
            .backend()
            .get(self.name, ids, with_vector, true, &stop)?)
    }

    pub(crate) fn scroll(&self, request: &ScrollRequest) -> Outcome<ScrollPage> {
        let stop = StopSignal::default();
        Ok(self.backend().scroll(self.name, request, &stop)?)
    }

    pub(crate) fn count(&self, filter: Option<&Filter>) -> Outcome<u64> {
        let stop = StopSignal::default();
        Ok(self.backend().count(self.name, filter, &stop)?)
    }

    pub(crate) fn search(&self, request: &SearchRequest) -> Outcome<SearchResponse> {
        let stop = StopSignal::default();
        Ok(self.backend().search(self.name, request, &stop)?)
    }

    pub(crate) fn recommend(&self, request: &RecommendRequest) -> Outcome<SearchResponse> {
        let stop = StopSignal::default();
        Ok(self.backend().recommend(self.name, request, &stop)?)
    }

    pub(crate) fn facets(&self, request: &FacetRequest) -> Outcome<Facets> {
        let stop = StopSignal::default();
        Ok(self.backend().facets(self.name, request, &stop)?)
    }

    /// Creates or drops the index of a metadata field; whether it was otherwise.
    pub(crate) fn set_field_index(&self, field: &str, indexed: bool) -> vecdb_engine::Result<bool> {
        match indexed {
            true => self
                .backend()
                .create_field_index(self.name, field, &StopSignal::default()),
            false => self.backend().drop_field_index(self.name, field),
        }
    }

    pub(crate) fn compact(&self) -> vecdb_engine::Result<()> {
        self.backend().compact(self.name, &StopSignal::default())
    }

    pub(crate) fn wait_until_idle(&self) -> vecdb_engine::Result<()> {
        let stop = StopSignal::default();
        self.backend().wait_until_idle(self.name, &stop)
    }
}

fn connect(globals: &Globals, url: &str) -> Outcome<Remote> {
    let read = |path: &std::path::PathBuf| {
        std::fs::read(path).map_err(|error| Failure::file(path, &error))
    };
    let server = &globals.server;
    let mut options = RemoteOptions {
        api_key: server.api_key.clone(),
        ..RemoteOptions::default()
    };
    options.ca_certificate = server.ca_certificate.as_ref().map(read).transpose()?;
    options.client_certificate = server.client_certificate.as_ref().map(read).transpose()?;
    options.client_key = server.client_key.as_ref().map(read).transpose()?;
    Ok(Remote::connect(url, options)?)
}

/// Opens the database folder. What recovery did is told on stderr where it matters.
fn open_folder(console: &Console, globals: &Globals, intent: Intent) -> Outcome<Database> {
    let database = open_observed(globals, options(globals, intent), &Silent)?;
    let recovery = database.recovery();
    if recovery.torn_bytes_cut > 0 || recovery.skipped > 0 {
        console.note(format_args!(
            "recovered: {} log entries replayed, {} bytes of unfinished writes cut, {} damaged stretches left out",
            recovery.replayed, recovery.torn_bytes_cut, recovery.skipped
        ));
    }
    Ok(database)
}

fn options(globals: &Globals, intent: Intent) -> Options {
    Options {
        create_if_missing: intent == Intent::Create,
        background: intent != Intent::Read,
        threads: globals.threads_or_all(),
        ..Options::default()
    }
}

fn open_observed(
    globals: &Globals,
    options: Options,
    progress: &dyn Progress,
) -> Outcome<Database> {
    let opened = Database::open_observed(&vecdb_remote::env(), &globals.path, options, progress);
    opened.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::Error(error).hint("make one with `vecdb collection create`, `vecdb import --create` or `vecdb quickstart`, or name another folder with --path"),
        _ => error.into(),
    })
}

/// Opens the database, does `work` with one of its collections and closes the database.
pub(crate) fn with_collection<T>(
    console: &Console,
    globals: &Globals,
    intent: Intent,
    name: &str,
    work: impl FnOnce(Collection<'_>) -> Outcome<T>,
) -> Outcome<T> {
    Session::open(console, globals, intent)?.run(|session| work(session.collection(name)))
}
