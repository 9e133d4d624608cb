// ScaleNorm: see scale_norm.rs for the formulas, rows.cuh for who takes a row.
//
// norms is ‖x‖ of every row, which tells vjp on which side of eps it is.

#include "rows.cuh"

// 1/max(‖x‖, eps). A NaN is not below eps, and stays.
__device__ __forceinline__ float inverse_of(float norm, float eps) {
    return 1.0f / (norm < eps ? eps : norm);
}

template <class T>
__device__ __forceinline__ void normalize(const Real* x, const Real* weight, Real* y, float* norms, u64 rows,
                                          u32 cols, float eps) {
    T team(cols);
    for (u64 i = team.row; i < rows; i += team.step) {
        typename T::Kept v;
        float squares = 0.0f;
        for (u32 first = 0; team.has(first); first += team.span()) {
            team.read(x + i * cols, first, v);
            team.elements([&](int a, int e) { squares += v[a][e] * v[a][e]; });
        }
        float norm = sqrtf(team.sum(squares)), inverse = inverse_of(norm, eps);
        for (u32 first = 0; team.has(first); first += team.span()) {
            team.reread(x + i * cols, first, v);
            team.elements([&](int a, int e) { v[a][e] = *weight * (v[a][e] * inverse); });
            team.write(y + i * cols, first, v);
        }
        if (team.thread == 0) {
            norms[i] = norm;
        }
    }
}

// dx, and the sum of ⟨u, dy⟩ over the rows of a block: parts is [blocks].
template <class T>
__device__ __forceinline__ void differentiate(const Real* x, const Real* weight, const Real* dy,
                                              const float* norms, Real* dx, u32 adds, float* parts, u64 rows,
                                              u32 cols, float eps) {
    T team(cols);
    float dweight = 0.0f;
    for (u64 i = team.row; i < rows; i += team.step) {
        u64 row = i * cols;
        float norm = norms[i], inverse = inverse_of(norm, eps);
        typename T::Kept v, d;
        float along = 0.0f;
        for (u32 first = 0; team.has(first); first += team.span()) {
            team.read(x + row, first, v);
            team.read(dy + row, first, d);
            team.elements([&](int a, int e) { along += v[a][e] * d[a][e]; });
        }
        float projection = team.sum(along) * inverse, straight = *weight * inverse;
        float slope = norm <= eps ? 0.0f : straight * (inverse * projection);
        for (u32 first = 0; dx && team.has(first); first += team.span()) {
            team.reread(x + row, first, v);
            team.reread(dy + row, first, d);
            team.elements([&](int a, int e) { d[a][e] = straight * d[a][e] - v[a][e] * slope; });
            team.put(dx + row, first, d, adds);
        }
        dweight += team.thread == 0 ? projection : 0.0f;
    }
    leave_total(parts, dweight);
}

template <int KEPT, int TEAMS>
__device__ __forceinline__ void forward(const Real* x, const Real* weight, Real* y, float* norms, u64 rows,
                                        u32 cols, float eps) {
    if (in_vectors<Vectors<KEPT, TEAMS>::WIDTH>(cols, x, y)) {
        normalize<Vectors<KEPT, TEAMS>>(x, weight, y, norms, rows, cols, eps);
    } else {
        normalize<Scalars<KEPT, TEAMS>>(x, weight, y, norms, rows, cols, eps);
    }
}

template <int KEPT, int TEAMS>
__device__ __forceinline__ void vjp(const Real* x, const Real* weight, const Real* dy, const float* norms,
                                    Real* dx, u32 adds, float* parts, u64 rows, u32 cols, float eps) {
    if (in_vectors<Vectors<KEPT, TEAMS>::WIDTH>(cols, x, dy, dx)) {
        differentiate<Vectors<KEPT, TEAMS>>(x, weight, dy, norms, dx, adds, parts, rows, cols, eps);
    } else {
        differentiate<Scalars<KEPT, TEAMS>>(x, weight, dy, norms, dx, adds, parts, rows, cols, eps);
    }
}

KERNEL __launch_bounds__(256)
scale_norm_forward_narrow(const Real* x, const Real* weight, Real* y, float* norms, u64 rows, u32 cols, float eps) {
    forward<4, 8>(x, weight, y, norms, rows, cols, eps);
}

KERNEL __launch_bounds__(256)
scale_norm_forward_warp(const Real* x, const Real* weight, Real* y, float* norms, u64 rows, u32 cols, float eps) {
    forward<32, 8>(x, weight, y, norms, rows, cols, eps);
}

KERNEL __launch_bounds__(1024)
scale_norm_forward_block(const Real* x, const Real* weight, Real* y, float* norms, u64 rows, u32 cols, float eps) {
    forward<8, 1>(x, weight, y, norms, rows, cols, eps);
}

KERNEL __launch_bounds__(1024)
scale_norm_vjp_narrow(const Real* x, const Real* weight, const Real* dy, const float* norms, Real* dx, u32 adds,
                      float* parts, u64 rows, u32 cols, float eps) {
    vjp<4, 32>(x, weight, dy, norms, dx, adds, parts, rows, cols, eps);
}

KERNEL __launch_bounds__(256, 2)
scale_norm_vjp_warp(const Real* x, const Real* weight, const Real* dy, const float* norms, Real* dx, u32 adds,
                    float* parts, u64 rows, u32 cols, float eps) {
    vjp<32, 8>(x, weight, dy, norms, dx, adds, parts, rows, cols, eps);
}

KERNEL __launch_bounds__(1024, 1)
scale_norm_vjp_block(const Real* x, const Real* weight, const Real* dy, const float* norms, Real* dx, u32 adds,
                     float* parts, u64 rows, u32 cols, float eps) {
    vjp<8, 1>(x, weight, dy, norms, dx, adds, parts, rows, cols, eps);
}

KERNEL __launch_bounds__(1024)
scale_norm_dweight(const float* parts, u32 blocks, Real* dweight, u32 adds) {
    put_total(parts, blocks, dweight, adds);
}
