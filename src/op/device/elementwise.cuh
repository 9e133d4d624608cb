// Kernels of one element at a time: each thread takes four.
//
// Where all tensors are on 16-byte boundaries the four are neighbours, and one access moves them.
// Elsewhere, and in the last block, they lie a block's width apart, so that the threads of a warp
// still touch neighbours.

#pragma once

#include "common.cuh"

__device__ __forceinline__ bool on_16_bytes(const void* pointer) {
    return (u64)pointer % 16 == 0;
}

// Whether rows of this many elements can be read by fours from this pointer on.
__device__ __forceinline__ bool rows_of_fours(const void* pointer, u64 cols) {
    return on_16_bytes(pointer) && cols % 4 == 0;
}

struct __align__(16) Quad {
    float of[4];
};

// The places of a thread's four elements.
struct Four {
    u64 first;
    u32 stride;
    // How many of them there are.
    u32 count;
    bool together;

    __device__ __forceinline__ u64 place(u32 k) const {
        return first + (u64)k * stride;
    }

    // The elements there; 0 where there is none.
    __device__ __forceinline__ Quad load(const float* from) const {
        Quad quad = {};
        if (together) {
            float4 value = *(const float4*)(from + first);
            quad = {value.x, value.y, value.z, value.w};
        } else {
            for (u32 k = 0; k < 4; k += 1) {
                if (k < count) {
                    quad.of[k] = from[place(k)];
                }
            }
        }
        return quad;
    }

    __device__ __forceinline__ void store(float* to, const Quad& quad) const {
        if (together) {
            *(float4*)(to + first) = make_float4(quad.of[0], quad.of[1], quad.of[2], quad.of[3]);
        } else {
            for (u32 k = 0; k < 4; k += 1) {
                if (k < count) {
                    to[place(k)] = quad.of[k];
                }
            }
        }
    }

    // Sets a gradient or adds to it. Nothing where nobody wants it.
    __device__ __forceinline__ void put(float* to, Quad quad, u32 adds) const {
        if (!to) {
            return;
        }
        if (adds) {
            Quad before = load(to);
            for (u32 k = 0; k < 4; k += 1) {
                quad.of[k] += before.of[k];
            }
        }
        store(to, quad);
    }
};

// The elements of this thread in block `block` of `blockDim.x` times four of them.
__device__ __forceinline__ Four four_of_block(u64 len, u64 block, bool aligned) {
    u64 start = block * 4 * blockDim.x;
    if (aligned && start + 4 * blockDim.x <= len) {
        return {start + 4 * threadIdx.x, 1, 4, true};
    }
    Four four = {start + threadIdx.x, blockDim.x, 0, false};
    for (u32 k = 0; k < 4; k += 1) {
        four.count += four.place(k) < len;
    }
    return four;
}

// The elements of this thread where a grid has a thread for every four of `len`. Pointers that are
// null are on every boundary.
template <typename... Pointers>
__device__ __forceinline__ Four my_four(u64 len, Pointers... pointers) {
    return four_of_block(len, blockIdx.x, (on_16_bytes(pointers) && ...));
}
