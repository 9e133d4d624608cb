//! The command `plummet`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: plummet::memory::Counting = plummet::memory::Counting;

fn main() -> ExitCode {
    plummet::cli::main(std::env::args_os())
}
