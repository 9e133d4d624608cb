// Sums over the rows of a matrix, one for each column, in two steps.
//
// In the first, each block takes every so-many-th row and leaves a row of partial sums: parts is
// [blocks, cols]. In the second, a block adds 32 columns of them. The host's side is columns.rs.

#pragma once

#include "common.cuh"

const u32 COLUMN_THREADS = 256;

// Forms the partial sums of term(row, column). Where there are fewer columns than threads, the block
// takes several rows side by side and adds their sums as a tree.
template <typename Term>
__device__ __forceinline__ void column_parts(float* parts, u64 rows, u32 cols, Term term) {
    __shared__ float sums[COLUMN_THREADS];
    u32 width = min(cols, COLUMN_THREADS);
    u32 slots = COLUMN_THREADS / width;
    u32 slot = threadIdx.x / width;
    for (u32 j = threadIdx.x % width; j < cols && slot < slots; j += width) {
        float sum = 0.0f;
        for (u64 i = (u64)blockIdx.x * slots + slot; i < rows; i += (u64)gridDim.x * slots) {
            sum += term(i, j);
        }
        if (slots == 1) {
            parts[(u64)blockIdx.x * cols + j] = sum;
        } else {
            sums[threadIdx.x] = sum;
        }
    }
    if (slots == 1) {
        return;
    }
    for (u32 half = COLUMN_THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (slot < half && slot + half < slots) {
            sums[threadIdx.x] += sums[threadIdx.x + half * width];
        }
    }
    if (slot == 0) {
        parts[(u64)blockIdx.x * cols + threadIdx.x] = sums[threadIdx.x];
    }
}

// Adds the partial sums of 32 columns: each warp every eighth row of them, then one warp the eight.
__device__ __forceinline__ void column_totals(const float* parts, Real* to, u32 adds, u32 rows, u32 cols) {
    const u32 WARPS = COLUMN_THREADS / 32;
    __shared__ float sums[WARPS][32];
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    u64 j = (u64)blockIdx.x * 32 + lane;
    float sum = 0.0f;
    if (j < cols) {
#pragma unroll 4
        for (u64 i = warp; i < rows; i += WARPS) {
            sum += parts[i * cols + j];
        }
    }
    sums[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && j < cols) {
        for (u32 other = 1; other < WARPS; other += 1) {
            sum += sums[other][lane];
        }
        put(to, j, sum, adds);
    }
}
