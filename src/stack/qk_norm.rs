//! Norms of queries and keys, of every head by itself and before their places are rotated.

use std::sync::Arc;

use super::Builder;
use crate::choice::Described;
use crate::op::SharedOp;
use crate::op::norm::{L2Norm, LayerNorm, RmsNorm, ScaleNorm};
use crate::op::per_head::PerHead;
use crate::program::{Id, Start};

crate::choices! {
    /// The norm of queries and keys.
    QkNorm {
        /// None.
        None = "none",
        /// Lengths of 1, and a learned factor in the place of 1/√K that starts at log₂(seq² − seq), of
        /// which the paper takes a high quantile over the data (Henry et al. 2020, arXiv
        /// 2010.04245).
        L2 = "l2",
        /// layer_norm, whose tensors all heads share (Dehghani et al. 2023, arXiv 2302.05442).
        Layer = "layer",
        /// rms_norm, whose weight all heads share (Gemma 3, arXiv 2503.19786).
        Rms = "rms",
    }
}

impl Builder<'_> {
    /// Queries and keys as they meet, and the factor of their products where it is not 1/√K.
    pub(super) fn qk_norm(&mut self, [q, k]: [Id; 2], head_width: usize) -> ([Id; 2], Option<f64>) {
        let per_head = |norm: SharedOp| -> SharedOp { Arc::new(PerHead { head_width, norm }) };
        let norm = match self.stack.qk_norm {
            QkNorm::None => return ([q, k], None),
            QkNorm::L2 => {
                // The factor stands in q, of which scale_norm is made as it is.
                let eps = L2Norm::new().eps;
                let (scaled, unit) = (per_head(Arc::new(ScaleNorm { eps })), L2Norm { eps });
                let seq = self.stack.seq as f64;
                let start = Start::Value((seq * seq - seq).log2());
                let factor = self.program.weight("attn.q.norm.weight", &[1], start);
                let q = self.program.apply_shared("attn.q.norm", scaled, &[q, factor])[0];
                let k = self.program.apply_shared("attn.k.norm", per_head(Arc::new(unit)), &[k])[0];
                return ([q, k], Some(1.0));
            }
            QkNorm::Layer => per_head(Arc::new(LayerNorm::new())),
            QkNorm::Rms => per_head(Arc::new(RmsNorm::new())),
        };
        let q = self.norm_by("attn.q.norm", norm.clone(), head_width, q);
        let k = self.norm_by("attn.k.norm", norm, head_width, k);
        ([q, k], None)
    }
}
