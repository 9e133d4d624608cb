//! An interpreter of PTX: runs CUDA kernels without a GPU, and says what is wrong with them.
//!
//! A [`Module`] is read from the PTX text that NVRTC makes of a `.cu`. It runs on a [`Memory`]
//! whose buffers know which of their bytes were written, and it ends with [`Statistics`], or
//! with a [`Fault`] that names the mistake, the thread, and the line of the source.
//!
//! Two conditions are set by [`Options`], for no chip promises them: the [`Schedule`], in which
//! order blocks and warps run, and the [`Approximation`], what instructions return that are only
//! approximately right. Right kernels hold under all of them.
//!
//! What it cannot see: time; an order between blocks that a kernel makes by itself; what the
//! assembler does with the PTX; tensor cores. An instruction that is not known is an error.
//!
//! ```
//! use plummet::ptx::{Arg, FaultKind, Launch, Memory, Module, Options};
//!
//! let text = "
//! .version 8.0
//! .target sm_80
//! .address_size 64
//! .visible .entry double_it(.param .u64 x) {
//!     .reg .b64 %rd<3>; .reg .b32 %r<2>; .reg .f32 %f<3>;
//!     ld.param.u64 %rd0, [x];
//!     mov.u32 %r0, %tid.x;
//!     mul.wide.u32 %rd1, %r0, 4;
//!     add.s64 %rd2, %rd0, %rd1;
//!     ld.global.f32 %f0, [%rd2];
//!     add.f32 %f1, %f0, %f0;
//!     st.global.f32 [%rd2], %f1;
//!     ret;
//! }";
//! let module = Module::parse(text)?;
//! let mut memory = Memory::new();
//! let x = memory.upload_f32("x", &[1.0, 2.5]);
//! let args = [Arg::Buffer(x)];
//! module.run("double_it", &Launch::linear(1, 2), &args, &mut memory, &Options::default())?;
//! assert_eq!(memory.read_f32(x, 2)?, [2.0, 5.0]);
//!
//! // One thread more than there are numbers:
//! let run = module.run("double_it", &Launch::linear(1, 3), &args, &mut memory, &Options::default());
//! assert_eq!(run.unwrap_err().kind, FaultKind::OutOfBounds);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decode;
mod decode_arithmetic;
mod decode_control;
mod decode_memory;
mod eval;
mod exec;
mod fault;
mod lex;
mod lower;
mod memory;
mod module;
mod operands;
mod options;
mod order;
mod parse;
mod parse_error;
mod parse_instruction;
mod parse_variable;
mod parts;
mod program;
mod shadow;
mod statistics;
mod syntax;
mod types;

pub use fault::{Fault, FaultKind, Party, Site};
pub use memory::{Buffer, Memory};
pub use module::Module;
pub use options::{Approximation, Arg, Launch, Options, Schedule};
pub use parse_error::ParseError;
pub use statistics::{Statistics, Traffic};
