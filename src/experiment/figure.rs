//! What a picture shows, as a file says it, or as it is chosen from what varies.

use toml::{Table, Value};

use super::label::{telling, varying};
use super::quantity::Quantity;
use crate::config::RunConfig;
use crate::setting::Invalid;

/// The kinds of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Training loss over steps, by arm.
    Loss,
    /// Outcomes over two fields, panels over a third.
    Outcomes,
    /// The best of a quantity against a number field, and the largest rate that trains.
    Best,
    /// Probes by layer.
    Layers,
    /// A probe by layer and step.
    Heat,
    /// Time and memory against a number field.
    Cost,
    /// A quantity against what it costs: time, memory, parameters.
    Tradeoff,
}

const KINDS: [(&str, Kind, &[&str]); 7] = [
    ("loss", Kind::Loss, &["panels"]),
    ("outcomes", Kind::Outcomes, &["x", "y", "panels", "quantity"]),
    ("best", Kind::Best, &["x", "quantity"]),
    ("layers", Kind::Layers, &[]),
    ("heat", Kind::Heat, &["quantity"]),
    ("cost", Kind::Cost, &["x"]),
    ("tradeoff", Kind::Tradeoff, &["x", "quantity"]),
];

/// A picture that is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What it is.
    pub kind: Kind,
    /// Its title; computed from the runs where there is none.
    pub title: Option<String>,
    /// What goes along the x axis: a field, or (of a trade-off) a quantity.
    pub x: Option<String>,
    /// What the rows of a map are.
    pub y: Option<String>,
    /// What panels stand for.
    pub panels: Option<String>,
    /// The number that is shown.
    pub quantity: Quantity,
}

impl Figure {
    /// One of a kind, with everything else chosen from the runs.
    pub fn of(kind: Kind) -> Figure {
        let quantity = Quantity::held_out();
        Figure { kind, title: None, x: None, y: None, panels: None, quantity }
    }

    /// Reads a `[[figure]]` of some runs.
    ///
    /// # Errors
    /// Where a key is not known, or names a field that the runs do not differ in.
    pub fn read(table: &Table, runs: &[RunConfig]) -> Result<Figure, Invalid> {
        let text = |key: &str| match table.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(Invalid::new(key, other, "a text")),
        };
        let kinds = || KINDS.map(|(name, ..)| name).join(", ");
        let Some(kind) = text("kind")? else {
            return Err(Invalid::new(
                "figure",
                Value::Table(table.clone()),
                format!("a table with kind = one of {}", kinds()),
            ));
        };
        let Some((_, kind, keys)) = KINDS.into_iter().find(|(name, ..)| *name == kind) else {
            return Err(Invalid::new("kind", kind, format!("one of {}", kinds())));
        };
        for key in table.keys() {
            if !["kind", "title"].contains(&&**key) && !keys.contains(&&**key) {
                let keys = ["kind", "title"].iter().chain(keys).copied().collect::<Vec<_>>();
                return Err(Invalid::new("field", key, format!("one of {}", keys.join(", "))));
            }
        }
        let varying = varying(runs.iter());
        let field = |key: &str| {
            let Some(name) = text(key)? else { return Ok(None) };
            let name = name.replace('_', "-");
            if varying.contains(&&*name) {
                return Ok(Some(name));
            }
            let allowed = match varying.is_empty() {
                true => "nothing: these runs differ in no field".to_string(),
                false => format!("a field that these runs differ in: {}", varying.join(", ")),
            };
            Err(Invalid::new(key, name, allowed))
        };
        let x = match (kind, text("x")?) {
            (Kind::Tradeoff, Some(name)) => {
                let known = Quantity::read(&name);
                Some(known.map_err(|allowed| Invalid::new("x", name, allowed))?.name().to_string())
            }
            _ => field("x")?,
        };
        if let (Kind::Best | Kind::Cost, Some(name)) = (kind, &x)
            && !numeric(name, runs)
        {
            return Err(Invalid::new("x", name, "a field whose values are numbers"));
        }
        let quantity = match text("quantity")? {
            None => Quantity::held_out(),
            Some(name) => {
                Quantity::read(&name).map_err(|allowed| Invalid::new("quantity", name, allowed))?
            }
        };
        let (title, y, panels) = (text("title")?, field("y")?, field("panels")?);
        let named = [&x, &y, &panels].into_iter().flatten().collect::<Vec<_>>();
        if let Some(twice) = named.iter().enumerate().find(|(i, name)| named[..*i].contains(name)) {
            return Err(Invalid::new(
                "figure",
                twice.1,
                "another field for each of x, y and panels",
            ));
        }
        Ok(Figure { kind, title, x, y, panels, quantity })
    }
}

/// Whether a field is a number in every run.
pub(crate) fn numeric(field: &str, runs: &[RunConfig]) -> bool {
    runs.iter().all(|run| super::label::number(run, field).is_some())
}

/// The pictures that show what some runs differ in.
pub fn chosen(runs: &[RunConfig]) -> Vec<Figure> {
    let (varying, telling) = (varying(runs.iter()), telling(runs.iter()));
    let numbers: Vec<&str> = varying.iter().copied().filter(|f| numeric(f, runs)).collect();
    let mut figures = Vec::new();
    let trains = runs.iter().any(|run| run.steps > 0);
    if trains {
        figures.push(Figure::of(Kind::Loss));
    }
    if telling.len() > 1 && trains {
        figures.push(Figure::of(Kind::Outcomes));
    }
    // Depth first, which is what this is about; a rate is the way to a best, and alone an axis.
    let x = ["depth", "width"].into_iter().find(|f| numbers.contains(f));
    let x = x.or_else(|| numbers.iter().copied().find(|f| *f != "lr"));
    let x = x.or_else(|| numbers.first().copied());
    if let Some(x) = x.filter(|_| trains) {
        figures.push(Figure { x: Some(x.to_string()), ..Figure::of(Kind::Best) });
    }
    if x.is_some_and(|x| x != "lr") && numbers.contains(&"lr") && trains {
        figures.push(Figure { x: Some("lr".to_string()), ..Figure::of(Kind::Best) });
    }
    if runs.iter().any(|run| run.probe_every != Some(0)) {
        figures.push(Figure::of(Kind::Layers));
    }
    if runs.iter().any(|run| run.probe_every.is_some_and(|every| every > 0 && every < run.steps)) {
        figures.push(Figure::of(Kind::Heat));
    }
    let sizes = ["depth", "width", "seq", "batch", "heads", "micro-batches"];
    if let Some(size) = sizes.into_iter().find(|f| numbers.contains(f)) {
        figures.push(Figure { x: Some(size.to_string()), ..Figure::of(Kind::Cost) });
        if trains {
            figures.push(Figure::of(Kind::Tradeoff));
        }
    }
    figures
}
