//! Pictures as JSON, for a page that draws them itself.

use plotters::style::RGBColor;
use serde_json::{Value, json};

use super::cell::Ground;
use super::theme::{Looks, Marker};
use super::{Axis, Lines, Maps, Mark, Panels, Scale, Series, Stroke};

/// The most points of a line: more cannot be told apart on a screen.
const POINTS: usize = 400;

impl Panels {
    /// What is drawn: titles, axes, and lines with their looks.
    #[must_use]
    pub fn describe(&self) -> Value {
        let all = self.panels.iter().flat_map(|panel| &panel.series);
        let looks = Looks::new(all.map(Series::key));
        let panel = |lines: &Lines| {
            // A chart with a legend of its own has looks of its own.
            let own = Looks::new(lines.series.iter().map(Series::key));
            let looks = if self.shared_legend { &looks } else { &own };
            json!({
                "title": lines.title,
                "x": axis(&lines.x),
                "y": axis(&lines.y),
                "series": lines.series.iter().map(|one| series(one, looks)).collect::<Vec<_>>(),
                "references": (lines.references.iter())
                    .map(|reference| json!({"value": reference.value, "label": reference.label}))
                    .collect::<Vec<_>>(),
            })
        };
        json!({
            "kind": "panels",
            "title": self.title,
            "subtitle": self.subtitle,
            "notes": self.notes,
            "panels": self.panels.iter().map(panel).collect::<Vec<_>>(),
        })
    }
}

impl Maps {
    /// What is drawn: titles, and tables of values and outcomes.
    #[must_use]
    pub fn describe(&self) -> Value {
        let maps = self.maps.iter().map(|map| {
            let cells = map.cells.iter().map(|cell| {
                let ground = match cell.on() {
                    Ground::Coloured => "coloured",
                    Ground::Pale => "pale",
                    Ground::Hatched => "hatched",
                };
                json!({
                    "row": cell.row,
                    "column": cell.column,
                    "value": cell.value.map(short),
                    "mark": cell.mark.map(mark),
                    "ground": ground,
                    "count": cell.count,
                })
            });
            json!({
                "title": map.title,
                "row_label": map.row_label,
                "column_label": map.column_label,
                "rows": map.rows,
                "columns": map.columns,
                "cells": cells.collect::<Vec<_>>(),
            })
        });
        json!({
            "kind": "maps",
            "title": self.title,
            "subtitle": self.subtitle,
            "notes": self.notes,
            "value": axis(&self.value),
            "hatched": self.hatched,
            "maps": maps.collect::<Vec<_>>(),
        })
    }
}

/// Points as a page has them: those of a screen's width, numbers of five digits.
#[must_use]
pub fn thinned(points: &[(f64, f64)]) -> Vec<[Value; 2]> {
    let shown = |&(x, y): &(f64, f64)| [short(x), short(y)];
    if points.len() <= POINTS {
        return points.iter().map(shown).collect();
    }
    // Of every bucket the lowest and the highest, in their order: no peak is lost.
    let bucket = points.len().div_ceil(POINTS / 2);
    let ends = points.chunks(bucket).flat_map(|chunk| {
        let by = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let low = chunk.iter().min_by(by).copied();
        let high = chunk.iter().max_by(by).copied();
        let mut ends: Vec<(f64, f64)> = low.into_iter().chain(high).collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        ends.dedup();
        ends
    });
    ends.map(|point| shown(&point)).collect()
}

/// Five digits; what is no number is null.
fn short(x: f64) -> Value {
    let text = format!("{x:.4e}");
    text.parse::<f64>().map_or(Value::Null, |x| json!(x))
}

fn axis(axis: &Axis) -> Value {
    let scale = match axis.scale {
        Scale::Linear => "linear",
        Scale::Log10 => "log10",
        Scale::Log2 => "log2",
    };
    json!({"label": axis.label, "scale": scale, "range": axis.range})
}

fn series(series: &Series, looks: &Looks) -> Value {
    let style = looks.get(series.key());
    let stroke = match series.stroke {
        Stroke::Styled => "styled",
        Stroke::Dashed => "dashed",
        Stroke::None => "none",
    };
    let every = series.band.len().div_ceil(POINTS).max(1);
    let band = series.band.iter().step_by(every);
    json!({
        "label": series.label,
        "colour": colour(style.colour),
        "dash": if series.stroke == Stroke::Dashed { &[10.0, 8.0] } else { style.dash },
        "marker": marker(style.marker),
        "stroke": stroke,
        "markers": series.markers,
        "points": thinned(&series.points),
        "band": band.map(|&(x, low, high)| [short(x), short(low), short(high)]).collect::<Vec<_>>(),
        "end": series.end.map(mark),
    })
}

fn colour(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn marker(marker: Marker) -> &'static str {
    match marker {
        Marker::Circle => "circle",
        Marker::Square => "square",
        Marker::Diamond => "diamond",
        Marker::Up => "up",
        Marker::Pentagon => "pentagon",
        Marker::Star => "star",
        Marker::Plus => "plus",
        Marker::Left => "left",
        Marker::Bar => "bar",
        Marker::Bow => "bow",
    }
}

fn mark(mark: Mark) -> &'static str {
    match mark {
        Mark::Ok => "ok",
        Mark::Spike => "spike",
        Mark::Unfinished => "unfinished",
        Mark::Stuck => "stuck",
        Mark::Collapsed => "collapsed",
        Mark::Diverged => "diverged",
        Mark::NonFinite => "non_finite",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_ends_and_peaks() {
        let mut points: Vec<(f64, f64)> = (0..10_000).map(|i| (f64::from(i), 1.0)).collect();
        points[5003].1 = 9.0;
        points[7001].1 = -9.0;
        let thin = thinned(&points);
        assert!(thin.len() <= POINTS + 2, "{}", thin.len());
        assert_eq!(thin[0][0], json!(0.0));
        for peak in [[json!(5003.0), json!(9.0)], [json!(7001.0), json!(-9.0)]] {
            assert!(thin.contains(&peak), "{peak:?}");
        }
        let few = [(1.0, f64::NAN), (2.0, 0.123_456_789)];
        assert_eq!(thinned(&few), [[json!(1.0), Value::Null], [json!(2.0), json!(0.12346)]]);
    }
}
