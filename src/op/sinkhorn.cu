// Sinkhorn's iterations: see sinkhorn.rs for the formulas. One block takes the matrix, a thread for every
// element, and for every line one of the first. In f64 as on the CPU.
//
// halves is e^L after every half of an iteration: down the columns, then along the rows.

#include "device/common.cuh"

// The largest matrix, in rows and in elements.
constexpr u32 MOST = 7, ELEMENTS = MOST * MOST;

// The place of element k of line l of an n × n matrix.
__device__ __forceinline__ u32 place(u32 n, u32 half, u32 l, u32 k) {
    return half % 2 == 1 ? l * n + k : k * n + l;
}

// By potentials: L = x − row − column.
KERNEL __launch_bounds__(64) sinkhorn_forward(const Real* x, Real* y, float* halves, u32 n, u32 count) {
    __shared__ double logs[ELEMENTS], potentials[2][MOST];
    u32 i = threadIdx.x, len = n * n;
    if (i < len) {
        logs[i] = (double)(float)x[i];
    }
    if (i < n) {
        potentials[0][i] = 0.0;
    }
    for (u32 half = 0; half < count; half += 1) {
        __syncthreads();
        if (i < n) {
            const double* others = potentials[half % 2];
            double largest = logs[place(n, half, i, 0)] - others[0], sum = 0.0;
            for (u32 k = 1; k < n; k += 1) {
                largest = fmax(largest, logs[place(n, half, i, k)] - others[k]);
            }
            for (u32 k = 0; k < n; k += 1) {
                sum += exp(logs[place(n, half, i, k)] - others[k] - largest);
            }
            potentials[1 - half % 2][i] = largest + log(sum);
        }
        __syncthreads();
        // Those of the columns are there from the first half on.
        if (i < len) {
            float p = (float)exp(logs[i] - potentials[0][i / n] - potentials[1][i % n]);
            halves[half * len + i] = p;
            if (half + 1 == count) {
                y[i] = p;
            }
        }
    }
}

KERNEL __launch_bounds__(64)
sinkhorn_dx(const Real* dy, const float* halves, Real* dx, u32 adds, u32 n, u32 count) {
    if (!dx) {
        return;
    }
    __shared__ double d[ELEMENTS];
    u32 i = threadIdx.x, len = n * n;
    if (i < len) {
        d[i] = (double)halves[(count - 1) * len + i] * (double)(float)dy[i];
    }
    for (u32 half = count; half-- > 0;) {
        __syncthreads();
        if (i < n) {
            double total = 0.0;
            for (u32 k = 0; k < n; k += 1) {
                total += d[place(n, half, i, k)];
            }
            for (u32 k = 0; k < n; k += 1) {
                u32 at = place(n, half, i, k);
                d[at] -= (double)halves[half * len + at] * total;
            }
        }
    }
    __syncthreads();
    if (i < len) {
        put(dx, i, (float)d[i], adds);
    }
}
