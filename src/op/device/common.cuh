// What the kernels of all operators share.
//
// A kernel takes pointers to tensors, row-major and contiguous; a pointer is null where an optional
// argument is absent or nobody wants a gradient. `put` sets a gradient or adds to it.
//
// Activations, learned tensors and their gradients are stored as Real, which verify/cuda/compile.py
// sets: f32, or 16 bits that are widened when they are read, and rounded to nearest even when they are
// written. Everything else is f32, and so is all arithmetic.

#pragma once

typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define KERNEL extern "C" __global__ void

struct Bf16 {
    u16 bits;

    Bf16() = default;
    __device__ __forceinline__ Bf16(float x) {
        asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    }
    __device__ __forceinline__ operator float() const {
        return __uint_as_float((u32)bits << 16);
    }
    // Two neighbours in a word, the first in its low half.
    static __device__ __forceinline__ u32 pack(float low, float high) {
        u32 pair;
        asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
        return pair;
    }
    static __device__ __forceinline__ void unpack(u32 pair, float& low, float& high) {
        low = __uint_as_float(pair << 16);
        high = __uint_as_float(pair & 0xffff0000u);
    }
};

struct F16 {
    u16 bits;

    F16() = default;
    __device__ __forceinline__ F16(float x) {
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    }
    static __device__ __forceinline__ float widen(u16 bits) {
        float x;
        asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
        return x;
    }
    __device__ __forceinline__ operator float() const {
        return widen(bits);
    }
    static __device__ __forceinline__ u32 pack(float low, float high) {
        u32 pair;
        asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
        return pair;
    }
    static __device__ __forceinline__ void unpack(u32 pair, float& low, float& high) {
        low = widen((u16)pair), high = widen((u16)(pair >> 16));
    }
};

#ifndef REAL
#define REAL float
#endif
typedef REAL Real;

// Elements of Real in an access of 16 bytes, and as many of them as numbers.
constexpr u32 VECTOR = 16 / sizeof(Real);
struct __align__(16) Vector {
    float of[VECTOR];
};

// Reads N neighbours: one by one, or on a boundary of 16 bytes (or of all their bytes, if these are
// fewer) in accesses of 16 bytes at most.
template <int N>
__device__ __forceinline__ void load(const float* from, float (&to)[N]) {
#pragma unroll
    for (int n = 0; n < N; n += N % 4 == 0 ? 4 : 1) {
        if constexpr (N % 4 == 0) {
            float4 four = *reinterpret_cast<const float4*>(from + n);
            to[n] = four.x, to[n + 1] = four.y, to[n + 2] = four.z, to[n + 3] = four.w;
        } else {
            to[n] = from[n];
        }
    }
}

template <int N>
__device__ __forceinline__ void store(float* to, const float (&from)[N]) {
#pragma unroll
    for (int n = 0; n < N; n += N % 4 == 0 ? 4 : 1) {
        if constexpr (N % 4 == 0) {
            *reinterpret_cast<float4*>(to + n) = make_float4(from[n], from[n + 1], from[n + 2], from[n + 3]);
        } else {
            to[n] = from[n];
        }
    }
}

template <class Half, int N>
__device__ __forceinline__ void load(const Half* from, float (&to)[N]) {
#pragma unroll
    for (int n = 0; n < N; n += N % 8 == 0 ? 8 : N % 4 == 0 ? 4 : 1) {
        if constexpr (N % 8 == 0) {
            uint4 pairs = *reinterpret_cast<const uint4*>(from + n);
            Half::unpack(pairs.x, to[n], to[n + 1]), Half::unpack(pairs.y, to[n + 2], to[n + 3]);
            Half::unpack(pairs.z, to[n + 4], to[n + 5]), Half::unpack(pairs.w, to[n + 6], to[n + 7]);
        } else if constexpr (N % 4 == 0) {
            uint2 pairs = *reinterpret_cast<const uint2*>(from + n);
            Half::unpack(pairs.x, to[n], to[n + 1]), Half::unpack(pairs.y, to[n + 2], to[n + 3]);
        } else {
            to[n] = from[n];
        }
    }
}

template <class Half, int N>
__device__ __forceinline__ void store(Half* to, const float (&from)[N]) {
#pragma unroll
    for (int n = 0; n < N; n += N % 8 == 0 ? 8 : N % 4 == 0 ? 4 : 1) {
        const float* x = from + n;
        if constexpr (N % 8 == 0) {
            *reinterpret_cast<uint4*>(to + n) = make_uint4(Half::pack(x[0], x[1]), Half::pack(x[2], x[3]),
                                                           Half::pack(x[4], x[5]), Half::pack(x[6], x[7]));
        } else if constexpr (N % 4 == 0) {
            *reinterpret_cast<uint2*>(to + n) = make_uint2(Half::pack(x[0], x[1]), Half::pack(x[2], x[3]));
        } else {
            to[n] = x[0];
        }
    }
}

// Whether rows of `cols` elements can be read N at a time from all these places on; null is on every
// boundary.
template <int N = VECTOR, class... Pointers>
__device__ __forceinline__ bool in_vectors(u64 cols, Pointers... to) {
    u64 low = cols * (16 / N);
    ((low |= (u64)to), ...);
    return low % 16 == 0;
}

// The same condition, which the compiler cannot know: it would make every loop around it twice, once
// for each answer.
__device__ __forceinline__ bool asked(bool condition) {
    u32 answer;
    asm volatile("mov.u32 %0, %1;" : "=r"(answer) : "r"((u32)condition));
    return answer;
}

__device__ __forceinline__ u64 thread_index() {
    return (u64)blockIdx.x * blockDim.x + threadIdx.x;
}

template <typename T>
__device__ __forceinline__ void put(T* to, u64 at, float value, u32 adds) {
    to[at] = adds ? (float)to[at] + value : value;
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
