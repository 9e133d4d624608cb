// A factor that rises to one: see ramp.rs for the formulas.

#include "device/elementwise.cuh"

// `to` is `from` times min(1, t/over) in step t, which the clock counts from 0: y of x, or dx of dy.
KERNEL ramp_apply(const Real* from, const float* clock, Real* to, u32 adds, u64 len, u64 over) {
    if (!to) {
        return;
    }
    // A negative clock is 0, as a cast in Rust makes it.
    u64 step = (u64)fmaxf(clock[0], 0.0f);
    float factor = (float)fmin((double)(step + 1) / (double)over, 1.0);
    Places places = my_places(len, from, to);
    Vector x = places.read(from);
    for (float& value : x.of) {
        value *= factor;
    }
    places.put(to, x, adds);
}
