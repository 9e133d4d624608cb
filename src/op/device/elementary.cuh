// exp and the tail of the normal distribution: the polynomials of src/op/elementary.rs, where they
// are explained, and the same bits. No approximate instruction takes part.

#pragma once

#include "common.cuh"

// eˣ⁻ⁿˡⁿ², and a number with the integer n in its low bits.
__device__ __forceinline__ float parts_of_exp(float x, u32& shifted_bits) {
    const float ROUND = 12582912.0f;
    float shifted = fmaf(x, 1.44269504088896340736f, ROUND);
    float n = shifted - ROUND;
    float r = fmaf(n, -1.4286068e-6f, fmaf(n, -0.69314575f, x));
    float p = 0.0013814539f;
    p = fmaf(p, r, 0.008368745f);
    p = fmaf(p, r, 0.04166839f);
    p = fmaf(p, r, 0.16666521f);
    p = fmaf(p, r, 0.49999994f);
    p = fmaf(p, r, 1.0f);
    shifted_bits = __float_as_uint(shifted);
    return fmaf(p, r, 1.0f);
}

// eˣ within 1.0 ulp; 0 where it would be subnormal.
__device__ __forceinline__ float exp_of(float x) {
    u32 shifted;
    float significand = parts_of_exp(x, shifted);
    float scaled = __uint_as_float(__float_as_uint(significand) + (shifted << 23));
    // Above the range infinity, or the NaN that x is.
    float bounded = x <= 88.72283f ? scaled : x + __int_as_float(0x7f800000);
    return x < -87.33654f ? 0.0f : bounded;
}

// eˣ within 1.0 ulp for x ≤ 0, or a NaN; what is below the normal numbers may be flushed to 0.
__device__ __forceinline__ float exp_nonpositive(float x) {
    // The comparison is false for a NaN, which stays.
    x = x < -88.0f ? -88.0f : x;
    u32 shifted;
    float significand = parts_of_exp(x, shifted);
    return significand * __uint_as_float((shifted + 127) << 23);
}

// Φ(−|x|), and e^(−x²/2), which its density is made of.
__device__ __forceinline__ float normal_tail(float x, float& bell) {
    float t = 1.0f / fmaf(fabsf(x), 0.26f, 1.0f);
    float p = 0.03089622f;
    p = fmaf(p, t, -0.15474082f);
    p = fmaf(p, t, 0.2554678f);
    p = fmaf(p, t, -0.15553722f);
    p = fmaf(p, t, 0.16415332f);
    p = fmaf(p, t, 0.04964213f);
    p = fmaf(p, t, 0.103391424f);
    p = fmaf(p, t, 0.10296492f);
    p = fmaf(p, t, 0.10376219f);
    bell = exp_nonpositive(-0.5f * x * x);
    return bell * (t * p);
}

// σ(x), and σ(x)·(1 − σ(x)), both relatively accurate: neither is a difference.
__device__ __forceinline__ float sigmoid(float x, float& product) {
    float small = exp_nonpositive(-fabsf(x));
    float larger = 1.0f / (1.0f + small);
    float smaller = small * larger;
    product = smaller * larger;
    return x < 0.0f ? smaller : larger;
}
