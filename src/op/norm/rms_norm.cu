// Root mean square normalisation: see rms_norm.rs for the formulas, rows.cuh for who takes a row.
//
// stats is rstd of every row. The gain is offset + weight, or 1 where there is no weight.

#include "rows.cuh"

// x rounded to bfloat16, to nearest and ties to even, where `rounds` says so.
__device__ __forceinline__ float stored(float x, u32 rounds) {
    unsigned short half;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(half) : "f"(x));
    return rounds ? __uint_as_float((u32)half << 16) : x;
}

template <class T>
__device__ __forceinline__ void normalize(const Real* x, const Real* weight, Real* y, float* stats, u64 rows,
                                          u32 cols, float eps, float offset, u32 rounds_xhat, u32 rounds_y) {
    T team(cols);
    offset = weight ? offset : 0.0f;
    for (u64 i = team.row; i < rows; i += team.step) {
        typename T::Kept v, w;
        float squares = 0.0f;
        for (u32 first = 0; team.has(first); first += team.span()) {
            team.read(x + i * cols, first, v);
            team.elements([&](int a, int e) { squares += v[a][e] * v[a][e]; });
        }
        float rstd = 1.0f / sqrtf(team.sum(squares) / cols + eps);
        for (u32 first = 0; team.has(first); first += team.span()) {
            team.reread(x + i * cols, first, v);
            team.read(weight, first, w, 1.0f);
            team.elements([&](int a, int e) {
                float xhat = stored(v[a][e] * rstd, rounds_xhat);
                v[a][e] = stored(xhat * (offset + w[a][e]), rounds_y);
            });
            team.write(y + i * cols, first, v);
        }
        if (team.thread == 0) {
            stats[i] = rstd;
        }
    }
}

// dx, and the sums of dy ⊙ x̂ over the rows of a block: parts is [blocks, cols].
template <class T>
__device__ __forceinline__ void differentiate(const Real* x, const Real* weight, const Real* dy,
                                              const float* stats, Real* dx, u32 adds, float* parts, u64 rows,
                                              u32 cols, float offset, u32 rounds_xhat) {
    T team(cols);
    Sums<T> dweight(parts + (u64)blockIdx.x * cols);
    offset = weight ? offset : 0.0f;
    for (u64 i = team.row; i < rows; i += team.step) {
        u64 row = i * cols;
        float rstd = stats[i];
        typename T::Kept v, d, w;
        float along = 0.0f;
        for (u32 first = 0; team.has(first); first += team.span()) {
            team.read(x + row, first, v);
            team.read(dy + row, first, d);
            team.read(weight, first, w, 1.0f);
            team.elements([&](int a, int e) { along += v[a][e] * (d[a][e] * (offset + w[a][e])); });
        }
        // The smallest factor first: the cube of rstd may be out of range.
        float slope = rstd * (rstd * (rstd * (team.sum(along) / cols)));
        for (u32 first = 0; team.has(first); first += team.span()) {
            team.reread(x + row, first, v);
            team.reread(dy + row, first, d);
            team.reread(weight, first, w, 1.0f);
            dweight.begin(team, i, first);
            team.elements([&](int a, int e) {
                dweight.kept[a][e] += d[a][e] * stored(v[a][e] * rstd, rounds_xhat);
                d[a][e] = rstd * (d[a][e] * (offset + w[a][e])) - v[a][e] * slope;
            });
            dweight.end(team, first);
            if (asked(dx)) {
                team.put(dx + row, first, d, adds);
            }
        }
    }
    dweight.leave(team);
}

template <int KEPT, int TEAMS>
__device__ __forceinline__ void forward(const Real* x, const Real* weight, Real* y, float* stats, u64 rows,
                                        u32 cols, float eps, float offset, u32 rounds_xhat, u32 rounds_y) {
    if (in_vectors<Vectors<KEPT, TEAMS>::WIDTH>(cols, x, weight, y)) {
        normalize<Vectors<KEPT, TEAMS>>(x, weight, y, stats, rows, cols, eps, offset, rounds_xhat, rounds_y);
    } else {
        normalize<Scalars<KEPT, TEAMS>>(x, weight, y, stats, rows, cols, eps, offset, rounds_xhat, rounds_y);
    }
}

template <int KEPT, int TEAMS>
__device__ __forceinline__ void vjp(const Real* x, const Real* weight, const Real* dy, const float* stats,
                                    Real* dx, u32 adds, float* parts, u64 rows, u32 cols, float offset,
                                    u32 rounds_xhat) {
    if (in_vectors<Vectors<KEPT, TEAMS>::WIDTH>(cols, x, weight, dy, dx, parts)) {
        differentiate<Vectors<KEPT, TEAMS>>(x, weight, dy, stats, dx, adds, parts, rows, cols, offset, rounds_xhat);
    } else {
        differentiate<Scalars<KEPT, TEAMS>>(x, weight, dy, stats, dx, adds, parts, rows, cols, offset, rounds_xhat);
    }
}

KERNEL __launch_bounds__(256)
rms_norm_forward_narrow(const Real* x, const Real* weight, Real* y, float* stats, u64 rows, u32 cols, float eps,
                        float offset, u32 rounds_xhat, u32 rounds_y) {
    forward<4, 8>(x, weight, y, stats, rows, cols, eps, offset, rounds_xhat, rounds_y);
}

KERNEL __launch_bounds__(256)
rms_norm_forward_warp(const Real* x, const Real* weight, Real* y, float* stats, u64 rows, u32 cols, float eps,
                      float offset, u32 rounds_xhat, u32 rounds_y) {
    forward<32, 8>(x, weight, y, stats, rows, cols, eps, offset, rounds_xhat, rounds_y);
}

KERNEL __launch_bounds__(1024)
rms_norm_forward_block(const Real* x, const Real* weight, Real* y, float* stats, u64 rows, u32 cols, float eps,
                       float offset, u32 rounds_xhat, u32 rounds_y) {
    forward<8, 1>(x, weight, y, stats, rows, cols, eps, offset, rounds_xhat, rounds_y);
}

KERNEL __launch_bounds__(1024)
rms_norm_vjp_narrow(const Real* x, const Real* weight, const Real* dy, const float* stats, Real* dx, u32 adds,
                    float* parts, u64 rows, u32 cols, float offset, u32 rounds_xhat) {
    vjp<4, 32>(x, weight, dy, stats, dx, adds, parts, rows, cols, offset, rounds_xhat);
}

KERNEL __launch_bounds__(256)
rms_norm_vjp_warp(const Real* x, const Real* weight, const Real* dy, const float* stats, Real* dx, u32 adds,
                  float* parts, u64 rows, u32 cols, float offset, u32 rounds_xhat) {
    vjp<32, 8>(x, weight, dy, stats, dx, adds, parts, rows, cols, offset, rounds_xhat);
}

KERNEL __launch_bounds__(1024)
rms_norm_vjp_block(const Real* x, const Real* weight, const Real* dy, const float* stats, Real* dx, u32 adds,
                   float* parts, u64 rows, u32 cols, float offset, u32 rounds_xhat) {
    vjp<8, 1>(x, weight, dy, stats, dx, adds, parts, rows, cols, offset, rounds_xhat);
}

KERNEL __launch_bounds__(1024)
rms_norm_dweight(const float* parts, Real* dweight, u32 adds, u32 blocks, u32 cols) {
    u64 j = (u64)blockIdx.x * 32 + threadIdx.x % 32;
    float sum = column_sum(parts, blocks, cols, j);
    if (threadIdx.x < 32 && j < cols && dweight) {
        put(dweight, j, sum, adds);
    }
}
