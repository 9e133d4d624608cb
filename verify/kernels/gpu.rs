//! Every operator's kernels on the first GPU of this machine, held to what the interpreter's are held
//! to: `cargo test --features cuda --test kernels -- --ignored gpu`.

use std::sync::Arc;

use plummet::backend::device::{Cuda, OnMachine};
use plummet::check::bodies::{Case, Rows, SIZES, contract, fast_agrees, gradient, property};
use plummet::op::{SharedOp, all, norm};

fn on_the_gpu() -> impl Fn(SharedOp) -> Option<SharedOp> {
    let gpu = Cuda::open(false).unwrap();
    move |op| OnMachine::new(op, gpu.clone()).map(|op| Arc::new(op) as SharedOp)
}

#[test]
#[ignore = "needs a GPU"]
fn gpu_kernels_are_within_budget_at_every_size() {
    for op in all().into_iter().filter_map(on_the_gpu()) {
        for (seed, (rows, cols)) in (0..).zip(SIZES) {
            let case = Case::draw(&*op, Rows::Normal, rows, cols, seed);
            fast_agrees(&*op, &case).unwrap();
            let optional = op.args().iter().enumerate().filter(|(_, arg)| arg.optional);
            for (index, _) in optional {
                fast_agrees(&*op, &case.clone().without(index)).unwrap();
            }
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn gpu_norms_are_within_budget_where_every_multiprocessor_is_busy() {
    for op in norm::ALL.iter().map(|entry| (entry.make)()).filter_map(on_the_gpu()) {
        for (seed, (rows, cols)) in (0..).zip([(4096, 256), (300, 8192), (70, 32_768)]) {
            fast_agrees(&*op, &Case::draw(&*op, Rows::Normal, rows, cols, seed)).unwrap();
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn gpu_contracts_derivatives_and_properties_hold() {
    for op in all().into_iter().filter_map(on_the_gpu()) {
        for (seed, kind) in (0..).zip(Rows::ALL) {
            let case = Case::draw(&*op, kind, 5, 33, seed);
            fast_agrees(&*op, &case).unwrap();
            contract::holds(&*op, &case).unwrap();
            gradient::agrees_with_dual(&*op, &case).unwrap();
            for &stated in op.properties() {
                property::holds(stated, &*op, &case).unwrap();
            }
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn gpu_kernels_give_the_same_bits_every_time() {
    for op in all().into_iter().filter_map(on_the_gpu()) {
        let case = Case::draw(&*op, Rows::Normal, 257, 130, 1);
        let bits = || {
            let mut call = case.call(&*op, &case.values, |_, _, value| value as f32);
            call.forward(&*op);
            call.fresh_vjp(&*op);
            let tensors = call.outs.iter().chain(&call.grads).flatten();
            tensors.map(|number| number.to_bits()).collect::<Vec<u32>>()
        };
        let first = bits();
        assert!((0..10).all(|_| bits() == first), "{}", op.id());
    }
}
