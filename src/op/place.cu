// One place of every sequence: see place.rs for the formulas.

#include "device/common.cuh"

// y[b] = x[b, place]: a thread for each of the `len` elements of y. A sample of x has `sample` elements,
// and its place begins at `start`.
KERNEL at_place_forward(const Real* x, Real* y, u64 len, u64 cols, u64 sample, u64 start) {
    u64 i = thread_index();
    if (i < len) {
        y[i] = x[i / cols * sample + start + i % cols];
    }
}

// dx[b, place] = dy[b], and 0 elsewhere: a thread for each of the `len` elements of dx.
KERNEL at_place_dx(const Real* dy, Real* dx, u32 adds, u64 len, u64 cols, u64 sample, u64 start) {
    u64 i = thread_index();
    if (!dx || i >= len) {
        return;
    }
    u64 b = i / sample, at = i % sample - start;
    // What lies before the place wraps around to a large number.
    put(dx, i, at < cols ? (float)dy[b * cols + at] : 0.0f, adds);
}
