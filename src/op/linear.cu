// The linear map: see linear.rs for the formulas.
//
// All three products are one template, to[m, n] = Σ_k a(m, k)·b(n, k), in f32 throughout. A block
// forms a tile of the result: slices of both factors go through shared memory, and every thread
// keeps SIDE × SIDE sums in registers. Where tiles are few and the sum is long, it is cut into
// `splits` parts, which a second kernel adds in order.

#include "device/columns.cuh"
#include "device/elementwise.cuh"

// Threads of a block lie 16 × 16.
const u32 ACROSS = 16;

struct Four {
    float of[4];
};

// A factor as it lies in memory. BY_ROWS: element (m, k) at m·depth + k, else at k·size + m.
template <bool BY_ROWS>
struct Factor {
    const Real* data;
    u64 size, depth;
    bool by_fours;

    __device__ __forceinline__ Factor(const Real* data, u64 size, u64 depth)
        : data(data), size(size), depth(depth), by_fours(in_vectors<4>(BY_ROWS ? depth : size, data)) {}

    // Four neighbours of a stored row from (m, k) on; 0 beyond the edge, and from k = end on.
    __device__ __forceinline__ Four read(u64 m, u64 k, u64 end) const {
        Four four = {};
        if (m >= size || k >= end) {
            return four;
        }
        const Real* from = data + (BY_ROWS ? m * depth + k : k * size + m);
        u64 left = BY_ROWS ? end - k : size - m;
        if (by_fours && left >= 4) {
            load(from, four.of);
        } else {
            for (u32 n = 0; n < 4; n += 1) {
                if (n < left) {
                    four.of[n] = from[n];
                }
            }
        }
        return four;
    }
};

// A slice of a factor in shared memory, [DEPTH][TILE], and this thread's share in filling it: one
// Four. Rows are 4 longer than a tile, so that the stores across rows meet different banks.
template <u32 TILE, u32 DEPTH, bool BY_ROWS>
struct Slice {
    static constexpr u32 FOURS = (BY_ROWS ? DEPTH : TILE) / 4;
    float of[DEPTH][TILE + 4];

    static __device__ __forceinline__ u32 my_m() {
        return BY_ROWS ? threadIdx.x / FOURS : threadIdx.x % FOURS * 4;
    }
    static __device__ __forceinline__ u32 my_k() {
        return BY_ROWS ? threadIdx.x % FOURS * 4 : threadIdx.x / FOURS;
    }
    __device__ __forceinline__ void write(Four four) {
        u32 m = my_m(), k = my_k();
        if (BY_ROWS) {
            for (u32 n = 0; n < 4; n += 1) {
                of[k + n][m] = four.of[n];
            }
        } else {
            store(&of[k][m], four.of);
        }
    }
};

// The tile's row or column of sum `i` of a thread: fours that lie four times the threads apart, so that
// neighbouring threads read neighbouring float4 of a slice.
__device__ __forceinline__ u32 place_of_sum(u32 thread, u32 i) {
    return (i / 4 * ACROSS + thread) * 4 + i % 4;
}

// Adds the products of two slices to the sums of this thread.
template <u32 SIDE, u32 DEPTH, typename A, typename B>
__device__ __forceinline__ void multiply(const A& a_slice, const B& b_slice, float (&sums)[SIDE][SIDE]) {
    u32 down = threadIdx.x / ACROSS, across = threadIdx.x % ACROSS;
#pragma unroll 4
    for (u32 k = 0; k < DEPTH; k += 1) {
        float a[SIDE], b[SIDE];
#pragma unroll
        for (u32 i = 0; i < SIDE; i += 4) {
            *(float4*)(a + i) = *(const float4*)&a_slice.of[k][place_of_sum(down, i)];
            *(float4*)(b + i) = *(const float4*)&b_slice.of[k][place_of_sum(across, i)];
        }
#pragma unroll
        for (u32 i = 0; i < SIDE; i += 1) {
#pragma unroll
            for (u32 j = 0; j < SIDE; j += 1) {
                sums[i][j] = fmaf(a[i], b[j], sums[i][j]);
            }
        }
    }
}

