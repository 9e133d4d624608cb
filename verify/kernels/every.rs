//! What every operator with kernels is held to, whatever it stores.

use std::collections::BTreeMap;
use std::sync::Arc;

use plummet::backend::device::{Interpreted, OnMachine};
use plummet::check::bodies::{
    Budget, Case, Rows, SIZES, contract, fast_agrees, gradient, property, share_of_budget,
};
use plummet::choice::Described;
use plummet::num::Dtype;
use plummet::op::device::{Chip, STORAGES};
use plummet::op::embedding::Embedding;
use plummet::op::norm::{self, GroupNorm};
use plummet::op::ramp::Ramp;
use plummet::op::{Shape, SharedOp, all, named};
use plummet::ptx::{Approximation, Options, Schedule};

/// What 16 bits store.
const HALVES: [Dtype; 2] = [Dtype::Bf16, Dtype::F16];

/// Rows and columns beside and on vectors of eight, beside those of a narrow row, and enough elements
/// to fill a block.
const SIZES_OF_HALVES: [(usize, usize); 5] = [(1, 1), (3, 7), (2, 16), (2, 129), (8, 264)];

/// Every operator that has kernels, on a machine of its own.
fn on_machines(options: Options, storage: Dtype) -> impl Iterator<Item = SharedOp> {
    all().into_iter().filter_map(move |op| {
        let machine = Interpreted::new(Chip::new(3), options);
        OnMachine::new(op, machine).map(|op| Arc::new(op.storing(storage)) as SharedOp)
    })
}

fn usual() -> Options {
    Options { forbid_float_atomics: true, ..Options::default() }
}

fn conditions() -> Vec<Options> {
    let schedules = Schedule::ALL.map(|schedule| Options { schedule, ..usual() });
    let edges = Approximation::ALL.map(|approximation| Options { approximation, ..usual() });
    [&schedules[..], &edges].concat()
}

#[test]
fn every_operator_has_kernels() {
    let without = all().into_iter().filter(|op| op.kernels().is_none());
    assert_eq!(without.map(|op| op.id()).collect::<Vec<_>>(), [""; 0]);
}

/// Prints the table of `docs/cuda.md`.
#[test]
fn kernels_are_within_budget_at_every_size() {
    // Of every operator and storage the number of cases and the largest q.
    let mut table: BTreeMap<&str, [(usize, f64); STORAGES.len()]> = BTreeMap::new();
    for (at, storage) in STORAGES.into_iter().enumerate() {
        let sizes = if storage == Dtype::F32 { &SIZES[..] } else { &SIZES_OF_HALVES };
        for op in on_machines(usual(), storage) {
            for (seed, &(rows, cols)) in (0..).zip(sizes) {
                let case = Case::draw(&*op, Rows::Normal, rows, cols, seed);
                let optional = op.args().iter().enumerate().filter(|(_, arg)| arg.optional);
                let fewer = optional.map(|(index, _)| case.clone().without(index));
                for case in std::iter::once(case.clone()).chain(fewer) {
                    let q = share_of_budget(&*op, &case).unwrap();
                    let (cases, largest) = &mut table.entry(op.id()).or_default()[at];
                    (*cases, *largest) = (*cases + 1, largest.max(q));
                }
            }
        }
    }
    println!("| operator | f32 | bf16 | f16 |\n|---|---|---|---|");
    for (op, storages) in table {
        let cells = storages.map(|(cases, q)| format!("{cases} cases, q {q:.2}"));
        println!("| `{op}` | {} |", cells.join(" | "));
    }
}

#[test]
fn kernels_are_within_budget_under_every_schedule_and_at_the_edges_of_approximation() {
    for options in conditions() {
        for op in on_machines(options, Dtype::F32) {
            for (seed, kind) in (0..).zip(Rows::ALL) {
                let case = Case::draw(&*op, kind, 5, 33, seed);
                fast_agrees(&*op, &case).unwrap_or_else(|fault| panic!("{options:?}: {fault:?}"));
            }
        }
    }
}

/// The arithmetic is that of f32: a condition meets one kind of rows in each storage, by turns all.
#[test]
fn halves_are_within_budget_under_every_schedule_and_at_the_edges_of_approximation() {
    for ((seed, options), kind) in (0..).zip(conditions()).zip(Rows::ALL.into_iter().cycle()) {
        for storage in HALVES {
            for op in on_machines(options, storage) {
                let case = Case::draw(&*op, kind, 5, 33, seed);
                fast_agrees(&*op, &case).unwrap_or_else(|fault| panic!("{options:?}: {fault:?}"));
            }
        }
    }
}

