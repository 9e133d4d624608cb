//! What a rule says of a claim.

crate::choices! {
    /// How a claim fared.
    Verdict {
        /// The figures show what was claimed.
        Supported = "supported",
        /// The figures show that it is not so.
        Refuted = "refuted",
        /// Part of it is so: `why` says which.
        Nuanced = "nuanced",
        /// The figures do not tell.
        Inconclusive = "inconclusive",
        /// There are no figures.
        NotAssessed = "not_assessed",
    }
}

/// A verdict and what it rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// How the claim fared.
    pub verdict: Verdict,
    /// The measured effect, in the rule's unit; NaN where there is none.
    pub effect: f64,
    /// Where the effect lies, at 95 % unless the rule says otherwise.
    pub interval: [f64; 2],
    /// How probable figures that decide as clearly are, at most, if this verdict is wrong; of a verdict
    /// that decides nothing, that of support.
    pub p: f64,
    /// The largest `p` at which the rule gives this verdict.
    pub level: f64,
    /// The seeds, or the trials of a rule about trials.
    pub n: usize,
    /// What the verdict rests on, in a sentence.
    pub why: String,
    /// What would have to be seen for another verdict.
    pub would_change: String,
}

impl Decision {
    /// Of a claim without figures.
    pub fn not_assessed() -> Self {
        Decision {
            verdict: Verdict::NotAssessed,
            effect: f64::NAN,
            interval: [f64::NEG_INFINITY, f64::INFINITY],
            p: 1.0,
            level: 0.0,
            n: 0,
            why: "nothing was run".to_string(),
            would_change: "runs".to_string(),
        }
    }

    /// Of a claim with `n` seeds that needs more.
    pub(crate) fn too_few(n: usize, needed: usize, level: f64) -> Self {
        Decision {
            verdict: Verdict::Inconclusive,
            level,
            n,
            why: format!("{n} seeds cannot reach p = {level}, however clear they are"),
            would_change: format!("{needed} seeds"),
            ..Decision::not_assessed()
        }
    }
}
