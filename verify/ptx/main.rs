//! Verification of the interpreter of PTX: right kernels are clean and have the values of plain loops,
//! planted faults are found by their kind, broken texts are refused by line, and functions are as close
//! to the truth as the manual says.

mod blocks;
mod common;
mod faults;
mod right;
mod texts;
mod values;
