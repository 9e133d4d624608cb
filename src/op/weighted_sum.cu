// A weighted sum of tensors: see weighted_sum.rs for the formulas. weight is the row of the matrix that is
// met.

#include "device/elementwise.cuh"

// y = Σⱼ weight[j]·xⱼ over so many terms; the pointers behind them are not read.
KERNEL weighted_sum_forward(const Real* x1, const Real* x2, const Real* x3, const Real* x4, const Real* x5,
                            const Real* x6, const Real* x7, const Real* weights, Real* y, u64 len, u32 row,
                            u32 terms) {
    const Real* x[] = {x1, x2, x3, x4, x5, x6, x7};
    const Real* weight = weights + (u64)row * terms;
    Places places = my_places(len, x1, x2, x3, x4, x5, x6, x7, y);
    Vector sum = {};
#pragma unroll
    for (u32 j = 0; j < sizeof(x) / sizeof(x[0]); j += 1) {
        if (j < terms) {
            Vector term = places.read(x[j]);
            float factor = weight[j];
            for (u32 k = 0; k < VECTOR; k += 1) {
                sum.of[k] = fmaf(factor, term.of[k], sum.of[k]);
            }
        }
    }
    places.write(y, sum);
}

// dx of term j, and of dy ⊙ x the sum of every block: parts is [terms, blocks].
KERNEL weighted_sum_vjp(const Real* x, const Real* weights, const Real* dy, Real* dx, u32 adds, float* parts,
                        u64 len, u32 row, u32 terms, u32 j) {
    float factor = weights[(u64)row * terms + j], along = 0.0f;
    u64 taken = (len + VECTOR * blockDim.x - 1) / (VECTOR * blockDim.x);
    bool aligned = in_vectors(0, x, dy, dx);
    for (u64 block = blockIdx.x; block < taken; block += gridDim.x) {
        Places places = places_of_block(len, block, aligned);
        Vector v = places.read(x), d = places.read(dy);
        for (u32 k = 0; k < VECTOR; k += 1) {
            along = fmaf(d.of[k], v.of[k], along);
            d.of[k] *= factor;
        }
        places.put(dx, d, adds);
    }
    along = block_sum(along);
    if (threadIdx.x == 0) {
        parts[(u64)j * gridDim.x + blockIdx.x] = along;
    }
}

// dweight, a block for every element of the matrix: 0 but in the row that is met.
KERNEL weighted_sum_dweight(const float* parts, Real* dweight, u32 adds, u32 blocks, u32 row, u32 terms) {
    if (!dweight) {
        return;
    }
    float sum = 0.0f;
    if (blockIdx.x / terms == row) {
        for (u32 i = threadIdx.x; i < blocks; i += blockDim.x) {
            sum += parts[(u64)(blockIdx.x % terms) * blocks + i];
        }
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) {
        put(dweight, blockIdx.x, sum, adds);
    }
}
