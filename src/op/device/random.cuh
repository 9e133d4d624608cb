// Random numbers by counter, the same bits as those of rng.rs: the value at a place depends on the
// seed and the place only.

#pragma once

#include "common.cuh"

// A bijective scramble of 64 bits (the finaliser of SplitMix64).
__device__ __forceinline__ u64 mix(u64 z) {
    z += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

// A stream of random numbers that belongs to one seed and one path of indices.
struct Rng {
    u64 key;
    u64 count;

    // The stream of `seed`.
    static __device__ __forceinline__ Rng of(u64 seed) {
        return {mix(seed), 0};
    }
    // The independent stream of this one's seed and the number `index`.
    __device__ __forceinline__ Rng at(u64 index) const {
        return {mix(key ^ mix(index ^ 0x5851f42d4c957f2dull)), 0};
    }
    // The next 64 random bits.
    __device__ __forceinline__ u64 bits() {
        u64 value = mix(key ^ mix(count));
        count += 1;
        return value;
    }
    // The independent stream of this one's seed and a name (FNV-1a of the bytes).
    __device__ __forceinline__ Rng named(const char* name) const {
        u64 hash = 0xcbf29ce484222325ull;
        for (; *name; name += 1) {
            hash = (hash ^ (u64)*name) * 0x100000001b3ull;
        }
        return at(hash);
    }
    // Uniform in [0, 1), 53 bits.
    __device__ __forceinline__ double uniform() {
        return (double)(bits() >> 11) * 0x1p-53;
    }
    // A standard normal value (Box & Muller 1958).
    __device__ __forceinline__ double normal() {
        double radius = sqrt(-2.0 * log(1.0 - uniform()));
        return radius * cospi(2.0 * uniform());
    }
};
