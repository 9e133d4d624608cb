// Kernels of one element at a time: each thread takes a vector of them.
//
// Where all tensors are on 16-byte boundaries its elements are neighbours, and one access moves them.
// Elsewhere, and in the last block, they lie a block's width apart, so that the threads of a warp
// still touch neighbours.

#pragma once

#include "common.cuh"

// The places of a thread's elements.
struct Places {
    u64 first;
    u32 stride;
    // How many of them there are.
    u32 count;
    bool together;

    __device__ __forceinline__ u64 place(u32 k) const {
        return first + (u64)k * stride;
    }

    // The elements there; 0 where there is none.
    template <typename T>
    __device__ __forceinline__ Vector read(const T* from) const {
        Vector x = {};
        if (together) {
            load(from + first, x.of);
        } else {
            for (u32 k = 0; k < VECTOR; k += 1) {
                if (k < count) {
                    x.of[k] = from[place(k)];
                }
            }
        }
        return x;
    }

    template <typename T>
    __device__ __forceinline__ void write(T* to, const Vector& x) const {
        if (together) {
            store(to + first, x.of);
        } else {
            for (u32 k = 0; k < VECTOR; k += 1) {
                if (k < count) {
                    to[place(k)] = x.of[k];
                }
            }
        }
    }

    // Sets a gradient or adds to it. Nothing where nobody wants it.
    template <typename T>
    __device__ __forceinline__ void put(T* to, Vector x, u32 adds) const {
        if (!to) {
            return;
        }
        if (adds) {
            Vector before = read(to);
            for (u32 k = 0; k < VECTOR; k += 1) {
                x.of[k] += before.of[k];
            }
        }
        write(to, x);
    }
};

// The elements of this thread in block `block` of `blockDim.x` vectors of them.
__device__ __forceinline__ Places places_of_block(u64 len, u64 block, bool aligned) {
    u64 start = block * VECTOR * blockDim.x;
    if (aligned && start + VECTOR * blockDim.x <= len) {
        return {start + VECTOR * threadIdx.x, 1, VECTOR, true};
    }
    Places places = {start + threadIdx.x, blockDim.x, 0, false};
    for (u32 k = 0; k < VECTOR; k += 1) {
        places.count += places.place(k) < len;
    }
    return places;
}

// The elements of this thread where a grid has a thread for every vector of `len`.
template <typename... Pointers>
__device__ __forceinline__ Places my_places(u64 len, Pointers... pointers) {
    return places_of_block(len, blockIdx.x, in_vectors(0, pointers...));
}
