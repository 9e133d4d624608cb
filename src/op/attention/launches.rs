//! The kernels of attention: which are launched, and over how many tiles.

use super::{Attention, Layout, Sizes};
use crate::op::Shape;
use crate::op::device::{Chip, Kernels, Launch, Param, Ptx, ptx};

/// Queries or keys of a tile.
const TILE: usize = 64;

/// Threads of a block, which lie over a tile.
const THREADS: u32 = 256;

/// The kernels that make the sums of one width.
struct Names {
    /// Channels that a block makes; a wider head takes more blocks.
    channels: usize,
    forward: &'static str,
    dq: &'static str,
    dk_dv: &'static str,
}

const NAMES: [Names; 2] = [
    Names {
        channels: 64,
        forward: "attention_forward_64",
        dq: "attention_dq_64",
        dk_dv: "attention_dk_dv_64",
    },
    Names {
        channels: 128,
        forward: "attention_forward_128",
        dq: "attention_dq_128",
        dk_dv: "attention_dk_dv_128",
    },
];

impl Names {
    /// Those of the narrowest sums that hold a head of this width, or of the widest there are.
    fn of(width: usize) -> &'static Names {
        NAMES.iter().find(|names| names.channels >= width).unwrap_or(&NAMES[NAMES.len() - 1])
    }
}

impl Attention {
    /// What every kernel takes last: mask, bias and the sizes.
    fn problem(&self, sizes: Sizes) -> [Param; 12] {
        use Param::*;
        let Sizes { batch, queries, keys, width } = sizes;
        let [batch, heads, kv_heads] = [batch, self.heads, self.kv_heads].map(|n| U32(n as u32));
        let [queries, keys] = [queries, keys].map(|n| U32(n as u32));
        let token_major = U32((self.layout == Layout::TokenMajor) as u32);
        let [width, causal] = [U32(width as u32), U32(self.causal as u32)];
        let [scale, cap] = [self.scale(sizes.width), self.softcap].map(|n| F32(n as f32));
        [
            Arg(3),
            Arg(4),
            batch,
            heads,
            kv_heads,
            queries,
            keys,
            width,
            causal,
            token_major,
            scale,
            cap,
        ]
    }

    /// A kernel over so many tiles of every head of every sample, or of every head alone.
    fn launch(
        &self,
        kernel: &'static str,
        sizes: Sizes,
        tiles: usize,
        tensors: &[Param],
    ) -> Launch {
        Launch::new(kernel, tiles, THREADS, &[tensors, &self.problem(sizes)].concat())
    }
}

impl Kernels for Attention {
    /// A cap has kernels of its own, of the same names.
    fn ptx(&self) -> Ptx {
        if self.softcap == 0.0 { ptx!("attention") } else { ptx!("attention_capped") }
    }

    /// Per row of the logits the largest one, and Σ e^(s − max). The log-sum-exp of both in one
    /// number would lose the digits of e^(s − lse) as logits grow.
    fn saved(&self, args: &[Shape], _chip: &Chip) -> usize {
        let Sizes { batch, queries, .. } = self.sizes(args[0], args[1]);
        2 * batch * self.heads * queries
    }

    /// D = Σ p ⊙ dp of every row of the logits.
    fn scratch(&self, args: &[Shape], _chip: &Chip) -> usize {
        let Sizes { batch, queries, .. } = self.sizes(args[0], args[1]);
        batch * self.heads * queries
    }

    fn forward(&self, args: &[Shape], _chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let sizes = self.sizes(args[0], args[1]);
        let names = Names::of(sizes.width);
        let parts = sizes.width.div_ceil(names.channels);
        let blocks = sizes.batch * self.heads * sizes.queries.div_ceil(TILE) * parts;
        let tensors = [Arg(0), Arg(1), Arg(2), Out(0), Saved(0)];
        vec![self.launch(names.forward, sizes, blocks, &tensors)]
    }

    fn vjp(&self, args: &[Shape], _chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let sizes = self.sizes(args[0], args[1]);
        let names = Names::of(sizes.width);
        let parts = sizes.width.div_ceil(names.channels);
        let [queries, keys] = [sizes.queries, sizes.keys].map(|seq| seq.div_ceil(TILE));
        let (of_queries, of_keys) =
            (sizes.batch * self.heads * queries, sizes.batch * self.kv_heads * keys);
        let means = [Arg(0), Arg(1), Arg(2), Dy, Saved(0), Scratch(0)];
        let and = |grads: &[Param]| [&means, grads].concat();
        let mut launches = vec![
            self.launch("attention_mean", sizes, of_queries, &means),
            self.launch(names.dq, sizes, of_queries * parts, &and(&[Grad(0)])),
            self.launch(names.dk_dv, sizes, of_keys * parts, &and(&[Grad(1), Grad(2)])),
        ];
        if !args[4].is_empty() {
            let tiles = self.heads * queries * keys;
            launches.push(self.launch("attention_dbias", sizes, tiles, &and(&[Grad(4)])));
        }
        launches
    }
}
