// Dropout and stochastic depth: see dropout.rs for the formulas.
//
// One kernel for both operators and both passes: `to` is `from` as the mask leaves it. The mask is
// drawn again in every pass, by the place in the whole batch.

#include "device/random.cuh"
#include "device/rows.cuh"

// The mask of one call: which decision every element shares, and how each is taken.
struct Mask {
    // Where this step's sequence of random numbers starts.
    u64 key;
    // Of 2³² equally likely numbers, those from here on keep.
    u64 threshold;

    // By the high half of output `index` of SplitMix64, which can be had without those before it.
    __device__ __forceinline__ bool keeps(u64 index) const {
        return mix(key + index * 0x9e3779b97f4a7c15ull) >> 32 >= threshold;
    }
};

// clock is [step, first sample]; of a sample there are per_sample decisions, each for `group`
// consecutive elements. Each thread takes every so-many-th vector, so that it draws the key once.
KERNEL dropout_apply(const Real* from, const float* clock, Real* to, u32 adds, u64 len, u64 seed, u64 threshold,
                     u64 per_sample, u64 group, float scale) {
    if (!to) {
        return;
    }
    // A negative clock is 0, as a cast in Rust makes it.
    u64 step = (u64)fmaxf(clock[0], 0.0f), first = (u64)fmaxf(clock[1], 0.0f) * per_sample;
    Mask mask = {Rng::of(seed).at(step).bits(), threshold};
    for (u64 i = VECTOR * thread_index(); i < len; i += VECTOR * (u64)gridDim.x * blockDim.x) {
        bool vectors = i + VECTOR <= len && in_vectors(0, from, to);
        Vector x = read(from, i, len, vectors, 0.0f);
        u64 decision = group == 1 ? i : i / group;
        u64 left = group == 1 ? 1 : (decision + 1) * group - i;
        bool keeps = mask.keeps(first + decision);
        for (u32 k = 0; k < VECTOR; k += 1) {
            if (left == 0) {
                decision += 1;
                left = group;
                keeps = mask.keeps(first + decision);
            }
            left -= 1;
            // Chosen, not multiplied: a NaN that is dropped is 0.
            x.of[k] = keeps ? x.of[k] * scale : 0.0f;
        }
        put(to, i, len, vectors, x, adds);
    }
}
