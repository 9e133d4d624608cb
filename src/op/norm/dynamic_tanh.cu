// Dynamic tanh: see dynamic_tanh.rs for the formulas, rows.cuh for strips.
//
// A block takes a strip of columns, and its warps every so-many-th row of it.

#include "rows.cuh"

template <class T>
__device__ __forceinline__ void squash(const Real* x, const Real* alpha, const Real* weight, const Real* bias,
                                       Real* y, u64 rows, u32 cols, u32 strips) {
    T team(cols, strips);
    float slope = *alpha;
    typename T::Kept v, w, b;
    team.read(weight, team.start, w);
    team.read(bias, team.start, b);
    for (u64 i = team.row; i < rows; i += team.step) {
        team.read(x + i * cols, team.start, v);
        team.elements([&](int a, int e) { v[a][e] = fmaf(tanhf(slope * v[a][e]), w[a][e], b[a][e]); });
        team.write(y + i * cols, team.start, v);
    }
}

// dx, and over the rows of a block the sums of dy ⊙ t and dy, and that of w ⊙ x: parts is
// [blocks / strips, 2, cols], alphas is [blocks].
template <class T>
__device__ __forceinline__ void differentiate(const Real* x, const Real* alpha, const Real* weight,
                                              const Real* dy, Real* dx, u32 adds, float* parts, float* alphas,
                                              u64 rows, u32 cols, u32 strips) {
    T team(cols, strips);
    float* own = parts + 2 * (u64)(blockIdx.x / strips) * cols;
    Sums<T> dweight(own), dbias(own + cols);
    float slope = *alpha, dalpha = 0.0f;
    typename T::Kept v, d, g;
    team.read(weight, team.start, g);
    for (u64 i = team.row; i < rows; i += team.step) {
        team.read(x + i * cols, team.start, v);
        team.read(dy + i * cols, team.start, d);
        team.elements([&](int a, int e) {
            float t = tanhf(slope * v[a][e]);
            float w = g[a][e] * d[a][e] * fmaf(-t, t, 1.0f);
            dweight.kept[a][e] += d[a][e] * t;
            dbias.kept[a][e] += d[a][e];
            dalpha += w * v[a][e];
            d[a][e] = slope * w;
        });
        if (asked(dx)) {
            team.put(dx + i * cols, team.start, d, adds);
        }
    }
    dweight.leave(team);
    dbias.leave(team);
    leave_total(alphas, dalpha);
}

KERNEL __launch_bounds__(256)
dynamic_tanh_forward(const Real* x, const Real* alpha, const Real* weight, const Real* bias, Real* y, u64 rows,
                     u32 cols, u32 strips) {
    if (in_vectors<Vectors<4, 8>::WIDTH>(cols, x, weight, bias, y)) {
        squash<Vectors<4, 8>>(x, alpha, weight, bias, y, rows, cols, strips);
    } else {
        squash<Team<4, 1, 8>>(x, alpha, weight, bias, y, rows, cols, strips);
    }
}

KERNEL __launch_bounds__(256)
dynamic_tanh_vjp(const Real* x, const Real* alpha, const Real* weight, const Real* dy, Real* dx, u32 adds,
                 float* parts, float* alphas, u64 rows, u32 cols, u32 strips) {
    if (in_vectors<Vectors<4, 8>::WIDTH>(cols, x, weight, dy, dx, parts)) {
        differentiate<Vectors<4, 8>>(x, alpha, weight, dy, dx, adds, parts, alphas, rows, cols, strips);
    } else {
        differentiate<Team<4, 1, 8>>(x, alpha, weight, dy, dx, adds, parts, alphas, rows, cols, strips);
    }
}

KERNEL __launch_bounds__(1024)
dynamic_tanh_dweight(const float* parts, Real* dweight, u32 adds_weight, Real* dbias, u32 adds_bias, u32 groups,
                     u32 cols) {
    put_column_sums(parts, dweight, adds_weight, dbias, adds_bias, nullptr, groups, cols);
}

KERNEL __launch_bounds__(1024)
dynamic_tanh_dalpha(const float* alphas, u32 blocks, Real* dalpha, u32 adds) {
    put_total(alphas, blocks, dalpha, adds);
}