/// What takes rows: the norms, and the forms of weights that take a row by itself.
fn of_rows() -> impl Iterator<Item = SharedOp> {
    const FORMS: [&str; 3] = ["standardised", "scaled_standardised", "weight_norm"];
    let one_group: SharedOp = Arc::new(GroupNorm { groups: 1, ..GroupNorm::new() });
    let norms = norm::ALL.iter().map(|entry| (entry.make)());
    norms.chain([one_group]).chain(FORMS.map(|id| named(id).expect("a form")))
}

/// Rows of a block, which are vectors or are not, and rows of which a block keeps only a chunk.
#[test]
fn long_rows_are_within_budget() {
    for op in of_rows() {
        let op = OnMachine::new(op, Interpreted::new(Chip::new(3), usual())).unwrap();
        for (seed, (rows, cols)) in (0..).zip([(3, 1030), (2, 1032), (2, 4101), (2, 8200)]) {
            let case = Case::draw(&op, Rows::Normal, rows, cols, seed);
            fast_agrees(&op, &case).unwrap();
        }
    }
}

/// Before, at and behind the step in which the factor comes to one.
#[test]
fn a_ramp_rises_with_the_clock() {
    let ramp = OnMachine::new(Arc::new(Ramp { over: 9 }), Interpreted::new(Chip::new(3), usual()));
    let ramp = ramp.unwrap();
    for step in [0.0, 1.0, 4.0, 7.0, 8.0, 9.0, 1e6] {
        let mut case = Case::draw(&ramp, Rows::Normal, 2, 5, 1);
        case.values[1] = vec![step, 3.0];
        fast_agrees(&ramp, &case).unwrap();
    }
}

/// More places than a block looks at at once: their sums wait in `f32`.
#[test]
fn a_table_collects_many_places_and_is_rounded_once() {
    for storage in STORAGES {
        let machine = Interpreted::new(Chip::new(3), usual());
        let table = OnMachine::new(Arc::new(Embedding), machine).unwrap().storing(storage);
        let shapes = [Shape::new(&[1, 4500]), Shape::new(&[3, 9])];
        let case = Case::of(&table, &shapes, Rows::Normal, 1).starting_at(0.75);
        fast_agrees(&table, &case).unwrap();
    }
}

#[test]
fn contracts_derivatives_and_properties_hold() {
    for op in on_machines(usual(), Dtype::F32) {
        for (seed, (rows, cols)) in (0..).zip([(1, 1), (3, 7), (4, 32)]) {
            let case = Case::draw(&*op, Rows::Normal, rows, cols, seed);
            contract::holds(&*op, &case).unwrap();
            gradient::agrees_with_dual(&*op, &case).unwrap();
            gradient::agrees_with_differences(&*op, &case).unwrap();
            for &stated in op.properties() {
                property::holds(stated, &*op, &case).unwrap();
            }
        }
    }
}

/// db = dy₀ + dy₁ nearly cancels −¾: in the order of the reference, −¾ + dy₀ + dy₁, nothing is as large
/// as db itself, at whose size a kernel, which forms it apart, has to round.
#[test]
fn a_gradient_formed_apart_is_rounded_at_its_own_size() {
    let linear = named("linear").unwrap();
    let shapes = [Shape::new(&[2, 1]), Shape::new(&[1, 1]), Shape::new(&[1])];
    let mut case = Case::of(&*linear, &shapes, Rows::Normal, 1).starting_at(-0.75);
    let dy = [0.75_f32.next_down(), 0.001];
    case.dy = dy.map(f64::from).to_vec();
    let Budget { truth, allowed } = Budget::measure(&*linear, &case);
    let (db, allowed) = (truth.grads[2][0], allowed.grads[2][0]);
    let off = (f64::from(dy[0] + dy[1]) - 0.75 - db).abs();
    assert!(off > 2f64.powi(-28) && off <= allowed, "{off:e}, allowed {allowed:e}");
    // A few units of db, and no more.
    assert!(allowed < 8.0 * 2f64.powi(-24), "{allowed:e}");
    let machine = Interpreted::new(Chip::new(3), usual());
    fast_agrees(&OnMachine::new(linear, machine).unwrap(), &case).unwrap();
}

#[test]
fn halves_hold_the_contracts() {
    for storage in HALVES {
        for op in on_machines(usual(), storage) {
            for (seed, (rows, cols)) in (0..).zip([(3, 7), (4, 32)]) {
                contract::holds(&*op, &Case::draw(&*op, Rows::Normal, rows, cols, seed)).unwrap();
            }
        }
    }
}
