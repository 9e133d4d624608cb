//! Pictures that suit any runs: one file a kind.

mod best;
mod cost;
mod heat;
mod layers;
mod loss;
mod outcomes;
mod tradeoff;

use super::arm::{Arm, arms, best as best_of, worst};
use super::figure::{Figure, Kind, chosen};
use super::run::Run;
use super::{Claim, Experiment, label};
use crate::config::RunConfig;
use crate::plot::{Image, Series};
use crate::setting::Setting;

/// The most lines that a chart can tell apart.
pub(super) const LINES: usize = 8;

/// A picture that was drawn.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// The name of its file.
    pub file: String,
    /// What it found.
    pub title: String,
    /// The picture.
    pub chart: Chart,
    /// What was asked for.
    pub figure: Figure,
}

/// Draws the pictures of an experiment; none where no run is finished.
pub(super) fn draw(experiment: &Experiment, runs: &[Run]) -> Vec<Drawn> {
    if runs.is_empty() {
        return Vec::new();
    }
    let configs: Vec<RunConfig> = runs.iter().map(|run| run.config.clone()).collect();
    let figures = match (experiment.figures.is_empty(), experiment.claims.is_empty()) {
        (true, true) => chosen(&configs),
        (true, false) => of_claims(&experiment.claims, &configs),
        _ => experiment.figures.clone(),
    };
    let scene = Scene::new(runs);
    let drawn = figures.iter().enumerate().filter_map(|(i, figure)| {
        let (name, picture) = match figure.kind {
            Kind::Loss => ("loss", loss::draw(&scene, figure)),
            Kind::Outcomes => ("outcomes", outcomes::draw(&scene, figure)),
            Kind::Best => ("best", best::draw(&scene, figure)),
            Kind::Layers => ("layers", layers::draw(&scene)),
            Kind::Heat => ("heat", heat::draw(&scene, figure)),
            Kind::Cost => ("cost", cost::draw(&scene, figure)),
            Kind::Tradeoff => ("tradeoff", tradeoff::draw(&scene, figure)),
        };
        let chart = picture?.titled(figure.title.as_deref());
        let title = chart.title().to_string();
        let file = format!("{}-{name}.png", i + 1);
        Some(Drawn { file, title, chart, figure: figure.clone() })
    });
    drawn.collect()
}

/// What claims rest on: each quantity over what it is over, losses by rate and by step.
fn of_claims(claims: &[Claim], configs: &[RunConfig]) -> Vec<Figure> {
    let mut figures = Vec::new();
    for claim in claims.iter().filter(|claim| claim.over.is_some()) {
        let figure = Figure {
            x: claim.over.clone(),
            quantity: claim.quantity.clone(),
            ..Figure::of(Kind::Best)
        };
        if !figures.contains(&figure) {
            figures.push(figure);
        }
    }
    if configs.iter().any(|config| config.steps > 0) {
        if label::varying(configs.iter()).contains(&"lr") {
            figures.push(Figure { x: Some("lr".to_string()), ..Figure::of(Kind::Best) });
        }
        figures.push(Figure::of(Kind::Loss));
    }
    if figures.is_empty() { chosen(configs) } else { figures }
}

/// What is drawn.
#[derive(Debug, Clone)]
pub enum Chart {
    /// Lines.
    Panels(crate::plot::Panels),
    /// Tables.
    Maps(crate::plot::Maps),
}

impl Chart {
    fn title(&self) -> &str {
        match self {
            Chart::Panels(panels) => &panels.title,
            Chart::Maps(maps) => &maps.title,
        }
    }

    /// The same under another title, where there is one.
    fn titled(mut self, other: Option<&str>) -> Chart {
        let title = match &mut self {
            Chart::Panels(panels) => &mut panels.title,
            Chart::Maps(maps) => &mut maps.title,
        };
        if let Some(other) = other {
            *title = other.to_string();
        }
        self
    }

    /// As an image.
    pub fn render(&self) -> Image {
        match self {
            Chart::Panels(panels) => panels.render(),
            Chart::Maps(maps) => maps.render(),
        }
    }

    /// As data, for a page that draws it.
    pub fn describe(&self) -> serde_json::Value {
        match self {
            Chart::Panels(panels) => panels.describe(),
            Chart::Maps(maps) => maps.describe(),
        }
    }
}

