//! A picture from a store: `cargo run --release -- train --depth 4 --steps 100`, then
//! `cargo run --release --example picture`, which draws the loss of every run of the store.

use std::error::Error;

use plummet::plot::{Axis, Lines, Series};
use plummet::store::{Filter, Store};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "plummet.sqlite".to_string());
    let store = Store::open_read(&path)?;
    let mut series = Vec::new();
    for run in store.runs(&Filter::default())? {
        let losses = store.steps(&run.id)?.iter().map(|row| (row.step as f64, row.loss)).collect();
        series.push(Series::new(run.name, losses));
    }
    let picture = Lines {
        title: format!("Training loss of {} runs", series.len()),
        subtitle: path,
        x: Axis::new("step"),
        y: Axis::new("loss, nats per token"),
        series,
        ..Lines::default()
    };
    picture.save("loss.png")?;
    println!("loss.png");
    Ok(())
}
