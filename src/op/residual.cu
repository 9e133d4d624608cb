// The residual stream meets a branch: see residual.rs for the formulas.

#include "device/columns.cuh"
#include "device/elementwise.cuh"

__device__ __forceinline__ Vector times(float factor, Vector x) {
    for (float& value : x.of) {
        value *= factor;
    }
    return x;
}

// y = alpha·x + beta·branch.
KERNEL residual_forward(const Real* x, const Real* branch, Real* y, u64 len, float alpha, float beta) {
    Places places = my_places(len, x, branch, y);
    Vector sum = places.read(x), branches = places.read(branch);
    for (u32 k = 0; k < VECTOR; k += 1) {
        sum.of[k] = alpha * sum.of[k] + beta * branches.of[k];
    }
    places.write(y, sum);
}

// dx = alpha·dy, dbranch = beta·dy. The second may be added to the first, where both are one value.
KERNEL residual_vjp(const Real* dy, Real* dx, u32 adds_x, Real* dbranch, u32 adds_branch, u64 len, float alpha,
                    float beta) {
    Places places = my_places(len, dy, dx, dbranch);
    Vector dys = places.read(dy);
    places.put(dx, times(alpha, dys), adds_x);
    places.put(dbranch, times(beta, dys), adds_branch);
}

// y = x + gain ⊙ branch, with a gain of one element or of one per column: `gains` of them.
KERNEL gained_residual_forward(const Real* x, const Real* branch, const Real* gain, Real* y, u64 len,
                               u32 gains) {
    Places places = my_places(len, x, branch, y);
    Vector sum = places.read(x), branches = places.read(branch);
    for (u32 k = 0; k < VECTOR; k += 1) {
        if (k < places.count) {
            sum.of[k] = fmaf(gain[places.place(k) % gains], branches.of[k], sum.of[k]);
        }
    }
    places.write(y, sum);
}

// dx = dy, dbranch = gain ⊙ dy, and partial sums of dgain = Σ dy ⊙ branch. A gain of one element is
// that of a matrix of one column.
KERNEL gained_residual_vjp(const Real* branch, const Real* gain, const Real* dy, Real* dx, u32 adds_x,
                           Real* dbranch, u32 adds_branch, float* parts, u64 rows, u32 cols) {
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

KERNEL gained_residual_dgain(const float* parts, Real* dgain, u32 adds, u32 rows, u32 cols) {
    if (dgain) {
        column_totals(parts, dgain, adds, rows, cols);
    }
}

// y = factor·x; and dx of it, from dy.
KERNEL scale_by_factor(const Real* x, Real* y, u32 adds, u64 len, float factor) {
    if (!y) {
        return;
    }
    Places places = my_places(len, x, y);
    places.put(y, times(factor, places.read(x)), adds);
}
