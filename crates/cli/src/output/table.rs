//! Tables with box drawing.

use std::fmt;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

/// How a column stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A table with a header. Cells are never wrapped: callers shorten what may be long.
pub(crate) struct Grid {
    table: Table,
    columns: Vec<Align>,
}

impl Grid {
    /// A table of these columns: title and alignment.
    pub(crate) fn new<T: Into<String>>(columns: impl IntoIterator<Item = (T, Align)>) -> Self {
        let (titles, columns): (Vec<String>, Vec<Align>) = columns
            .into_iter()
            .map(|(title, align)| (title.into(), align))
            .unzip();
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(titles);
        for (at, align) in columns.iter().enumerate() {
            if let (Align::Right, Some(column)) = (align, table.column_mut(at)) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Self { table, columns }
    }

    /// A table of a name and a value per line, for reports.
    pub(crate) fn facts(rows: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let mut grid = Self::new([("", Align::Left), ("", Align::Left)]);
        grid.table = Table::new();
        grid.table.load_style(UTF8_FULL_CONDENSED);
        for (name, value) in rows {
            grid.row([name.to_owned(), value]);
        }
        grid
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut cells: Vec<String> = cells.into_iter().collect();
        cells.resize(self.columns.len(), String::new());
        self.table.add_row(cells);
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, line) in self.table.lines().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            f.write_str(line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_boxes_and_aligns() {
        let mut grid = Grid::new([("Rank", Align::Right), ("Id", Align::Left)]);
        grid.row(["1".into(), "chess".into()]);
        grid.row(["10".into(), "x".into()]);
        let text = grid.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert!(
            lines[0].starts_with('┌') && lines[0].ends_with('┐'),
            "{text}"
        );
        assert!(lines[3].contains("    1 ┆ chess"), "{text}");
        assert_eq!(lines.len(), 6, "{text}");
        let widths: Vec<_> = lines.iter().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{text}");
    }
}
