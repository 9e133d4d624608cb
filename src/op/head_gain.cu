// One gain per head: see head_gain.rs for the formulas. A head has `each` columns.

#include "device/columns.cuh"
#include "device/elementwise.cuh"

KERNEL head_gain_forward(const Real* x, const Real* gain, Real* y, u64 len, u32 heads, u32 each) {
    Places places = my_places(len, x, y);
    Vector v = places.read(x);
    for (u32 k = 0; k < VECTOR; k += 1) {
        if (k < places.count) {
            v.of[k] *= gain[places.place(k) / each % heads];
        }
    }
    places.write(y, v);
}

// dx, and partial sums of dy ⊙ x, column by column.
KERNEL head_gain_vjp(const Real* x, const Real* gain, const Real* dy, Real* dx, u32 adds, u32 each, float* parts,
                     u64 rows, u32 cols) {
    column_parts(parts, rows, cols, [=](u64 i, u32 j) {
        u64 at = i * cols + j;
        float d = dy[at], along = d * x[at];
        if (dx) {
            put(dx, at, gain[j / each] * d, adds);
        }
        return along;
    });
}

// A block adds the partial sums of the columns of a head.
KERNEL head_gain_dgain(const float* parts, Real* dgain, u32 adds, u32 rows, u32 cols, u32 each) {
    if (!dgain) {
        return;
    }
    u64 count = (u64)rows * each;
    float sum = 0.0f;
    for (u64 i = threadIdx.x; i < count; i += blockDim.x) {
        sum += parts[i / each * cols + blockIdx.x * each + i % each];
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) {
        put(dgain, blockIdx.x, sum, adds);
    }
}
