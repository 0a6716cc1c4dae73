//! What was measured, by bands of shares of matching points.

use serde::Serialize;
use vecdb_engine::{CollectionInfo, Plan};

use super::Wanted;
use super::filters::{BANDS, band_of};
use super::measure::{FilterReport, Measured, RECALL_MIN};
use crate::failure::Outcome;
use crate::output::{Align, Console, Grid, count, decimal, percent, plural, shorten};

/// A choice within this of the best plan is as good.
const GOOD_RATIO: f64 = 1.25;

#[derive(Serialize)]
pub(super) struct Report {
    collection: String,
    points: u64,
    index: String,
    limit: usize,
    /// The limit counts groups of so many hits; none where it counts hits.
    #[serde(skip_serializing_if = "Option::is_none")]
    group_size: Option<usize>,
    queries: usize,
    recall_min: f64,
    bands: Vec<Band>,
    /// The share of the filters under which the choice costs at most 1.25 times as much as the best plan.
    good_choices: f64,
    worst_cost_ratio: f64,
    filters: Vec<FilterReport>,
}

/// The filters that match such a share of the points.
#[derive(Serialize)]
struct Band {
    selectivity: &'static str,
    filters: usize,
    /// The best plan of most of them.
    best: Plan,
    /// Means over the filters: of that plan, and of what a search chooses by itself.
    best_time_us: f64,
    best_work: f64,
    chosen_time_us: f64,
    chosen_work: f64,
    chosen_recall: f64,
}

impl Report {
    pub(super) fn new(
        collection: &str,
        info: &CollectionInfo,
        wanted: &Wanted,
        queries: usize,
        filters: Vec<FilterReport>,
    ) -> Self {
        let bands = (0..BANDS.len()).filter_map(|at| {
            let in_band = |filter: &&FilterReport| band_of(filter.selectivity) == at;
            let filters: Vec<_> = filters.iter().filter(in_band).collect();
            Band::of(BANDS[at].1, &filters)
        });
        let bands = bands.collect();
        let good = filters.iter().filter(|f| f.cost_ratio <= GOOD_RATIO);
        let good_choices = good.count() as f64 / filters.len().max(1) as f64;
        let worst = filters.iter().map(|filter| filter.cost_ratio);
        let index = info.config.vector().map(|field| field.index.to_string());
        Self {
            collection: collection.to_owned(),
            points: info.points,
            index: index.unwrap_or_default(),
            limit: wanted.limit,
            group_size: wanted.groups.as_ref().map(|groups| groups.group_size),
            queries,
            recall_min: RECALL_MIN,
            bands,
            good_choices,
            worst_cost_ratio: worst.fold(0.0, f64::max),
            filters,
        }
    }

    pub(super) fn print(&self, console: &Console) -> Outcome {
        console.line(format_args!(
            "{}: {} ({}), {} searches for {} under each of {}",
            self.collection,
            plural(self.points, "point"),
            self.index,
            self.queries,
            match self.group_size {
                Some(size) => format!(
                    "{} of {}",
                    plural(self.limit as u64, "group"),
                    plural(size as u64, "hit")
                ),
                None => plural(self.limit as u64, "hit"),
            },
            plural(self.filters.len() as u64, "filter"),
        ))?;
        if self.filters.is_empty() {
            return console.line(format_args!(
                "No field has values to filter by that some points have and others have not."
            ));
        }
        self.print_bands(console)?;
        self.print_filters(console)?;
        console.line(format_args!(
            "The choice costs at most 1.25 times as much as the best plan under {} of the filters, {} times at worst.",
            percent(self.good_choices),
            decimal(self.worst_cost_ratio)
        ))
    }

    fn print_bands(&self, console: &Console) -> Outcome {
        let mut grid = Grid::new([
            ("Matching", Align::Left),
            ("Filters", Align::Right),
            ("Best plan", Align::Left),
            ("Time us", Align::Right),
            ("Work", Align::Right),
            ("Chosen: time us", Align::Right),
            ("Work", Align::Right),
            ("Recall", Align::Right),
        ]);
        for band in &self.bands {
            grid.row([
                band.selectivity.to_owned(),
                count(band.filters as u64),
                band.best.to_string(),
                decimal(band.best_time_us),
                decimal(band.best_work),
                decimal(band.chosen_time_us),
                decimal(band.chosen_work),
                format!("{:.3}", band.chosen_recall),
            ]);
        }
        console.grid(&grid)
    }

    fn print_filters(&self, console: &Console) -> Outcome {
        let mut grid = Grid::new([
            ("Filter", Align::Left),
            ("Matching", Align::Right),
            ("Chosen", Align::Left),
            ("Best", Align::Left),
            ("Cost of choice / best", Align::Right),
            ("scan us", Align::Right),
            ("walk us", Align::Right),
            ("hop us", Align::Right),
            ("subset us", Align::Right),
            ("chosen us", Align::Right),
        ]);
        for filter in &self.filters {
            let chosen = filter.chosen.plans.keys().cloned().collect::<Vec<_>>();
            let of_plan = |plan| filter.plan(plan).map_or_else(String::new, time);
            grid.row([
                shorten(&filter.filter.to_string(), 48),
                percent(filter.selectivity),
                chosen.join(", "),
                filter.best.to_string(),
                format!("{:.2}", filter.cost_ratio),
                of_plan(Plan::Scan),
                of_plan(Plan::Walk),
                of_plan(Plan::Hop),
                of_plan(Plan::Subset),
                time(&filter.chosen.measured),
            ]);
        }
        console.grid(&grid)
    }
}

/// With the recall where that is too low.
fn time(measured: &Measured) -> String {
    match measured.recall < RECALL_MIN {
        true => format!(
            "{} (recall {:.2})",
            decimal(measured.time_us),
            measured.recall
        ),
        false => decimal(measured.time_us),
    }
}

impl Band {
    /// `None` without filters.
    fn of(selectivity: &'static str, filters: &[&FilterReport]) -> Option<Self> {
        let wins = |plan: Plan| filters.iter().filter(|filter| filter.best == plan).count();
        let best = Plan::MASKED.into_iter().max_by_key(|plan| wins(*plan))?;
        let mean = |of: &dyn Fn(&FilterReport) -> Option<f64>| {
            let values: Vec<f64> = filters.iter().filter_map(|filter| of(filter)).collect();
            values.iter().sum::<f64>() / values.len().max(1) as f64
        };
        (!filters.is_empty()).then(|| Self {
            selectivity,
            filters: filters.len(),
            best,
            best_time_us: mean(&|filter| filter.plan(best).map(|plan| plan.time_us)),
            best_work: mean(&|filter| filter.plan(best).map(|plan| plan.work)),
            chosen_time_us: mean(&|filter| Some(filter.chosen.measured.time_us)),
            chosen_work: mean(&|filter| Some(filter.chosen.measured.work)),
            chosen_recall: mean(&|filter| Some(filter.chosen.measured.recall)),
        })
    }
}
