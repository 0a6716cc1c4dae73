//! Everything a person or a program sees: tables, JSON, progress, plots.

pub(crate) mod explanation;
mod format;
mod json;
pub(crate) mod plot;
mod point;
mod progress;
mod result;
mod table;

pub(crate) use format::{
    bytes, count, date_time, decimal, duration, float, metadata_cell, numbers, percent, plural,
    rate, seconds, shell_word, shorten,
};
pub(crate) use json::Console;
pub(crate) use point::{HitJson, PointJson};
pub(crate) use progress::Bar;
pub(crate) use result::Table;
pub(crate) use table::{Align, Grid};
