// Softmax over the last axis: see softmax.rs for the formulas.
//
// stats are, of every row, what is subtracted and 1/Σe. Up to 1,024 columns: a warp per row, which
// holds it in registers and reads it once. Above: a block per row, which reads it twice.

#include "device/rows.cuh"

// Fours that a lane holds, and columns that the lanes hold of each.
constexpr u32 HELD = 8, ACROSS = 128;

// 1/Σe, or 0 where nothing may be attended to.
__device__ __forceinline__ float scale_of(float total) {
    return total == 0.0f ? 0.0f : 1.0f / total;
}

KERNEL softmax_forward_short(const float* x, float* y, float* stats, u64 rows, u32 cols) {
    u64 row = Warp::row();
    if (row >= rows) {
        return;
    }
    bool fours = in_fours(cols, x, y);
    u32 first = 4 * Warp::rank();
    Four held[HELD];
    float largest = -infinite();
#pragma unroll
    for (u32 n = 0; n < HELD; n += 1) {
        if (n * ACROSS < cols) {
            held[n] = load4(x + row * cols, n * ACROSS + first, cols, fours, -infinite());
            for (u32 k = 0; k < 4; k += 1) {
                largest = fmaxf(largest, held[n].at[k]);
            }
        }
    }
    float shift = shift_of(warp_max(largest)), total = 0.0f;
#pragma unroll
    for (u32 n = 0; n < HELD; n += 1) {
        if (n * ACROSS < cols) {
            for (u32 k = 0; k < 4; k += 1) {
                held[n].at[k] = expf(held[n].at[k] - shift);
                total += held[n].at[k];
            }
        }
    }
    float scale = scale_of(warp_sum(total));
#pragma unroll
    for (u32 n = 0; n < HELD; n += 1) {
        if (n * ACROSS < cols) {
            for (u32 k = 0; k < 4; k += 1) {
                held[n].at[k] *= scale;
            }
            put4(y + row * cols, n * ACROSS + first, cols, fours, held[n], 0);
        }
    }
    if (first == 0) {
        stats[2 * row] = shift;
        stats[2 * row + 1] = scale;
    }
}

KERNEL softmax_forward_long(const float* x, float* y, float* stats, u32 cols) {
    u64 row = blockIdx.x;
    bool fours = in_fours(cols, x, y);
    Exponentials mine = {-infinite(), 0.0f};
    for (u64 j = 4 * threadIdx.x; j < cols; j += 4 * blockDim.x) {
        mine.add(load4(x + row * cols, j, cols, fours, -infinite()));
    }
    Exponentials all = mine.over<Block>();
    float shift = shift_of(all.max), scale = scale_of(all.sum);
    for (u64 j = 4 * threadIdx.x; j < cols; j += 4 * blockDim.x) {
        Four e = load4(x + row * cols, j, cols, fours, -infinite());
        for (u32 k = 0; k < 4; k += 1) {
            e.at[k] = expf(e.at[k] - shift) * scale;
        }
        put4(y + row * cols, j, cols, fours, e, 0);
    }
    if (threadIdx.x == 0) {
        stats[2 * row] = shift;
        stats[2 * row + 1] = scale;
    }
}

// The y of four elements, made again; 0 beyond the row.
__device__ __forceinline__ Four made_again(const float* x, u64 j, u64 cols, bool fours, float shift, float scale) {
    Four y = load4(x, j, cols, fours, -infinite());
    for (u32 k = 0; k < 4; k += 1) {
        y.at[k] = expf(y.at[k] - shift) * scale;
    }
    return y;
}

__device__ __forceinline__ float dot4(Four a, Four b) {
    return fmaf(a.at[0], b.at[0], fmaf(a.at[1], b.at[1], fmaf(a.at[2], b.at[2], a.at[3] * b.at[3])));
}

// y ⊙ (dy − Σ y ⊙ dy)
__device__ __forceinline__ Four slope(Four y, Four dy, float projection) {
    for (u32 k = 0; k < 4; k += 1) {
        y.at[k] *= dy.at[k] - projection;
    }
    return y;
}

KERNEL softmax_dx_short(const float* x, const float* dy, const float* stats, float* dx, u32 adds, u64 rows, u32 cols) {
    u64 row = Warp::row();
    if (!dx || row >= rows) {
        return;
    }
    bool fours = in_fours(cols, x, dy, dx);
    u32 first = 4 * Warp::rank();
    Four y[HELD], d[HELD];
    float projection = 0.0f;
#pragma unroll
    for (u32 n = 0; n < HELD; n += 1) {
        if (n * ACROSS < cols) {
            u32 j = n * ACROSS + first;
            y[n] = made_again(x + row * cols, j, cols, fours, stats[2 * row], stats[2 * row + 1]);
            d[n] = load4(dy + row * cols, j, cols, fours, 0.0f);
            projection += dot4(y[n], d[n]);
        }
    }
    projection = warp_sum(projection);
#pragma unroll
    for (u32 n = 0; n < HELD; n += 1) {
        if (n * ACROSS < cols) {
            put4(dx + row * cols, n * ACROSS + first, cols, fours, slope(y[n], d[n], projection), adds);
        }
    }
}

KERNEL softmax_dx_long(const float* x, const float* dy, const float* stats, float* dx, u32 adds, u32 cols) {
    if (!dx) {
        return;
    }
    u64 row = blockIdx.x, start = row * cols;
    bool fours = in_fours(cols, x, dy, dx);
    float shift = stats[2 * row], scale = stats[2 * row + 1], projection = 0.0f;
    for (u64 j = 4 * threadIdx.x; j < cols; j += 4 * blockDim.x) {
        Four y = made_again(x + start, j, cols, fours, shift, scale);
        projection += dot4(y, load4(dy + start, j, cols, fours, 0.0f));
    }
    projection = block_sum(projection);
    for (u64 j = 4 * threadIdx.x; j < cols; j += 4 * blockDim.x) {
        Four y = made_again(x + start, j, cols, fours, shift, scale);
        Four d = load4(dy + start, j, cols, fours, 0.0f);
        put4(dx + start, j, cols, fours, slope(y, d, projection), adds);
    }
}
