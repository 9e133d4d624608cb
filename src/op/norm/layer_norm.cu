// Layer normalisation: see layer_norm.rs for the formulas, rows.cuh for who takes a row.
//
// The variance is that of the centred values. stats is [rows, 2]: mean and rstd.

#include "centre.cuh"

template <class T>
__device__ __forceinline__ void normalize(const Real* x, const Real* weight, const Real* bias, Real* y,
                                          float* stats, u64 rows, u32 cols, float eps) {
    T team(cols);
    for (u64 i = team.row; i < rows; i += team.step) {
        const Real* row = x + i * cols;
        typename T::Kept v, w, b;
        Centre of_row = centre(team, row, v);
        float mean = of_row.mean;
        float rstd = 1.0f / sqrtf(of_row.squares / cols + eps);
        for (u32 first = 0; team.has(first); first += team.span()) {
            team.reread(row, first, v);
            team.read(weight, first, w, 1.0f);
            // Zero of either sign stays itself where −0 is added.
            team.read(bias, first, b, -0.0f);
            team.elements([&](int a, int e) { v[a][e] = fmaf((v[a][e] - mean) * rstd, w[a][e], b[a][e]); });
            team.write(y + i * cols, first, v);
        }
        if (team.thread == 0) {
            stats[2 * i] = mean;
            stats[2 * i + 1] = rstd;
        }
    }
}

// dx, and the sums of dy ⊙ x̂ and dy over the rows of a block: parts is [blocks, 2, cols].
template <class T>
__device__ __forceinline__ void differentiate(const Real* x, const Real* weight, const Real* dy,
                                              const float* stats, Real* dx, u32 adds, float* parts, u64 rows,
                                              u32 cols) {
    T team(cols);
    float* own = parts + 2 * (u64)blockIdx.x * cols;
    Sums<T> dweight(own), dbias(own + cols);
    for (u64 i = team.row; i < rows; i += team.step) {
        u64 row = i * cols;
        float mean = stats[2 * i], rstd = stats[2 * i + 1];
        typename T::Kept v, d, w;
        // Of w = weight ⊙ dy and of w ⊙ (x − mean). The product is rounded in both passes, so that
        // nothing is left of a row of one column.
        float sums[2] = {0.0f, 0.0f};
        for (u32 first = 0; team.has(first); first += team.span()) {
            team.read(x + row, first, v);
            team.read(dy + row, first, d);
            team.read(weight, first, w, 1.0f);
            team.elements([&](int a, int e) {
                float along = __fmul_rn(w[a][e], d[a][e]);
                sums[0] += along;
                sums[1] += along * (v[a][e] - mean);
            });
        }
        team.sum(sums);
        float shift = sums[0] / cols, slope = rstd * (rstd * (rstd * (sums[1] / cols)));
        for (u32 first = 0; team.has(first); first += team.span()) {
            team.reread(x + row, first, v);
            team.reread(dy + row, first, d);
            team.reread(weight, first, w, 1.0f);
            dweight.begin(team, i, first);
            dbias.begin(team, i, first);
            team.elements([&](int a, int e) {
                float centred = v[a][e] - mean;
                dweight.kept[a][e] += d[a][e] * (centred * rstd);
                dbias.kept[a][e] += d[a][e];
                d[a][e] = rstd * (__fmul_rn(w[a][e], d[a][e]) - shift) - centred * slope;
            });
            dweight.end(team, first);
            dbias.end(team, first);
            if (asked(dx)) {
                team.put(dx + row, first, d, adds);
            }
        }
    }
    dweight.leave(team);
    dbias.leave(team);
}

template <int KEPT, int TEAMS>
__device__ __forceinline__ void forward(const Real* x, const Real* weight, const Real* bias, Real* y,
                                        float* stats, u64 rows, u32 cols, float eps) {
    if (in_vectors<Vectors<KEPT, TEAMS>::WIDTH>(cols, x, weight, bias, y)) {
        normalize<Vectors<KEPT, TEAMS>>(x, weight, bias, y, stats, rows, cols, eps);
    } else {
        normalize<Scalars<KEPT, TEAMS>>(x, weight, bias, y, stats, rows, cols, eps);
    }
}

template <int KEPT, int TEAMS>
__device__ __forceinline__ void vjp(const Real* x, const Real* weight, const Real* dy, const float* stats,
                                    Real* dx, u32 adds, float* parts, u64 rows, u32 cols) {
    if (in_vectors<Vectors<KEPT, TEAMS>::WIDTH>(cols, x, weight, dy, dx, parts)) {
        differentiate<Vectors<KEPT, TEAMS>>(x, weight, dy, stats, dx, adds, parts, rows, cols);
    } else {
        differentiate<Scalars<KEPT, TEAMS>>(x, weight, dy, stats, dx, adds, parts, rows, cols);
    }
}

KERNEL __launch_bounds__(256)
layer_norm_forward_narrow(const Real* x, const Real* weight, const Real* bias, Real* y, float* stats, u64 rows,
                          u32 cols, float eps) {
    forward<4, 8>(x, weight, bias, y, stats, rows, cols, eps);
}

KERNEL __launch_bounds__(256)
layer_norm_forward_warp(const Real* x, const Real* weight, const Real* bias, Real* y, float* stats, u64 rows,
                        u32 cols, float eps) {
    forward<32, 8>(x, weight, bias, y, stats, rows, cols, eps);
}

KERNEL __launch_bounds__(1024)
layer_norm_forward_block(const Real* x, const Real* weight, const Real* bias, Real* y, float* stats, u64 rows,
                         u32 cols, float eps) {
    forward<8, 1>(x, weight, bias, y, stats, rows, cols, eps);
}

KERNEL __launch_bounds__(1024)
layer_norm_vjp_narrow(const Real* x, const Real* weight, const Real* dy, const float* stats, Real* dx, u32 adds,
                      float* parts, u64 rows, u32 cols) {
    vjp<4, 32>(x, weight, dy, stats, dx, adds, parts, rows, cols);
}

KERNEL __launch_bounds__(256)
layer_norm_vjp_warp(const Real* x, const Real* weight, const Real* dy, const float* stats, Real* dx, u32 adds,
                    float* parts, u64 rows, u32 cols) {
    vjp<32, 8>(x, weight, dy, stats, dx, adds, parts, rows, cols);
}

KERNEL __launch_bounds__(1024)
layer_norm_vjp_block(const Real* x, const Real* weight, const Real* dy, const float* stats, Real* dx, u32 adds,
                     float* parts, u64 rows, u32 cols) {
    vjp<8, 1>(x, weight, dy, stats, dx, adds, parts, rows, cols);
}

KERNEL __launch_bounds__(1024)
layer_norm_dweight(const float* parts, Real* dweight, u32 adds_weight, Real* dbias, u32 adds_bias, u32 blocks,
                   u32 cols) {
    put_column_sums(parts, dweight, adds_weight, dbias, adds_bias, nullptr, blocks, cols);
}
