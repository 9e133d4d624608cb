// Softmax over the last axis: see softmax.rs for the formulas.
//
// stats are, of every row, what is subtracted and 1/Σe. Up to 1,024 columns: a warp per row, which
// holds it in registers and reads it once. Above: a block per row, which reads it twice.

#include "device/rows.cuh"

// Vectors that a lane holds, and columns that the lanes hold of each.
constexpr u32 HELD = 32 / VECTOR, ACROSS = 32 * VECTOR;

// 1/Σe, or 0 where nothing may be attended to.
__device__ __forceinline__ float scale_of(float total) {
    return total == 0.0f ? 0.0f : 1.0f / total;
}

KERNEL softmax_forward_short(const Real* x, Real* y, float* stats, u64 rows, u32 cols) {
    u64 row = Warp::row();
    if (row >= rows) {
        return;
    }
    bool vectors = in_vectors(cols, x, y);
    u32 first = VECTOR * Warp::rank();
    Vector held[HELD];
    float largest = -infinite();
#pragma unroll
    for (u32 n = 0; n < HELD; n += 1) {
        if (n * ACROSS < cols) {
            held[n] = read(x + row * cols, n * ACROSS + first, cols, vectors, -infinite());
            for (u32 k = 0; k < VECTOR; k += 1) {
                largest = fmaxf(largest, held[n].of[k]);
            }
        }
    }
    float shift = shift_of(warp_max(largest)), total = 0.0f;
#pragma unroll
    for (u32 n = 0; n < HELD; n += 1) {
        if (n * ACROSS < cols) {
            for (u32 k = 0; k < VECTOR; k += 1) {
                held[n].of[k] = expf(held[n].of[k] - shift);
                total += held[n].of[k];
            }
        }
    }
    float scale = scale_of(warp_sum(total));
#pragma unroll
    for (u32 n = 0; n < HELD; n += 1) {
        if (n * ACROSS < cols) {
            for (u32 k = 0; k < VECTOR; k += 1) {
                held[n].of[k] *= scale;
            }
            put(y + row * cols, n * ACROSS + first, cols, vectors, held[n], 0);
        }
    }
    if (first == 0) {
        stats[2 * row] = shift;
        stats[2 * row + 1] = scale;
    }
}

KERNEL softmax_forward_long(const Real* x, Real* y, float* stats, u32 cols) {
    u64 row = blockIdx.x;
    bool vectors = in_vectors(cols, x, y);
    Exponentials mine = {-infinite(), 0.0f};
    for (u64 j = VECTOR * threadIdx.x; j < cols; j += VECTOR * blockDim.x) {
        mine.add(read(x + row * cols, j, cols, vectors, -infinite()));
    }
    Exponentials all = mine.over<Block>();
    float shift = shift_of(all.max), scale = scale_of(all.sum);
    for (u64 j = VECTOR * threadIdx.x; j < cols; j += VECTOR * blockDim.x) {
        Vector e = read(x + row * cols, j, cols, vectors, -infinite());
        for (u32 k = 0; k < VECTOR; k += 1) {
            e.of[k] = expf(e.of[k] - shift) * scale;
        }
        put(y + row * cols, j, cols, vectors, e, 0);
    }
    if (threadIdx.x == 0) {
        stats[2 * row] = shift;
        stats[2 * row + 1] = scale;
    }
}

// The y of some elements, made again; 0 beyond the row.
__device__ __forceinline__ Vector made_again(const Real* x, u64 j, u64 cols, bool vectors, float shift, float scale) {
    Vector y = read(x, j, cols, vectors, -infinite());
    for (u32 k = 0; k < VECTOR; k += 1) {
        y.of[k] = expf(y.of[k] - shift) * scale;
    }
    return y;
}

__device__ __forceinline__ float dot(Vector a, Vector b) {
    float sum = a.of[VECTOR - 1] * b.of[VECTOR - 1];
    for (u32 k = VECTOR - 1; k > 0; k -= 1) {
        sum = fmaf(a.of[k - 1], b.of[k - 1], sum);
    }
    return sum;
}

// y ⊙ (dy − Σ y ⊙ dy)
__device__ __forceinline__ Vector slope(Vector y, Vector dy, float projection) {
    for (u32 k = 0; k < VECTOR; k += 1) {
        y.of[k] *= dy.of[k] - projection;
    }
    return y;
}

KERNEL softmax_dx_short(const Real* x, const Real* dy, const float* stats, Real* dx, u32 adds, u64 rows, u32 cols) {
    u64 row = Warp::row();
    if (!dx || row >= rows) {
        return;
    }
    bool vectors = in_vectors(cols, x, dy, dx);
    u32 first = VECTOR * Warp::rank();
    Vector y[HELD], d[HELD];
    float projection = 0.0f;
#pragma unroll
    for (u32 n = 0; n < HELD; n += 1) {
        if (n * ACROSS < cols) {
            u32 j = n * ACROSS + first;
            y[n] = made_again(x + row * cols, j, cols, vectors, stats[2 * row], stats[2 * row + 1]);
            d[n] = read(dy + row * cols, j, cols, vectors, 0.0f);
            projection += dot(y[n], d[n]);
        }
    }
    projection = warp_sum(projection);
#pragma unroll
    for (u32 n = 0; n < HELD; n += 1) {
        if (n * ACROSS < cols) {
            put(dx + row * cols, n * ACROSS + first, cols, vectors, slope(y[n], d[n], projection), adds);
        }
    }
}

KERNEL softmax_dx_long(const Real* x, const Real* dy, const float* stats, Real* dx, u32 adds, u32 cols) {
    if (!dx) {
        return;
    }
    u64 row = blockIdx.x, start = row * cols;
    bool vectors = in_vectors(cols, x, dy, dx);
    float shift = stats[2 * row], scale = stats[2 * row + 1], projection = 0.0f;
    for (u64 j = VECTOR * threadIdx.x; j < cols; j += VECTOR * blockDim.x) {
        Vector y = made_again(x + start, j, cols, vectors, shift, scale);
        projection += dot(y, read(dy + start, j, cols, vectors, 0.0f));
    }
    projection = block_sum(projection);
    for (u64 j = VECTOR * threadIdx.x; j < cols; j += VECTOR * blockDim.x) {
        Vector y = made_again(x + start, j, cols, vectors, shift, scale);
        Vector d = read(dy + start, j, cols, vectors, 0.0f);
        put(dx + start, j, cols, vectors, slope(y, d, projection), adds);
    }
}
