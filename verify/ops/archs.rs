//! Every instruction set gives the same bits.

use plummet::check::bodies::{Case, Path, Rows, SIZES};
use plummet::op::{Op, all, simd};

/// The widths that fast paths are compiled for, besides any other.
const WIDTHS: [(usize, usize); 3] = [(35, 64), (17, 128), (9, 256)];

fn bits(op: &dyn Op, case: &Case) -> Vec<(String, Vec<u64>)> {
    let results = Path::Fast.run(op, case);
    results.named().map(|(name, v)| (name, v.iter().map(|v| v.to_bits()).collect())).collect()
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let archs = simd::archs();
    for op in all() {
        for (rows, cols) in SIZES.into_iter().chain(WIDTHS) {
            for kind in [Rows::Normal, Rows::Scaled] {
                let case = Case::draw(&*op, kind, rows, cols, 1);
                let want = simd::on(archs[0], || bits(&*op, &case));
                for &arch in &archs[1..] {
                    let got = simd::on(arch, || bits(&*op, &case));
                    assert!(got == want, "{}, {arch:?}: {}", op.id(), case.origin);
                }
            }
        }
    }
}

#[test]
fn an_instruction_set_is_chosen_for_one_call() {
    let before = format!("{:?}", simd::arch());
    for arch in simd::archs() {
        assert_eq!(simd::on(arch, || format!("{:?}", simd::arch())), format!("{arch:?}"));
        assert_eq!(format!("{:?}", simd::arch()), before);
    }
}
