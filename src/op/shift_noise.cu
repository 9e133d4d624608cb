// Noise that is another one at every step: see shift_noise.rs for the formulas.

#include "device/random.cuh"

// s and m of the element at `place` of the whole batch, which is in column `col`. In f64, as on the CPU: of
// the random bits, which are the same, comes the same f32 but for a rounding here and there.
__device__ __forceinline__ void draw(const Rng& step, u64 place, u64 col, double n, float& s, float& m) {
    Rng column = step.named("column").at(col), own = step.at(place);
    double mean = n * (2.0 * column.uniform() - 1.0);
    double deviation = 1.0 + 0.5 * n * column.uniform();
    s = (float)(deviation + 0.2 * n * own.normal());
    m = (float)(mean + 0.2 * n * (2.0 * own.uniform() - 1.0));
}

// Those of element `at` of a part of the batch, n by its bits.
__device__ __forceinline__ void draw(const float* clock, u64 at, u64 seed, u64 per_sample, u32 cols, u64 n, float& s,
                                     float& m) {
    // A negative clock is 0, as a cast in Rust makes it.
    u64 step = (u64)fmaxf(clock[0], 0.0f), first = (u64)fmaxf(clock[1], 0.0f) * per_sample;
    draw(Rng::of(seed).at(step), first + at, at % cols, __longlong_as_double(n), s, m);
}

// A thread for every element: what it draws is most of the work.
KERNEL shift_noise_forward(const Real* x, const float* clock, Real* y, u64 len, u64 seed, u64 per_sample, u32 cols,
                           u64 n) {
    u64 at = thread_index();
    if (at < len) {
        float s, m;
        draw(clock, at, seed, per_sample, cols, n, s, m);
        y[at] = fmaf(s, x[at], m);
    }
}

KERNEL shift_noise_dx(const Real* dy, const float* clock, Real* dx, u32 adds, u64 len, u64 seed, u64 per_sample,
                      u32 cols, u64 n) {
    u64 at = thread_index();
    if (dx && at < len) {
        float s, m;
        draw(clock, at, seed, per_sample, cols, n, s, m);
        put(dx, at, s * dy[at], adds);
    }
}