// Sets the first `count` of four neighbours, or adds to them; by_fours, if that is one access.
template <typename T>
__device__ __forceinline__ void put_four(T* to, u64 count, Four four, u32 adds, bool by_fours) {
    if (by_fours) {
        Four before = {};
        if (adds) {
            load(to, before.of);
        }
        for (u32 k = 0; k < 4; k += 1) {
            four.of[k] = before.of[k] + four.of[k];
        }
        store(to, four.of);
    } else {
        for (u32 k = 0; k < 4; k += 1) {
            if (k < count) {
                put(to, k, four.of[k], adds);
            }
        }
    }
}

// Puts the sums of this thread where they belong in the result, the bias of a column added.
template <u32 SIDE, typename T>
__device__ __forceinline__ void put_tile(float (&sums)[SIDE][SIDE], T* to, u32 adds, const Real* bias, u64 row,
                                         u64 col, u64 rows, u64 cols) {
    bool by_fours = in_vectors<4>(cols, to);
#pragma unroll 1
    for (u32 i = 0; i < SIDE; i += 1) {
        u64 m = row + place_of_sum(threadIdx.x / ACROSS, i);
#pragma unroll
        for (u32 j = 0; j < SIDE; j += 4) {
            u64 n = col + place_of_sum(threadIdx.x % ACROSS, j);
            Four sum;
            for (u32 k = 0; k < 4; k += 1) {
                sum.of[k] = sums[0][j + k] + (bias && n + k < cols ? (float)bias[n + k] : 0.0f);
            }
            if (m < rows && n < cols) {
                put_four(to + m * cols + n, cols - n, sum, asked(adds), asked(by_fours));
            }
        }
        // The next row comes to the front: so one code serves all, and they stay in registers.
#pragma unroll
        for (u32 r = 1; r < SIDE; r += 1) {
            for (u32 j = 0; j < SIDE; j += 1) {
                sums[r - 1][j] = sums[r][j];
            }
        }
    }
}

template <u32 SIDE, bool A_BY_ROWS, bool B_BY_ROWS>
__device__ __forceinline__ void product(const Real* a_data, const Real* b_data, const Real* bias, Real* to,
                                        u32 adds, float* parts, u64 rows, u64 cols, u64 depth, u32 splits) {
    // A slice is 1024 numbers: four a thread.
    const u32 TILE = SIDE * ACROSS, DEPTH = 1024 / TILE;
    __shared__ __align__(16) Slice<TILE, DEPTH, A_BY_ROWS> a_slice;
    __shared__ __align__(16) Slice<TILE, DEPTH, B_BY_ROWS> b_slice;
    if (!to) {
        return;
    }
    Factor<A_BY_ROWS> a(a_data, rows, depth);
    Factor<B_BY_ROWS> b(b_data, cols, depth);
    u32 tiles = (cols + TILE - 1) / TILE;
    u32 split = blockIdx.x % splits, tile = blockIdx.x / splits;
    u64 row = (u64)(tile / tiles) * TILE, col = (u64)(tile % tiles) * TILE;
    // The share of this split in the sum, in whole slices.
    u64 slices = (depth + DEPTH - 1) / DEPTH;
    u64 share = (slices + splits - 1) / splits * DEPTH;
    u64 start = split * share, end = min(start + share, depth);

    float sums[SIDE][SIDE] = {};
    Four a_next = a.read(row + a_slice.my_m(), start + a_slice.my_k(), end);
    Four b_next = b.read(col + b_slice.my_m(), start + b_slice.my_k(), end);
    for (u64 k = start; k < end; k += DEPTH) {
        a_slice.write(a_next);
        b_slice.write(b_next);
        __syncthreads();
        // The next slice is under way while this one is used.
        a_next = a.read(row + a_slice.my_m(), k + DEPTH + a_slice.my_k(), end);
        b_next = b.read(col + b_slice.my_m(), k + DEPTH + b_slice.my_k(), end);
        multiply<SIDE, DEPTH>(a_slice, b_slice, sums);
        __syncthreads();
    }
    if (splits > 1) {
        put_tile<SIDE>(sums, parts + split * rows * cols, 0, nullptr, row, col, rows, cols);
    } else {
        put_tile<SIDE>(sums, to, adds, bias, row, col, rows, cols);
    }
}

