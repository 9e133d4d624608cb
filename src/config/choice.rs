//! Fields with a few values each, and the published combinations.

use crate::choices;

choices! {
    /// How the learning rate goes on after the warm-up.
    Schedule {
        /// It stays.
        Constant = "constant",
        /// It falls to 0 in a straight line.
        Linear = "linear",
        /// It falls to 0 along half a cosine.
        Cosine = "cosine",
        /// It stays, and falls to 0 in a straight line over the last part (warm-up, stable, decay).
        Wsd = "wsd",
        /// It falls as 1/√step (Vaswani et al. 2017, equation 3).
        InverseSqrt = "inverse_sqrt",
    }
}

choices! {
    /// The optimiser.
    Optimizer {
        /// Adam with decoupled weight decay (Loshchilov & Hutter 2019).
        Adamw = "adamw",
        /// Stochastic gradient descent with momentum.
        Sgd = "sgd",
        /// Orthogonal momentum for the matrices of the blocks (Jordan et al. 2024), adamw for the rest.
        Muon = "muon",
    }
}

choices! {
    /// What is not learned.
    Freeze {
        /// Everything is.
        None = "none",
        /// What norms have to learn stays what it starts at.
        Norms = "norms",
    }
}

choices! {
    /// What a stack is examined for when its training is over.
    Examine {
        /// Nothing beyond the probes.
        None = "none",
        /// How far one more step moves the values of every layer.
        Response = "response",
        /// How far one more step below a block moves the block's gradient.
        Shift = "shift",
        /// How much of a change in one layer's stream arrives in the last.
        Jacobian = "jacobian",
        /// The held-out loss without each of the blocks, and with neighbours swapped.
        Blocks = "blocks",
    }
}

choices! {
    /// The arithmetic of a run.
    Precision {
        /// The fast path.
        F32 = "f32",
        /// The references: exact, slow.
        F64 = "f64",
    }
}

choices! {
    /// What a run is computed on.
    Device {
        /// The processor.
        Cpu = "cpu",
        /// A GPU of NVIDIA's, through its driver.
        Cuda = "cuda",
        /// The kernels of a GPU, interpreted: to check them, not to get far.
        CudaInterpreted = "cuda_interpreted",
    }
}

choices! {
    /// A published combination of norm, wiring, initialisation and parts.
    Preset {
        /// None: the defaults.
        None = "none",
        /// Vaswani et al. 2017: post_ln, xavier_uniform, ReLU, biases, warm-up.
        Vaswani = "vaswani",
        /// GPT-2 (Radford et al. 2019): pre_ln, 0.02/√(2N) on the branches, GELU, learned positions.
        Gpt2 = "gpt2",
        /// Llama (Touvron et al. 2023): pre_ln with rms_norm, gated SiLU, rotary positions.
        Llama = "llama",
        /// DeepNet (Wang et al. 2022): deepnorm wiring and initialisation.
        Deepnet = "deepnet",
        /// nGPT (Loshchilov et al. 2024): ngpt wiring, bare norms, normed rows of weights, gated SiLU.
        Ngpt = "ngpt",
    }
}

impl Preset {
    /// The fields that the preset sets.
    pub fn fields(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Preset::None => &[],
            Preset::Vaswani => &[
                ("wiring", "post_ln"),
                ("norm", "layer_norm"),
                ("init", "xavier_uniform"),
                ("activation", "relu"),
                ("bias", "true"),
                ("positions", "learned"),
                ("warmup", "100"),
                ("dropout", "0.1"),
            ],
            Preset::Gpt2 => &[
                ("wiring", "pre_ln"),
                ("norm", "layer_norm"),
                ("init", "gpt2"),
                ("activation", "gelu_tanh"),
                ("bias", "true"),
                ("positions", "learned"),
                ("tied-head", "true"),
            ],
            Preset::Llama => &[
                ("wiring", "pre_ln"),
                ("norm", "rms_norm"),
                ("init", "normal_02"),
                ("activation", "silu"),
                ("ffn", "gated"),
                ("positions", "rotary"),
            ],
            Preset::Deepnet => &[
                ("wiring", "deepnorm"),
                ("norm", "layer_norm"),
                ("init", "deepnorm"),
                ("activation", "relu"),
            ],
            Preset::Ngpt => &[
                ("wiring", "ngpt"),
                ("norm", "bare_rms_norm"),
                ("weights", "weight_norm"),
                ("init", "lecun_normal"),
                ("qk-norm", "rms"),
                ("activation", "silu"),
                ("ffn", "gated"),
                ("positions", "rotary"),
            ],
        }
    }
}
