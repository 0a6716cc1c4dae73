//! Recall against queries per second as an SVG file.

use std::path::Path;

use plotters::prelude::*;

use crate::failure::{Failure, Outcome};

/// One measured setting.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) label: String,
    pub(crate) recall: f64,
    pub(crate) queries_per_second: f64,
}

/// Writes the curve. Up and to the right is better.
pub(crate) fn recall_against_speed(
    path: &Path,
    title: &str,
    recall_name: &str,
    points: &[Point],
) -> Outcome {
    let mut svg = String::new();
    draw(&mut svg, title, recall_name, points)
        .map_err(|error| Failure::usage(format!("the plot cannot be drawn: {error}")))?;
    std::fs::write(path, svg).map_err(|error| Failure::file(path, &error))
}

fn draw(
    svg: &mut String,
    title: &str,
    recall_name: &str,
    points: &[Point],
) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, (860, 560)).into_drawing_area();
    root.fill(&WHITE)?;
    let lowest = points.iter().map(|point| point.recall).fold(1.0, f64::min);
    let left = ((lowest - 0.02) * 20.0).floor().max(0.0) / 20.0;
    let right = 1.0 + (1.0 - left) * 0.04;
    let speeds = points
        .iter()
        .map(|point| point.queries_per_second.max(1e-3));
    let bottom = speeds.clone().fold(f64::INFINITY, f64::min) / 1.6;
    let top = speeds.fold(0.0, f64::max) * 1.6;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 20))
        .margin(18)
        .x_label_area_size(44)
        .y_label_area_size(84)
        .build_cartesian_2d(left..right, (bottom..top).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(228, 228, 228))
        .x_labels(8)
        .x_desc(recall_name)
        .y_desc("queries per second (log scale)")
        .x_label_formatter(&|recall| format!("{recall:.3}"))
        .y_label_formatter(&|speed| super::decimal(*speed))
        .label_style(("sans-serif", 14))
        .axis_desc_style(("sans-serif", 15))
        .draw()?;
    let blue = RGBColor(31, 105, 179);
    let at = |point: &Point| (point.recall, point.queries_per_second.max(1e-3));
    chart.draw_series(LineSeries::new(points.iter().map(at), blue.stroke_width(2)))?;
    chart.draw_series(points.iter().map(|point| {
        EmptyElement::at(at(point))
            + Circle::new((0, 0), 4, blue.filled())
            + Text::new(point.label.clone(), (7, -16), ("sans-serif", 13))
    }))?;
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_svg_with_every_label() {
        let mut svg = String::new();
        let point = |ef: u32, recall: f64, speed: f64| Point {
            label: format!("ef {ef}"),
            recall,
            queries_per_second: speed,
        };
        let points = [
            point(10, 0.71, 41_000.0),
            point(50, 0.98, 12_000.0),
            point(200, 0.999, 4_000.0),
        ];
        draw(&mut svg, "sift", "recall@10", &points).unwrap();
        assert!(svg.starts_with("<svg"), "{}", &svg[..40]);
        for label in ["ef 10", "ef 50", "ef 200", "recall@10"] {
            assert!(svg.contains(label), "{label} is missing");
        }
    }

    #[test]
    fn a_single_perfect_point_has_room_to_be_drawn() {
        let mut svg = String::new();
        let only = Point {
            label: "ef 10".into(),
            recall: 1.0,
            queries_per_second: 0.0,
        };
        draw(&mut svg, "one", "recall@1", &[only]).unwrap();
        assert!(svg.contains("<circle"));
    }
}