/// Runs as arms, and what those differ in.
pub(super) struct Scene<'a> {
    pub arms: Vec<Arm<'a>>,
    /// The fewest fields that tell the arms apart.
    pub telling: Vec<&'static str>,
}

impl<'a> Scene<'a> {
    pub fn new(runs: &'a [Run]) -> Self {
        let telling = label::telling(runs.iter().map(|run| &run.config));
        Scene { arms: arms(runs), telling }
    }

    /// Any of the configurations: what all share can be read there.
    pub fn config(&self) -> &RunConfig {
        self.arms[0].config()
    }

    /// The name of an arm.
    pub fn label(&self, arm: &Arm) -> String {
        label::of(arm.config(), &self.telling)
    }

    /// The name of an arm among those that share some fields.
    pub fn label_without(&self, arm: &Arm, shared: &[&str]) -> String {
        let rest: Vec<&str> =
            self.telling.iter().copied().filter(|field| !shared.contains(field)).collect();
        label::of(arm.config(), &rest)
    }

    /// The arms in groups that share everything but some fields, by name.
    pub fn groups(&self, apart: &[&str]) -> Vec<(String, Vec<&Arm<'a>>)> {
        let mut groups: Vec<(String, Vec<&Arm>)> = Vec::new();
        for arm in &self.arms {
            let name = self.label_without(arm, apart);
            match groups.iter_mut().find(|(known, _)| *known == name) {
                Some((_, group)) => group.push(arm),
                None => groups.push((name, vec![arm])),
            }
        }
        groups
    }

    /// A line; a wiring that stands for one line alone has the look that it has everywhere.
    pub fn series(&self, name: String, arm: &Arm) -> Series {
        let wiring = arm.config().wiring.id();
        let alone = self.telling == ["wiring"] || name == arm.config().wiring.show();
        let style_key = if alone { wiring.to_string() } else { name.clone() };
        Series { style_key, ..Series::new(name, Vec::new()) }
    }

    /// What all arms share, in a line.
    pub fn subtitle(&self) -> String {
        let c = self.config();
        let shared = |field: &str| {
            let value = label::value(c, field);
            self.arms.iter().all(|arm| label::value(arm.config(), field) == value).then_some(value)
        };
        let mut words = Vec::new();
        for (field, before, behind) in [
            ("wiring", "", ""),
            ("depth", "", " blocks"),
            ("width", "width ", ""),
            ("seq", "sequences of ", ""),
            ("batch", "batches of ", ""),
            ("optimizer", "", ""),
            ("lr", "lr ", ""),
            ("steps", "", " steps"),
        ] {
            words.extend(shared(field).map(|value| format!("{before}{value}{behind}")));
        }
        let seeds = self.arms.iter().map(|arm| arm.runs.len()).max().unwrap_or(0);
        words.push(if seeds == 1 { "1 seed".to_string() } else { format!("{seeds} seeds") });
        words.extend(shared("task").map(|task| data_name(c, task)));
        words.join(", ")
    }

    /// The best arm in words, and how many train.
    pub fn finding(&self) -> String {
        let all = self.arms.len();
        let trained = self.arms.iter().filter(|arm| trains(arm)).count();
        let Some(best) = best_of(&self.arms) else { return "No run is finished".to_string() };
        let loss = best.held_out();
        let ends = match loss.is_finite() {
            true if self.arms.iter().any(|arm| arm.held_out() < loss) => {
                format!("ends lowest of the arms that train, at a held-out loss of {loss:.3}")
            }
            true => format!("ends lowest, at a held-out loss of {loss:.3}"),
            false => "has no finite held-out loss, and no arm has one".to_string(),
        };
        if all == 1 {
            let ended = match best.runs.as_slice() {
                [run] => run.summary.outcome.to_string(),
                _ => best.tally().words(),
            };
            let loss = match loss.is_finite() {
                true => format!(", held-out loss {loss:.3}"),
                false => String::new(),
            };
            return format!("{}: {ended}{loss}", self.label(best));
        }
        let several = self.arms.iter().any(|arm| arm.runs.len() > 1);
        let every = if several { " on every seed" } else { "" };
        let count = match trained {
            0 => format!("none of {all} arms trains{every}"),
            _ if trained == all => format!("all {all} arms train{every}"),
            _ => format!("{trained} of {all} arms train{every}"),
        };
        format!("{} {ends}; {count}", self.label(best))
    }