// y = x·weightᵀ + bias: [rows, out] from a sum over the columns of x.
KERNEL linear_forward(const Real* x, const Real* weight, const Real* bias, Real* y, float* parts,
                      u64 rows, u64 cols, u64 depth, u32 splits) {
    product<4, true, true>(x, weight, bias, y, 0, parts, rows, cols, depth, splits);
}
KERNEL linear_forward_wide(const Real* x, const Real* weight, const Real* bias, Real* y, float* parts,
                           u64 rows, u64 cols, u64 depth, u32 splits) {
    product<8, true, true>(x, weight, bias, y, 0, parts, rows, cols, depth, splits);
}

// dx = dy·weight: [rows, cols] from a sum over the outputs.
KERNEL linear_dx(const Real* dy, const Real* weight, Real* dx, u32 adds, float* parts, u64 rows,
                 u64 cols, u64 depth, u32 splits) {
    product<4, true, false>(dy, weight, nullptr, dx, adds, parts, rows, cols, depth, splits);
}
KERNEL linear_dx_wide(const Real* dy, const Real* weight, Real* dx, u32 adds, float* parts, u64 rows,
                      u64 cols, u64 depth, u32 splits) {
    product<8, true, false>(dy, weight, nullptr, dx, adds, parts, rows, cols, depth, splits);
}

// dweight = dyᵀ·x: [out, cols] from a sum over the rows.
KERNEL linear_dweight(const Real* dy, const Real* x, Real* dweight, u32 adds, float* parts, u64 rows,
                      u64 cols, u64 depth, u32 splits) {
    product<4, false, false>(dy, x, nullptr, dweight, adds, parts, rows, cols, depth, splits);
}
KERNEL linear_dweight_wide(const Real* dy, const Real* x, Real* dweight, u32 adds, float* parts, u64 rows,
                           u64 cols, u64 depth, u32 splits) {
    product<8, false, false>(dy, x, nullptr, dweight, adds, parts, rows, cols, depth, splits);
}

// Adds the parts of a sum that was cut, [splits, rows, cols], and the bias of each column.
__device__ __forceinline__ void add_splits(const float* parts, const Real* bias, Real* to, u32 adds, u64 rows,
                                           u64 cols, u32 splits) {
    if (!to) {
        return;
    }
    u64 len = rows * cols;
    // With the second part on a boundary, every one is.
    Places places = my_places(len, parts, parts + len, to);
    Vector sum = places.read(parts);
    for (u64 split = 1; split < splits; split += 1) {
        Vector part = places.read(parts + split * len);
        for (u32 k = 0; k < VECTOR; k += 1) {
            sum.of[k] += part.of[k];
        }
    }
    for (u32 k = 0; k < VECTOR; k += 1) {
        if (bias && k < places.count) {
            sum.of[k] += bias[places.place(k) % cols];
        }
    }
    places.put(to, sum, adds);
}

KERNEL linear_forward_splits(const float* parts, const Real* bias, Real* y, u64 rows, u64 cols, u32 splits) {
    add_splits(parts, bias, y, 0, rows, cols, splits);
}

KERNEL linear_vjp_splits(const float* parts, Real* to, u32 adds, u64 rows, u64 cols, u32 splits) {
    add_splits(parts, nullptr, to, adds, rows, cols, splits);
}

// Partial sums of dbias = Σ dy. (`adds` comes with every gradient.)
KERNEL linear_dbias_parts(const Real* dy, const Real* dbias, u32 adds, float* parts, u64 rows, u32 cols) {
    if (dbias) {
        column_parts(parts, rows, cols, [=](u64 i, u32 j) { return dy[i * cols + j]; });
    }
}

KERNEL linear_dbias(const float* parts, Real* dbias, u32 adds, u32 rows, u32 cols) {
    if (dbias) {
        column_totals(parts, dbias, adds, rows, cols);
    }
}
