// The optimiser's kernels, and those of the gradient's sum and norm: see backend/update.rs for the
// formulas. Each thread takes a vector.

#include "../../op/device/elementwise.cuh"

// to += from.
KERNEL add_vectors(float* to, const float* from, u64 len) {
    Places places = my_places(len, to, from);
    places.put(to, places.read(from), 1);
}

// The sum over all threads of a block, in f64, in thread 0.
__device__ __forceinline__ double block_sum_f64(double value) {
    __shared__ double parts[32];
    for (int lane = 16; lane > 0; lane >>= 1) {
        value += __shfl_xor_sync(0xffffffffu, value, lane);
    }
    if (threadIdx.x % 32 == 0) {
        parts[threadIdx.x / 32] = value;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        for (u32 warp = 1; warp < blockDim.x / 32; warp += 1) {
            value += parts[warp];
        }
    }
    return value;
}

// parts is [blocks]: the sums of the squares of every so-many-th stretch.
KERNEL sum_of_squares_parts(const float* vector, double* parts, u64 len) {
    double sum = 0.0;
    for (u64 block = blockIdx.x; block * VECTOR * blockDim.x < len; block += gridDim.x) {
        for (float value : places_of_block(len, block, in_vectors(0, vector)).read(vector).of) {
            sum += (double)value * value;
        }
    }
    sum = block_sum_f64(sum);
    if (threadIdx.x == 0) {
        parts[blockIdx.x] = sum;
    }
}

// The root of the sum of all parts: the norm. One block.
KERNEL sum_of_squares(const double* parts, double* norm, u32 count) {
    double sum = 0.0;
    for (u32 i = threadIdx.x; i < count; i += blockDim.x) {
        sum += parts[i];
    }
    sum = block_sum_f64(sum);
    if (threadIdx.x == 0) {
        *norm = sqrt(sum);
    }
}

__device__ __forceinline__ bool is_finite(double value) {
    return fabs(value) < __longlong_as_double(0x7ff0000000000000);
}

// What the gradient is multiplied with so that it is no longer than `clip`: min(1, clip/(norm + 1e-6)),
// 1 where clip is 0. A NaN where nothing is to be updated: the norm or a loss is not finite.
__device__ __forceinline__ float clip_factor(const double* norm, float clip, const float* losses, u32 count) {
    bool finite = is_finite(*norm);
    for (u32 i = threadIdx.x; i < count; i += blockDim.x) {
        finite = finite && is_finite(losses[i]);
    }
    if (!__syncthreads_and(finite)) {
        return __int_as_float(0x7fffffff);
    }
    return clip == 0.0f ? 1.0f : (float)fmin(clip / (*norm + 1e-6), 1.0);
}

// p ← keep·p − rate·m/(√v·root + eps) after m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², over a stretch
// of the parameters with one decay: keep = 1 − lr·decay. The corrections of the bias are in rates:
// lr/(1 − β₁ᵗ) and root = 1/√(1 − β₂ᵗ). What changes from step to step is read from memory, so that
// the launch is the same in every step; rest1 = 1 − β₁ and rest2 = 1 − β₂ are formed in f64.
KERNEL adamw(float* parameters, const float* gradient, float* m, float* v, u64 len, const double* norm, float clip,
             const float* losses, u32 count, float beta1, float rest1, float beta2, float rest2,
             const float* rates, const float* keep, float eps) {
    float scale = clip_factor(norm, clip, losses, count);
    if (!(scale >= 0.0f)) {
        return;
    }
    float rate = rates[0], root = rates[1], share = *keep;
    Places places = my_places(len, parameters, gradient, m, v);
    Vector p = places.read(parameters), g = places.read(gradient), first = places.read(m), second = places.read(v);
    for (u32 k = 0; k < VECTOR; k += 1) {
        float slope = scale * g.of[k];
        first.of[k] = beta1 * first.of[k] + rest1 * slope;
        second.of[k] = beta2 * second.of[k] + rest2 * (slope * slope);
        p.of[k] = share * p.of[k] - rate * first.of[k] / (sqrtf(second.of[k]) * root + eps);
    }
    places.write(m, first);
    places.write(v, second);
    places.write(parameters, p);
}

// m ← βm + g, p ← keep·p − lr·m, over a stretch of the parameters with one decay.
KERNEL sgd(float* parameters, const float* gradient, float* m, u64 len, const double* norm, float clip,
           const float* losses, u32 count, float beta, const float* rates, const float* keep) {
    float scale = clip_factor(norm, clip, losses, count);
    if (!(scale >= 0.0f)) {
        return;
    }
    float lr = rates[0], share = *keep;
    Places places = my_places(len, parameters, gradient, m);
    Vector p = places.read(parameters), g = places.read(gradient), momentum = places.read(m);
    for (u32 k = 0; k < VECTOR; k += 1) {
        momentum.of[k] = beta * momentum.of[k] + scale * g.of[k];
        p.of[k] = share * p.of[k] - lr * momentum.of[k];
    }
    places.write(m, momentum);
    places.write(parameters, p);
}
