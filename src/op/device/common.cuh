// What the kernels of all operators share.
//
// A kernel takes pointers to f32 tensors, row-major and contiguous; a pointer is null where an
// optional argument is absent or nobody wants a gradient. `put` sets a gradient or adds to it.

#pragma once

typedef unsigned int u32;
typedef unsigned long long u64;

#define KERNEL extern "C" __global__ void

__device__ __forceinline__ u64 thread_index() {
    return (u64)blockIdx.x * blockDim.x + threadIdx.x;
}

__device__ __forceinline__ void put(float* to, u64 at, float value, u32 adds) {
    to[at] = adds ? to[at] + value : value;
}

// The sum over the 32 lanes of a warp, the same in every lane.
__device__ __forceinline__ float warp_sum(float value) {
    for (int lane = 16; lane > 0; lane >>= 1) {
        value += __shfl_xor_sync(0xffffffffu, value, lane);
    }
    return value;
}

__device__ __forceinline__ float warp_max(float value) {
    for (int lane = 16; lane > 0; lane >>= 1) {
        value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, lane));
    }
    return value;
}

// The sum over all threads of a block, the same in every thread. All threads must come here; the
// block has whole warps.
__device__ __forceinline__ float block_sum(float value) {
    __shared__ float parts[32];
    value = warp_sum(value);
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    // Nobody may still read the parts of the sum before.
    __syncthreads();
    if (lane == 0) {
        parts[warp] = value;
    }
    __syncthreads();
    return warp_sum(lane < blockDim.x / 32 ? parts[lane] : 0.0f);
}
