// The residual stream meets a branch: see residual.rs for the formulas.

#include "device/columns.cuh"
#include "device/elementwise.cuh"

__device__ __forceinline__ Quad times(float factor, Quad quad) {
    for (float& value : quad.of) {
        value *= factor;
    }
    return quad;
}

// y = alpha·x + beta·branch.
KERNEL residual_forward(const float* x, const float* branch, float* y, u64 len, float alpha, float beta) {
    Four four = my_four(len, x, branch, y);
    Quad quad = four.load(x), branches = four.load(branch);
    for (u32 k = 0; k < 4; k += 1) {
        quad.of[k] = alpha * quad.of[k] + beta * branches.of[k];
    }
    four.store(y, quad);
}

// dx = alpha·dy, dbranch = beta·dy. The second may be added to the first, where both are one value.
KERNEL residual_vjp(const float* dy, float* dx, u32 adds_x, float* dbranch, u32 adds_branch, u64 len, float alpha,
                    float beta) {
    Four four = my_four(len, dy, dx, dbranch);
    Quad dys = four.load(dy);
    four.put(dx, times(alpha, dys), adds_x);
    four.put(dbranch, times(beta, dys), adds_branch);
}

// y = x + gain ⊙ branch, with a gain of one element or of one per column: `gains` of them.
KERNEL gained_residual_forward(const float* x, const float* branch, const float* gain, float* y, u64 len,
                               u32 gains) {
    Four four = my_four(len, x, branch, y);
    Quad quad = four.load(x), branches = four.load(branch);
    for (u32 k = 0; k < 4; k += 1) {
        if (k < four.count) {
            quad.of[k] = fmaf(gain[four.place(k) % gains], branches.of[k], quad.of[k]);
        }
    }
    four.store(y, quad);
}

// dx = dy, dbranch = gain ⊙ dy, and partial sums of dgain = Σ dy ⊙ branch. A gain of one element is
// that of a matrix of one column.
KERNEL gained_residual_vjp(const float* branch, const float* gain, const float* dy, float* dx, u32 adds_x,
                           float* dbranch, u32 adds_branch, float* parts, u64 rows, u32 cols) {
    column_parts(parts, rows, cols, [=](u64 i, u32 j) {
        u64 at = i * cols + j;
        float d = dy[at], along = d * branch[at];
        if (dx) {
            put(dx, at, d, adds_x);
        }
        if (dbranch) {
            put(dbranch, at, gain[j] * d, adds_branch);
        }
        return along;
    });
}

KERNEL gained_residual_dgain(const float* parts, float* dgain, u32 adds, u32 rows, u32 cols) {
    if (dgain) {
        column_totals(parts, dgain, adds, rows, cols);
    }
}

// y = factor·x; and dx of it, from dy.
KERNEL scale_by_factor(const float* x, float* y, u32 adds, u64 len, float factor) {
    if (!y) {
        return;
    }
    Four four = my_four(len, x, y);
    four.put(y, times(factor, four.load(x)), adds);
}
