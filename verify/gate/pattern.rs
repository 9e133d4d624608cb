//! Which part of an answer is off: siblings of each description, an answer spoilt in one way is said to be so.

use std::collections::BTreeMap;

use plummet::check::call::{Dir, Reply};
use plummet::check::reading::Reading;
use plummet::check::spec::case::Rows;
use plummet::check::trial::{self, Trial};
use plummet::check::{oracle, spec};
use plummet::gate::explain::pattern::describe;
use plummet::gate::{Case, Dtype, Tensor};

/// A layer_norm of noise whose y is spoilt.
fn spoilt(rows: usize, cols: usize, spoil: impl Fn(&mut Vec<f64>, &Trial)) -> Trial {
    let operator = spec::find("layer_norm").unwrap();
    let mut case = Case::simplest(operator, Dir::Fwd, Dtype::F32, Dtype::F32);
    case.sizes = BTreeMap::from([("rows", rows), ("cols", cols)]);
    (case.kind, case.seed) = (Rows::Normal, 7);
    let call = case.call();
    let expected = oracle::expect(&call, &Reading::strict(Dtype::F32, &BTreeMap::new()));
    let reply = |values: Vec<f64>| {
        let y = Tensor::new(Dtype::F32, &expected[0].shape, values);
        Ok(Reply::Ok([("y".to_string(), y)].into()))
    };
    let right = expected[0].truth.clone();
    let right = trial::assess(&case, call.clone(), expected.clone(), reply(right));
    assert!(right.flaw.is_none(), "{:?}", right.flaw);
    let mut values = expected[0].truth.clone();
    spoil(&mut values, &right);
    trial::assess(&case, call, expected.clone(), reply(values))
}

fn said(rows: usize, cols: usize, spoil: impl Fn(&mut Vec<f64>, &Trial)) -> String {
    let trial = spoilt(rows, cols, spoil);
    assert!(trial.flaw.is_some(), "it fails");
    describe(&[&trial], None).unwrap_or_default()
}

/// Every element that a place holds is changed.
fn at(rows: usize, cols: usize, place: fn(usize, usize) -> bool, change: fn(f64) -> f64) -> String {
    said(rows, cols, move |y, _| {
        for (i, y) in y.iter_mut().enumerate() {
            if place(i / cols, i % cols) {
                *y = change(*y);
            }
        }
    })
}

#[test]
fn what_was_done_to_every_number() {
    let all = |change| at(4, 24, |_, _| true, change);
    assert_eq!(all(|y| 0.5 * y), "0.5 times what it should be everywhere");
    assert_eq!(all(|y| 1.01 * y), "1.01 times what it should be everywhere");
    assert_eq!(all(|y| y + 3.0), "too large by 3 everywhere");
    assert_eq!(all(|y| y - 0.25), "too small by 0.25 everywhere");
    assert_eq!(all(|y| -y), "the sign is wrong everywhere");
    assert_eq!(all(|y| y * y.abs()), "the power 2 of what it should be everywhere");
    assert_eq!(all(|_| f64::NAN), "NaN everywhere");
    assert_eq!(all(|_| f64::INFINITY), "infinite everywhere");
}

#[test]
fn where_it_was_done() {
    let zero = |place| at(16, 256, place, |_| 0.0);
    assert_eq!(zero(|_, j| j >= 192), "0 in place of a value in columns from 192 on, of 256");
    assert_eq!(zero(|_, j| j < 32), "0 in place of a value in columns up to 31, of 256");
    assert_eq!(zero(|_, j| j == 255), "0 in place of a value in the last column of 256");
    assert_eq!(zero(|_, j| j == 17), "0 in place of a value in column 17 of 256");
    assert_eq!(
        zero(|_, j| j % 128 >= 64),
        "0 in place of a value in columns with column % 128 ≥ 64"
    );
    assert_eq!(zero(|_, j| j % 4 == 1), "0 in place of a value in columns with column % 4 = 1");
    assert_eq!(zero(|i, _| i == 0), "0 in place of a value in the first row");
    assert_eq!(zero(|i, _| i >= 8), "0 in place of a value in rows from 8 on, of 16");
    assert_eq!(zero(|i, _| (3..7).contains(&i)), "0 in place of a value in rows 3 to 6 of 16");
}

#[test]
fn right_values_in_the_wrong_places() {
    let turned = said(16, 16, |y, _| {
        *y = (0..256).map(|i| y[i % 16 * 16 + i / 16]).collect();
    });
    assert!(turned.starts_with("transposed"), "{turned}");
    let reversed = said(3, 20, |y, _| y.chunks_mut(20).for_each(|row| row.reverse()));
    assert!(reversed.starts_with("each row in reverse order"), "{reversed}");
    let shifted = said(3, 20, |y, _| y.chunks_mut(20).for_each(|row| row.rotate_left(1)));
    assert!(shifted.starts_with("values of another column"), "{shifted}");
    let rows = said(5, 20, |y, _| y.rotate_left(20));
    assert!(rows.starts_with("values of another row"), "{rows}");
    let sorted = said(3, 20, |y, _| y.chunks_mut(20).for_each(|row| row.sort_by(f64::total_cmp)));
    assert!(sorted.starts_with("the values of each row in another order"), "{sorted}");
    let copied = said(3, 20, |y, trial| y.clone_from(&trial.call.tensors["x"].values));
    assert!(copied.starts_with("a copy of x"), "{copied}");
}

#[test]
fn a_row_or_an_input_that_decides() {
    let rows = said(4, 24, |y, _| {
        y.iter_mut().enumerate().for_each(|(i, y)| *y *= 1.5 + (i / 24) as f64);
    });
    assert_eq!(rows, "each row times a factor of its own everywhere");
    let negative = said(4, 24, |y, trial| {
        let x = &trial.call.tensors["x"].values;
        y.iter_mut().zip(x).for_each(|(y, &x)| *y = if x < 0.0 { 0.0 } else { *y });
    });
    assert_eq!(negative, "0 in place of a value where x is negative");
}

#[test]
fn what_has_no_simple_description_is_at_least_counted() {
    let noise = said(4, 24, |y, _| {
        for i in [3, 17, 40, 41, 77] {
            y[i] = 2.0 * y[i] + (i as f64).sin();
        }
    });
    assert_eq!(noise, "wrong in 5 of 96 elements");
}

#[test]
fn failures_that_differ_have_no_common_change() {
    let half = spoilt(4, 24, |y, _| y.iter_mut().for_each(|y| *y *= 0.5));
    let zero = spoilt(4, 24, |y, _| y.iter_mut().for_each(|y| *y = 0.0));
    assert_eq!(describe(&[&half, &zero], None).as_deref(), Some("wrong everywhere"));
}

#[test]
fn an_answer_of_before_is_known() {
    let before = spoilt(4, 24, |y, _| y.iter_mut().for_each(|y| *y = 0.1 + y.sin()));
    let old = before.answer.clone().unwrap()["y"].values.clone();
    let now = spoilt(4, 24, |y, _| y[..48].copy_from_slice(&old[..48]));
    let said = describe(&[&now], Some(&before)).unwrap();
    assert_eq!(said, "values of the answer before in rows up to 1, of 4");
}
