//! Flags of the commands that find points: `search`, `recommend`, `facets`.

use clap::Args;

use super::points::{CollectionName, KnobArgs};

/// Which hits there are to be and how they are shown.
#[derive(Debug, Args)]
pub(crate) struct HitArgs {
    /// Hits at most.
    #[arg(
        long,
        short = 'k',
        visible_alias = "k",
        value_name = "K",
        default_value_t = 10
    )]
    pub(crate) limit: usize,
    /// Pass over that many of the nearest hits.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) offset: usize,
    /// Give groups of hits that have the same value of this field; --limit and --offset then count groups.
    #[arg(long, value_name = "FIELD")]
    pub(crate) group_by: Option<String>,
    /// Hits of a group at most.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "group_by")]
    pub(crate) group_size: usize,
    /// Only points that match, such as {"section": "games", "installed_size_kb": {"$lt": 20000}}.
    #[arg(long, value_name = "JSON")]
    pub(crate) filter: Option<String>,
    #[command(flatten)]
    pub(crate) knobs: KnobArgs,
    /// Only hits at most this far.
    #[arg(long, value_name = "D", allow_hyphen_values = true)]
    pub(crate) max_distance: Option<f32>,
    /// Only hits of at least this score.
    #[arg(long, value_name = "S", allow_hyphen_values = true)]
    pub(crate) min_score: Option<f32>,
    /// Say how the search was answered: the plan of each part, what each condition matched, times.
    #[arg(long)]
    pub(crate) explain: bool,
    /// Say how the search would be answered, from estimates, and do not run it.
    #[arg(long, conflicts_with = "explain")]
    pub(crate) explain_only: bool,
    /// Keep the answer, and give one that was kept to the same search if nothing was written since. Of use with --url: a
    /// folder is closed when the command ends.
    #[arg(long)]
    pub(crate) cache: bool,
    /// Stop after this time with the best hits found until then.
    #[arg(long, value_name = "MS")]
    pub(crate) timeout_ms: Option<u64>,
    /// Give the stored vectors back.
    #[arg(long)]
    pub(crate) with_vector: bool,
    /// Metadata fields to show as columns. Default: the first five.
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    pub(crate) columns: Option<Vec<String>>,
}

#[derive(Debug, Args)]
pub(crate) struct RecommendArgs {
    #[command(flatten)]
    pub(crate) name: CollectionName,
    /// What hits are to be near to: ids, or vectors as JSON arrays.
    #[arg(long, short, required = true, num_args = 1.., value_name = "ID|VECTOR")]
    pub(crate) positive: Vec<String>,
    /// What hits are to be far from: ids, or vectors as JSON arrays.
    #[arg(long, short, num_args = 1.., value_name = "ID|VECTOR")]
    pub(crate) negative: Vec<String>,
    /// average_vector: one search for the mean of the positive ones, moved away from that of the negative ones.
    /// best_score: every candidate is compared with every example.
    #[arg(long, value_name = "NAME", default_value = "average_vector")]
    pub(crate) strategy: String,
    #[command(flatten)]
    pub(crate) hits: HitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct FacetsArgs {
    /// The field whose values are counted.
    #[arg(value_name = "FIELD")]
    pub(crate) field: String,
    #[command(flatten)]
    pub(crate) name: CollectionName,
    /// Values at most, the most frequent ones.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) limit: usize,
    /// Only points that match.
    #[arg(long, value_name = "JSON")]
    pub(crate) filter: Option<String>,
}
