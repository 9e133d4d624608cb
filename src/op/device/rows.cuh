// Rows by vectors, and the threads that share a row: a warp or a block.

#pragma once

#include "common.cuh"

__device__ __forceinline__ float infinite() {
    return __int_as_float(0x7f800000);
}

// The elements from `at` on, `beyond` where the row has ended. `at` is a whole number of vectors, and
// with `vectors` one access reads them.
template <typename T>
__device__ __forceinline__ Vector read(const T* row, u64 at, u64 cols, bool vectors, float beyond) {
    Vector x;
    for (float& value : x.of) {
        value = beyond;
    }
    if (asked(vectors)) {
        if (at < cols) {
            load(row + at, x.of);
        }
        return x;
    }
#pragma unroll
    for (u32 k = 0; k < VECTOR; k += 1) {
        if (at + k < cols) {
            x.of[k] = row[at + k];
        }
    }
    return x;
}

// Writes the elements from `at` on, as far as the row goes, or adds them to what is there.
template <typename T>
__device__ __forceinline__ void put(T* row, u64 at, u64 cols, bool vectors, Vector x, u32 adds) {
    if (asked(adds)) {
        Vector before = read(row, at, cols, vectors, 0.0f);
#pragma unroll
        for (u32 k = 0; k < VECTOR; k += 1) {
            x.of[k] += before.of[k];
        }
    }
    if (asked(vectors)) {
        if (at < cols) {
            store(row + at, x.of);
        }
        return;
    }
#pragma unroll
    for (u32 k = 0; k < VECTOR; k += 1) {
        if (at + k < cols) {
            row[at + k] = x.of[k];
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

// The sum of four neighbours at a time, as a tree.
__device__ __forceinline__ float sum_of(Vector x) {
    float sum = 0.0f;
    for (u32 k = 0; k < VECTOR; k += 4) {
        sum += (x.of[k] + x.of[k + 1]) + (x.of[k + 2] + x.of[k + 3]);
    }
    return sum;
}

// The largest of some numbers, and Σ e^(x − max), in one pass (Milakov & Gimelshein 2018).
struct Exponentials {
    float max;
    float sum;

    __device__ __forceinline__ void add(Vector x) {
        float larger = max;
        for (float value : x.of) {
            larger = fmaxf(larger, value);
        }
        if (larger > max) {
            sum *= expf(max - larger);
            max = larger;
        }
        float shift = shift_of(max);
        for (float& value : x.of) {
            value = expf(value - shift);
        }
        sum += sum_of(x);
    }

    // Those of all threads of a team, the same in every thread.
    template <class Team>
    __device__ __forceinline__ Exponentials over() const {
        float largest = Team::max(max);
        float factor = max == largest ? 1.0f : expf(max - shift_of(largest));
        return {largest, Team::sum(sum * factor)};
    }
};
