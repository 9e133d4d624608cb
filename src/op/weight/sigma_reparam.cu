// σReparam and the power iteration that it stands on: see sigma_reparam.rs and power_iteration.rs for the
// formulas. What is carried from step to step is f32, and so is the matrix that the iteration reads.

#include "../device/columns.cuh"
#include "../device/elementwise.cuh"
#include "../norm/rows.cuh"

// The sum over the elements of a matrix of term(place, row, column), a part for every block.
template <class Term>
__device__ __forceinline__ void leave_sum(float* parts, u64 rows, u32 cols, Term term) {
    float sum = 0.0f;
    for (u64 i = blockIdx.x; i < rows; i += gridDim.x) {
        for (u32 j = threadIdx.x; j < cols; j += blockDim.x) {
            sum += term(i * cols + j, i, j);
        }
    }
    leave_total(parts, sum);
}

// The sum of the parts, in every thread of the one block.
__device__ __forceinline__ float total_of(const float* parts, u32 count) {
    float sum = 0.0f;
    for (u32 i = threadIdx.x; i < count; i += blockDim.x) {
        sum += parts[i];
    }
    return block_sum(sum);
}

// Of σ = vᵀ·W·u.
KERNEL __launch_bounds__(256)
sigma_reparam_parts(const Real* weight, const float* v, const float* u, float* parts, u64 rows, u32 cols) {
    leave_sum(parts, rows, cols, [=](u64 at, u64 i, u32 j) { return v[i] * ((float)weight[at] * u[j]); });
}

KERNEL __launch_bounds__(1024) sigma_reparam_inverse(const float* parts, float* inverse, u32 blocks) {
    float sigma = total_of(parts, blocks);
    if (threadIdx.x == 0) {
        *inverse = 1.0f / sigma;
    }
}

// y = gamma·W/σ.
KERNEL sigma_reparam_forward(const Real* weight, const Real* gamma, const float* inverse, Real* y, u64 len) {
    Places places = my_places(len, weight, y);
    Vector w = places.read(weight);
    float factor = *gamma * *inverse;
    for (float& value : w.of) {
        value *= factor;
    }
    places.write(y, w);
}

// Of ⟨dy, W⟩.
KERNEL __launch_bounds__(256)
sigma_reparam_along(const Real* weight, const Real* dy, float* parts, u64 rows, u32 cols) {
    leave_sum(parts, rows, cols, [=](u64 at, u64, u32) { return (float)dy[at] * (float)weight[at]; });
}

// dgamma = ⟨dy, W⟩/σ, which is left for dW too.
KERNEL __launch_bounds__(1024)
sigma_reparam_dgamma(const float* parts, const float* inverse, float* along, Real* dgamma, u32 adds, u32 blocks) {
    float sum = total_of(parts, blocks) * *inverse;
    if (threadIdx.x == 0) {
        *along = sum;
        if (dgamma) {
            put(dgamma, 0, sum, adds);
        }
    }
}

// dW = gamma/σ·(dy − along·v·uᵀ), a thread for every element.
KERNEL sigma_reparam_dweight(const Real* dy, const float* v, const float* u, const Real* gamma,
                             const float* inverse, const float* along, Real* dweight, u32 adds, u64 len, u32 cols) {
    u64 at = thread_index();
    if (dweight && at < len) {
        float factor = *gamma * *inverse, slope = factor * (*along * v[at / cols]);
        put(dweight, at, factor * (float)dy[at] - slope * u[at % cols], adds);
    }
}

// W·u, a warp for every row.
KERNEL __launch_bounds__(256)
power_iteration_rows(const float* weight, const float* u, float* v, u64 rows, u32 cols) {
    u64 i = thread_index() / 32;
    if (i >= rows) {
        return;
    }
    float sum = 0.0f;
    for (u32 j = threadIdx.x % 32; j < cols; j += 32) {
        sum += weight[i * cols + j] * u[j];
    }
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) {
        v[i] = sum;
    }
}

// Partial sums of Wᵀ·v, and what adds them, 32 columns to a block.
KERNEL power_iteration_columns(const float* weight, const float* v, float* parts, u64 rows, u32 cols) {
    column_parts(parts, rows, cols, [=](u64 i, u32 j) { return weight[i * cols + j] * v[i]; });
}

KERNEL __launch_bounds__(1024)
power_iteration_next(const float* parts, float* next, u32 blocks, u32 cols) {
    u64 j = (u64)blockIdx.x * 32 + threadIdx.x % 32;
    float sum = column_sum(parts, blocks, cols, j);
    if (threadIdx.x < 32 && j < cols) {
        next[j] = sum;
    }
}

// A vector over its length, or over `least` where that is more. One block.
KERNEL __launch_bounds__(1024) power_iteration_unit(float* x, u32 len, float least) {
    float squares = 0.0f;
    for (u32 i = threadIdx.x; i < len; i += blockDim.x) {
        squares += x[i] * x[i];
    }
    float norm = sqrtf(block_sum(squares)), inverse = 1.0f / (norm < least ? least : norm);
    for (u32 i = threadIdx.x; i < len; i += blockDim.x) {
        x[i] *= inverse;
    }
}
