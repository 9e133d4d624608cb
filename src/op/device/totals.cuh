// Sums in f64, for losses: one addition a row or a target costs nothing and keeps every digit.

#pragma once

#include "common.cuh"

// The sum over all threads of a block, a power of two of at most 1,024, the same in every thread.
__device__ __forceinline__ double block_total(double value) {
    __shared__ double parts[1024];
    parts[threadIdx.x] = value;
    for (u32 half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) {
            parts[threadIdx.x] += parts[threadIdx.x + half];
        }
    }
    __syncthreads();
    double total = parts[0];
    // The next call overwrites what is read here.
    __syncthreads();
    return total;
}
