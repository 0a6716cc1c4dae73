//! Graphs of what filters that return match: which of them searches want is counted beside their masks (`search/masks`); here
//! they are built, in the background, one at a time.

use std::time::Duration;

use vecdb_index::{AnnIndex, BuildOptions, IndexError, Silent, SubsetNeeds};
use vecdb_vector::{RowMask, VectorRows};

use super::Inner;
use super::maintenance::Held;
use super::merge::lock_until;
use super::search::{Built, HeldSubset, WantedSubset};
use crate::error::{ErrorKind, Result};
use crate::part::{Part, View};
use crate::segment::{Segment, SegmentId};
use crate::stop::StopSignal;

/// A build may hold so many times the memory that graphs may: it copies vectors.
const BUILD_BYTES_FACTOR: u64 = 8;
/// How often a build that has made way looks whether it may go on.
const LOOK: Duration = Duration::from_millis(20);

impl Inner {
    /// What a graph of so many rows takes, if there may be one.
    pub(super) fn affordable_subset(
        &self,
        index: &dyn AnnIndex,
        rows: &VectorRows<'_>,
        count: u32,
    ) -> Option<SubsetNeeds> {
        let most = self.shared.options.subset_graph_bytes_max;
        let needs = index.subset_needs(rows, count)?;
        let affordable =
            needs.bytes <= most && needs.build_bytes <= most.saturating_mul(BUILD_BYTES_FACTOR);
        affordable.then_some(needs)
    }

    /// Builds the graphs that searches want, unless merges are to come first: they take segments away, and the graphs with them.
    pub(crate) fn build_subsets_in_background(&self) -> Result<()> {
        if !self.masks.wants_subset() || self.next_merge(self.is_quiet()).is_some() {
            return Ok(());
        }
        self.build_subsets(&StopSignal::default(), true)
    }

    /// Builds the graphs that searches want.
    pub(super) fn build_wanted_subsets(&self, stop: &StopSignal) -> Result<()> {
        self.build_subsets(stop, false)
    }

    fn build_subsets(&self, stop: &StopSignal, makes_way: bool) -> Result<()> {
        let _one = lock_until(&self.subsetting, stop)?;
        while let Some(wanted) = self.masks.next_wanted() {
            let built = self.build_subset(&wanted, stop, makes_way);
            let (built, outcome) = match built {
                Ok(Some(subset)) => (Built::Subset(subset), Ok(())),
                Ok(None) => (Built::Refused, Ok(())),
                Err(error) if is_interruption(error.kind()) => (Built::Interrupted, Err(error)),
                Err(error) => (Built::Refused, Err(error)),
            };
            let most = self.shared.options.subset_graph_bytes_max;
            self.masks.note_built(wanted, built, most);
            self.sweep();
            outcome?;
        }
        Ok(())
    }

    /// The graph of what matches and is alive now. None where there cannot be one.
    fn build_subset(
        &self,
        wanted: &WantedSubset,
        stop: &StopSignal,
        makes_way: bool,
    ) -> Result<Option<HeldSubset>> {
        let Some(view) = self.segment_view(wanted.segment()) else {
            return Ok(None);
        };
        let Some(index) = view.part.index() else {
            return Ok(None);
        };
        let rows = view.part.vectors()?;
        view.part.check_searched_bytes(stop)?;
        let live = view.live_and(Some(wanted.mask.clone()));
        let mask = live.unwrap_or_else(|| RowMask::all(view.part.rows()));
        let Some(needs) = self.affordable_subset(index, &rows, mask.count()) else {
            return Ok(None);
        };
        let _held = Held::new(self, needs.build_bytes);
        let going_on = || stop.check().and_then(|()| self.check_open());
        let cancelled = || {
            while makes_way && self.is_merging() && going_on().is_ok() {
                std::thread::sleep(LOOK);
            }
            going_on().is_err() || self.segment_view(wanted.segment()).is_none()
        };
        let options = BuildOptions {
            // One thread: the others are for merges and searches, and the graph is the same every time.
            threads: 1,
            pool: None,
            progress: &Silent,
            cancelled: Some(&cancelled),
            kernels: self.shared.kernels,
        };
        let graph = match index.build_subset(rows, &mask, &options) {
            Err(IndexError::Cancelled) => {
                going_on()?;
                // Its segment was merged away: nobody asks for it any more.
                None
            }
            built => built?,
        };
        Ok(graph.map(|graph| HeldSubset {
            graph: graph.into(),
            live_rows: view.live_rows(),
        }))
    }

    fn segment_view(&self, id: SegmentId) -> Option<View<Segment>> {
        let state = self.snapshot();
        let mut segments = state.segments.iter();
        segments.find(|view| view.part.id() == id).cloned()
    }

    /// A merge is under way that does not stand still.
    fn is_merging(&self) -> bool {
        let paused = self.shared.pace.is_paused();
        !paused && self.merge_gate.progress(paused).is_some()
    }
}

/// What says nothing of the graph.
fn is_interruption(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Cancelled | ErrorKind::DeadlineExceeded | ErrorKind::Unavailable
    )
}
