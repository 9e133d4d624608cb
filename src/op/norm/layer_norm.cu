// Layer normalisation: see layer_norm.rs for the formulas.
//
// Forward and dx: a block per row. The variance is that of the centred values. dweight and dbias:
// each block takes every so-many-th row and leaves a row of partial sums, which a second kernel adds.

#include "../device/common.cuh"

KERNEL layer_norm_forward(const float* x, const float* weight, const float* bias, float* y, float* stats,
                          u32 cols, float eps) {
    u64 row = (u64)blockIdx.x * cols;
    float sum = 0.0f;
    for (u32 j = threadIdx.x; j < cols; j += blockDim.x) {
        sum += x[row + j];
    }
    float mean = block_sum(sum) / cols;
    float squares = 0.0f;
    for (u32 j = threadIdx.x; j < cols; j += blockDim.x) {
        float centred = x[row + j] - mean;
        squares += centred * centred;
    }
    float rstd = 1.0f / sqrtf(block_sum(squares) / cols + eps);
    for (u32 j = threadIdx.x; j < cols; j += blockDim.x) {
        float scaled = (x[row + j] - mean) * rstd * (weight ? weight[j] : 1.0f);
        y[row + j] = bias ? scaled + bias[j] : scaled;
    }
    if (threadIdx.x == 0) {
        stats[2 * (u64)blockIdx.x] = mean;
        stats[2 * (u64)blockIdx.x + 1] = rstd;
    }
}

KERNEL layer_norm_dx(const float* x, const float* weight, const float* dy, const float* stats, float* dx,
                     u32 adds, u32 cols) {
    if (!dx) {
        return;
    }
    u64 row = (u64)blockIdx.x * cols;
    float mean = stats[2 * (u64)blockIdx.x], rstd = stats[2 * (u64)blockIdx.x + 1];
    float sum = 0.0f, along = 0.0f;
    for (u32 j = threadIdx.x; j < cols; j += blockDim.x) {
        float w = dy[row + j] * (weight ? weight[j] : 1.0f);
        sum += w;
        along += w * (x[row + j] - mean);
    }
    float shift = block_sum(sum) / cols;
    float slope = rstd * rstd * (block_sum(along) / cols);
    for (u32 j = threadIdx.x; j < cols; j += blockDim.x) {
        float w = dy[row + j] * (weight ? weight[j] : 1.0f);
        put(dx, row + j, rstd * (w - shift - (x[row + j] - mean) * slope), adds);
    }
}

// parts is [blocks, 2, cols]: of the rows of a block, the sums of dy ⊙ x̂ and of dy.
KERNEL layer_norm_parts(const float* x, const float* dy, const float* stats, float* parts, u64 rows, u32 cols) {
    for (u32 j = threadIdx.x; j < cols; j += blockDim.x) {
        float dweight = 0.0f, dbias = 0.0f;
        for (u64 i = blockIdx.x; i < rows; i += gridDim.x) {
            float d = dy[i * cols + j];
            dweight += d * ((x[i * cols + j] - stats[2 * i]) * stats[2 * i + 1]);
            dbias += d;
        }
        u64 at = 2 * (u64)blockIdx.x * cols + j;
        parts[at] = dweight;
        parts[at + cols] = dbias;
    }
}

KERNEL layer_norm_dweight(const float* parts, float* dweight, u32 adds_weight, float* dbias, u32 adds_bias,
                          u32 blocks, u32 cols) {
    u64 j = thread_index();
    if (j >= cols) {
        return;
    }
    float weight = 0.0f, bias = 0.0f;
    for (u64 block = 0; block < blocks; block += 1) {
        weight += parts[2 * block * cols + j];
        bias += parts[(2 * block + 1) * cols + j];
    }
    if (dweight) {
        put(dweight, j, weight, adds_weight);
    }
    if (dbias) {
        put(dbias, j, bias, adds_bias);
    }
}
