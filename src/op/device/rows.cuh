// Rows by fours of elements, and the threads that share a row: a warp or a block.

#pragma once

#include "common.cuh"

__device__ __forceinline__ float infinite() {
    return __int_as_float(0x7f800000);
}

struct Four {
    float at[4];
};

// Whether four elements at a multiple of four are one access, in rows of `cols` at all these places
// (0 for one row that is longer). Null is on every boundary.
template <class... Pointers>
__device__ __forceinline__ bool in_fours(u64 cols, Pointers... to) {
    return cols % 4 == 0 && (((u64)to % 16 == 0) && ...);
}

// The elements from `at` on, `beyond` where the row has ended. `at` is a multiple of four.
__device__ __forceinline__ Four load4(const float* row, u64 at, u64 cols, bool fours, float beyond) {
    Four x = {{beyond, beyond, beyond, beyond}};
    if (fours) {
        if (at < cols) {
            float4 v = *(const float4*)(row + at);
            x = {{v.x, v.y, v.z, v.w}};
        }
        return x;
    }
#pragma unroll
    for (u32 k = 0; k < 4; k += 1) {
        if (at + k < cols) {
            x.at[k] = row[at + k];
        }
    }
    return x;
}

// Writes the elements from `at` on, as far as the row goes, or adds them to what is there.
__device__ __forceinline__ void put4(float* row, u64 at, u64 cols, bool fours, Four x, u32 adds) {
    if (adds) {
        Four before = load4(row, at, cols, fours, 0.0f);
#pragma unroll
        for (u32 k = 0; k < 4; k += 1) {
            x.at[k] += before.at[k];
        }
    }
    if (fours) {
        if (at < cols) {
            *(float4*)(row + at) = make_float4(x.at[0], x.at[1], x.at[2], x.at[3]);
        }
        return;
    }
#pragma unroll
    for (u32 k = 0; k < 4; k += 1) {
        if (at + k < cols) {
            row[at + k] = x.at[k];
        }
    }
}

// A warp that shares a row.
struct Warp {
    static __device__ __forceinline__ u32 rank() {
        return threadIdx.x % 32;
    }
    static __device__ __forceinline__ u32 size() {
        return 32;
    }
    static __device__ __forceinline__ u64 row() {
        return thread_index() / 32;
    }
    static __device__ __forceinline__ float sum(float value) {
        return warp_sum(value);
    }
    static __device__ __forceinline__ float max(float value) {
        return warp_max(value);
    }
};

// A block of whole warps that shares a row.
struct Block {
    static __device__ __forceinline__ u32 rank() {
        return threadIdx.x;
    }
    static __device__ __forceinline__ u32 size() {
        return blockDim.x;
    }
    static __device__ __forceinline__ u64 row() {
        return blockIdx.x;
    }
    static __device__ __forceinline__ float sum(float value) {
        return block_sum(value);
    }
    static __device__ __forceinline__ float max(float value) {
        __shared__ float parts[32];
        value = warp_max(value);
        u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        // Nobody may still read the parts of the call before.
        __syncthreads();
        if (lane == 0) {
            parts[warp] = value;
        }
        __syncthreads();
        return warp_max(lane < blockDim.x / 32 ? parts[lane] : -infinite());
    }
};

// What is subtracted before exp: the largest, or 0 where all are −∞, since −∞ − (−∞) is NaN.
__device__ __forceinline__ float shift_of(float largest) {
    return largest == -infinite() ? 0.0f : largest;
}

// The largest of some numbers, and Σ e^(x − max), in one pass (Milakov & Gimelshein 2018).
struct Exponentials {
    float max;
    float sum;

    __device__ __forceinline__ void add(Four x) {
        float larger = fmaxf(max, fmaxf(fmaxf(x.at[0], x.at[1]), fmaxf(x.at[2], x.at[3])));
        if (larger > max) {
            sum *= expf(max - larger);
            max = larger;
        }
        float shift = shift_of(max);
        sum += (expf(x.at[0] - shift) + expf(x.at[1] - shift)) + (expf(x.at[2] - shift) + expf(x.at[3] - shift));
    }

    // Those of all threads of a team, the same in every thread.
    template <class Team>
    __device__ __forceinline__ Exponentials over() const {
        float largest = Team::max(max);
        float factor = max == largest ? 1.0f : expf(max - shift_of(largest));
        return {largest, Team::sum(sum * factor)};
    }
};
