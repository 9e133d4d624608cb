// Root mean square normalisation without a weight: see bare_rms_norm.rs for the formulas, rows.cuh
// for who takes a row.
//
// stats is the scale of every row.

#include "rows.cuh"

template <class T>
__device__ __forceinline__ void normalize(const Real* x, Real* y, float* stats, u64 rows, u32 cols, float eps) {
    T team(cols);
    for (u64 i = team.row; i < rows; i += team.step) {
        typename T::Kept v;
        float squares = 0.0f;
        for (u32 first = 0; team.has(first); first += team.span()) {
            team.read(x + i * cols, first, v);
            team.elements([&](int a, int e) { squares += v[a][e] * v[a][e]; });
        }
        float scale = 1.0f / sqrtf(team.sum(squares) / cols + eps);
        for (u32 first = 0; team.has(first); first += team.span()) {
            team.reread(x + i * cols, first, v);
            team.elements([&](int a, int e) { v[a][e] *= scale; });
            team.write(y + i * cols, first, v);
        }
        if (team.thread == 0) {
            stats[i] = scale;
        }
    }
}

template <class T>
__device__ __forceinline__ void differentiate(const Real* x, const Real* dy, const float* stats, Real* dx,
                                              u32 adds, u64 rows, u32 cols) {
    T team(cols);
    for (u64 i = team.row; dx && i < rows; i += team.step) {
        u64 row = i * cols;
        float scale = stats[i];
        typename T::Kept v, d;
        float along = 0.0f;
        for (u32 first = 0; team.has(first); first += team.span()) {
            team.read(x + row, first, v);
            team.read(dy + row, first, d);
            team.elements([&](int a, int e) { along += v[a][e] * d[a][e]; });
        }
        // The smallest factor first: the cube of the scale may be out of range.
        float slope = scale * (scale * (scale * (team.sum(along) / cols)));
        for (u32 first = 0; team.has(first); first += team.span()) {
            team.reread(x + row, first, v);
            team.reread(dy + row, first, d);
            team.elements([&](int a, int e) { d[a][e] = scale * d[a][e] - v[a][e] * slope; });
            team.put(dx + row, first, d, adds);
        }
    }
}

template <int KEPT, int TEAMS>
__device__ __forceinline__ void forward(const Real* x, Real* y, float* stats, u64 rows, u32 cols, float eps) {
    if (in_vectors<Vectors<KEPT, TEAMS>::WIDTH>(cols, x, y)) {
        normalize<Vectors<KEPT, TEAMS>>(x, y, stats, rows, cols, eps);
    } else {
        normalize<Scalars<KEPT, TEAMS>>(x, y, stats, rows, cols, eps);
    }
}

template <int KEPT, int TEAMS>
__device__ __forceinline__ void vjp(const Real* x, const Real* dy, const float* stats, Real* dx, u32 adds,
                                    u64 rows, u32 cols) {
    if (in_vectors<Vectors<KEPT, TEAMS>::WIDTH>(cols, x, dy, dx)) {
        differentiate<Vectors<KEPT, TEAMS>>(x, dy, stats, dx, adds, rows, cols);
    } else {
        differentiate<Scalars<KEPT, TEAMS>>(x, dy, stats, dx, adds, rows, cols);
    }
}

KERNEL __launch_bounds__(256)
bare_rms_norm_forward_narrow(const Real* x, Real* y, float* stats, u64 rows, u32 cols, float eps) {
    forward<4, 8>(x, y, stats, rows, cols, eps);
}

KERNEL __launch_bounds__(256)
bare_rms_norm_forward_warp(const Real* x, Real* y, float* stats, u64 rows, u32 cols, float eps) {
    forward<32, 8>(x, y, stats, rows, cols, eps);
}

KERNEL __launch_bounds__(1024)
bare_rms_norm_forward_block(const Real* x, Real* y, float* stats, u64 rows, u32 cols, float eps) {
    forward<8, 1>(x, y, stats, rows, cols, eps);
}

KERNEL __launch_bounds__(256)
bare_rms_norm_vjp_narrow(const Real* x, const Real* dy, const float* stats, Real* dx, u32 adds, u64 rows,
                         u32 cols) {
    vjp<4, 8>(x, dy, stats, dx, adds, rows, cols);
}

KERNEL __launch_bounds__(256)
bare_rms_norm_vjp_warp(const Real* x, const Real* dy, const float* stats, Real* dx, u32 adds, u64 rows,
                       u32 cols) {
    vjp<32, 8>(x, dy, stats, dx, adds, rows, cols);
}

KERNEL __launch_bounds__(1024, 1)
bare_rms_norm_vjp_block(const Real* x, const Real* dy, const float* stats, Real* dx, u32 adds, u64 rows,
                        u32 cols) {
    vjp<8, 1>(x, dy, stats, dx, adds, rows, cols);
}