    /// How many arms train, by the values of a field, most of them first.
    pub fn count_by(&self, field: &str) -> String {
        let mut counts: Vec<(String, usize, usize)> = Vec::new();
        for arm in &self.arms {
            let value = label::value(arm.config(), field);
            let trained = usize::from(trains(arm));
            match counts.iter_mut().find(|(known, ..)| *known == value) {
                Some((_, some, all)) => (*some, *all) = (*some + trained, *all + 1),
                None => counts.push((value, trained, 1)),
            }
        }
        let (trained, all) = counts.iter().fold((0, 0), |(s, a), c| (s + c.1, a + c.2));
        counts.sort_by_key(|(_, some, _)| std::cmp::Reverse(*some));
        let every =
            if self.arms.iter().any(|arm| arm.runs.len() > 1) { " on every seed" } else { "" };
        let head = match trained {
            0 => return format!("None of {all} arms trains{every}"),
            _ if trained == all => return format!("All {all} arms train{every}"),
            _ => format!("{trained} of {all} arms train{every}"),
        };
        let shown = counts.iter().take(4).map(|(value, some, all)| match value.parse::<f64>() {
            Ok(_) => format!("{some} of {all} at {field} {value}"),
            Err(_) => format!("{some} of {all} under {value}"),
        });
        let more = if counts.len() > 4 { ", …" } else { "" };
        format!("{head}: {}{more}", shown.collect::<Vec<_>>().join(", "))
    }

    /// Where losses end that left nowhere: the median of the first ones, which a chart is cut off at.
    pub fn start(&self) -> Option<f64> {
        let runs = self.arms.iter().flat_map(|arm| &arm.runs);
        let mut first: Vec<f64> = runs.map(|run| run.summary.initial_loss).collect();
        first.retain(|loss| loss.is_finite());
        first.sort_by(f64::total_cmp);
        first.get(first.len() / 2).copied()
    }

    /// The arms to show where a chart has no room for all, and a sentence on that.
    pub fn shown(&self) -> (Vec<&Arm<'a>>, Option<String>) {
        let all = self.arms.len();
        if all <= LINES {
            return (self.arms.iter().collect(), None);
        }
        let mut ranked: Vec<&Arm> = self.arms.iter().collect();
        // What is not a number comes last.
        ranked.sort_by(|a, b| a.held_out().total_cmp(&b.held_out()));
        let places = [0, 1, 2, 3, all / 4, all / 2, 3 * all / 4, all - 1];
        let shown = places.map(|place| ranked[place]).to_vec();
        let note = format!(
            "Shown are {LINES} of {all} arms, by held-out loss: the best four, the quartiles and the worst."
        );
        (shown, Some(note))
    }
}

/// Whether an arm trained on every seed.
pub(super) fn trains(arm: &Arm) -> bool {
    let tally = arm.tally();
    tally.trained == tally.runs()
}

/// How an arm ended, at worst.
pub(super) fn end(arm: &Arm) -> Option<crate::plot::Mark> {
    Some(worst(arm))
}

/// What is learned, for people.
fn data_name(config: &RunConfig, task: String) -> String {
    let given = config.files().into_iter().find(|(_, file)| !file.is_empty());
    match given {
        Some((_, file)) => {
            let name = std::path::Path::new(&file.path).file_name();
            format!("{task} of {}", name.unwrap_or_default().to_string_lossy())
        }
        None if task == "text" => "bytes of the embedded Latin text".to_string(),
        None => task,
    }
}

/// A number in a title.
pub(super) fn short(x: f64) -> String {
    match x.abs() {
        size if size == 0.0 || !size.is_finite() => x.to_string(),
        size if (1e-3..1e6).contains(&size) => {
            let digits = (2 - size.log10().floor() as i32).clamp(0, 5) as usize;
            let text = format!("{x:.digits$}");
            match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
                false => text,
            }
        }
        _ => format!("{x:.1e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn numbers_have_three_digits() {
        for (x, text) in [
            (0.0, "0"),
            (2.3456, "2.35"),
            (64.0, "64"),
            (12345.0, "12345"),
            (3.2e-4, "3.2e-4"),
            (0.01, "0.01"),
        ] {
            assert_eq!(short(x), text);
        }
    }
}
