// Norms that multiply a row by one number: y = weight ⊙ x·s, with s of Σ x² over the first `seen` columns.
//
// A Rule says what becomes of that sum. It has WEIGHTED, whether there is a weight; PARTIAL, whether
// some columns are not seen; kept(squares), what vjp is left of a row; scale(kept), which is s; and
// slope(kept, along): with w = weight ⊙ dy and along = ⟨w, x⟩, dx = s·w − x·slope in the columns seen.

#pragma once

#include "rows.cuh"

// The constants of a norm: eps, and how many columns are seen.
struct Constants {
    float eps;
    u32 seen;
};

// The columns of a chunk that are seen, from an access and a place in it.
template <class Rule, class T>
__device__ __forceinline__ bool is_seen(const Rule& rule, const T& team, u32 first, int a, int e) {
    return !Rule::PARTIAL || team.column(first, a) + e < rule.seen;
}

template <class Rule, class T>
__device__ __forceinline__ void normalize(const Rule& rule, const Real* x, const Real* weight, Real* y, float* kept,
                                          u64 rows, u32 cols) {
    T team(cols);
    for (u64 i = team.row; i < rows; i += team.step) {
        typename T::Kept v, w;
        float squares = 0.0f;
        for (u32 first = 0; team.has(first); first += team.span()) {
            team.read(x + i * cols, first, v);
            team.elements([&](int a, int e) {
                squares += is_seen(rule, team, first, a, e) ? v[a][e] * v[a][e] : 0.0f;
            });
        }
        float own = rule.kept(team.sum(squares)), scale = rule.scale(own);
        for (u32 first = 0; team.has(first); first += team.span()) {
            team.reread(x + i * cols, first, v);
            if constexpr (Rule::WEIGHTED) {
                team.read(weight, first, w);
            }
            team.elements([&](int a, int e) {
                v[a][e] *= scale;
                if constexpr (Rule::WEIGHTED) {
                    v[a][e] *= w[a][e];
                }
            });
            team.write(y + i * cols, first, v);
        }
        if (team.thread == 0) {
            kept[i] = own;
        }
    }
}

// dx, and where there is a weight the sums of dy ⊙ x·s over the rows of a block: parts is [blocks, cols].
template <class Rule, class T>
__device__ __forceinline__ void differentiate(const Rule& rule, const Real* x, const Real* weight, const Real* dy,
                                              const float* kept, Real* dx, u32 adds, float* parts, u64 rows,
                                              u32 cols) {
    T team(cols);
    Sums<T> dweight(parts + (u64)blockIdx.x * cols);
    for (u64 i = team.row; i < rows; i += team.step) {
        u64 row = i * cols;
        float own = kept[i], scale = rule.scale(own), along = 0.0f;
        typename T::Kept v, d, w;
        for (u32 first = 0; team.has(first); first += team.span()) {
            team.read(x + row, first, v);
            team.read(dy + row, first, d);
            if constexpr (Rule::WEIGHTED) {
                team.read(weight, first, w);
            }
            team.elements([&](int a, int e) {
                along += v[a][e] * (Rule::WEIGHTED ? d[a][e] * w[a][e] : d[a][e]);
            });
        }
        float slope = rule.slope(own, team.sum(along));
        for (u32 first = 0; team.has(first); first += team.span()) {
            team.reread(x + row, first, v);
            team.reread(dy + row, first, d);
            if constexpr (Rule::WEIGHTED) {
                team.reread(weight, first, w);
                dweight.begin(team, i, first);
                team.elements([&](int a, int e) {
                    dweight.kept[a][e] += d[a][e] * (v[a][e] * scale);
                    d[a][e] *= w[a][e];
                });
                dweight.end(team, first);
            }
            team.elements([&](int a, int e) {
                float turned = is_seen(rule, team, first, a, e) ? v[a][e] * slope : 0.0f;
                d[a][e] = scale * d[a][e] - turned;
            });
            if (asked(dx)) {
                team.put(dx + row, first, d, adds);
            }
        }
    }
    if constexpr (Rule::WEIGHTED) {
        dweight.leave(team);
    }
}

template <class Rule, int KEPT, int TEAMS>
__device__ __forceinline__ void forward(const Rule& rule, const Real* x, const Real* weight, Real* y, float* kept,
                                        u64 rows, u32 cols) {
    if (in_vectors<Vectors<KEPT, TEAMS>::WIDTH>(cols, x, weight, y)) {
        normalize<Rule, Vectors<KEPT, TEAMS>>(rule, x, weight, y, kept, rows, cols);
    } else {
        normalize<Rule, Scalars<KEPT, TEAMS>>(rule, x, weight, y, kept, rows, cols);
    }
}

template <class Rule, int KEPT, int TEAMS>
__device__ __forceinline__ void vjp(const Rule& rule, const Real* x, const Real* weight, const Real* dy,
                                    const float* kept, Real* dx, u32 adds, float* parts, u64 rows, u32 cols) {
    if (in_vectors<Vectors<KEPT, TEAMS>::WIDTH>(cols, x, weight, dy, dx, parts)) {
        differentiate<Rule, Vectors<KEPT, TEAMS>>(rule, x, weight, dy, kept, dx, adds, parts, rows, cols);
    } else {
        differentiate<Rule, Scalars<KEPT, TEAMS>>(rule, x, weight, dy, kept, dx, adds, parts, rows, cols);
    }
}

// What the kernels of all such norms are called with.
#define SCALED_FORWARD const Real *x, const Real *weight, Real *y, float *kept, u64 rows, u32 cols, float eps, u32 seen
#define SCALED_VJP                                                                                            \
    const Real *x, const Real *weight, const Real *dy, const float *kept, Real *dx, u32 adds, float *parts,   \
        u64 rows, u32 cols, float eps, u32 seen

// The kernels of a norm: for narrow rows, for those of a warp and for those of a block. Blocks that sum over
// rows stay, and are large ones.
#define SCALED_KERNELS(NAME, RULE)                                                                            \
    KERNEL __launch_bounds__(256) NAME##_forward_narrow(SCALED_FORWARD) {                                     \
        forward<RULE, 4, 8>({eps, seen}, x, weight, y, kept, rows, cols);                                     \
    }                                                                                                         \
    KERNEL __launch_bounds__(256) NAME##_forward_warp(SCALED_FORWARD) {                                       \
        forward<RULE, 32, 8>({eps, seen}, x, weight, y, kept, rows, cols);                                    \
    }                                                                                                         \
    KERNEL __launch_bounds__(1024) NAME##_forward_block(SCALED_FORWARD) {                                     \
        forward<RULE, 8, 1>({eps, seen}, x, weight, y, kept, rows, cols);                                     \
    }                                                                                                         \
    KERNEL __launch_bounds__(RULE::WEIGHTED ? 1024 : 256) NAME##_vjp_narrow(SCALED_VJP) {                     \
        vjp<RULE, 4, RULE::WEIGHTED ? 32 : 8>({eps, seen}, x, weight, dy, kept, dx, adds, parts, rows, cols); \
    }                                                                                                         \
    KERNEL __launch_bounds__(256, RULE::WEIGHTED ? 1 : 2) NAME##_vjp_warp(SCALED_VJP) {                       \
        vjp<RULE, 32, 8>({eps, seen}, x, weight, dy, kept, dx, adds, parts, rows, cols);                      \
    }                                                                                                         \
    KERNEL __launch_bounds__(1024, 1) NAME##_vjp_block(SCALED_VJP) {                                          \
        vjp<RULE, 8, 1>({eps, seen}, x, weight, dy, kept, dx, adds, parts, rows, cols);                       \
    }

// What adds the sums of all blocks.
__device__ __forceinline__ void put_dweight(const float* parts, Real* dweight, u32 adds, u32 blocks, u32 cols) {
    u64 j = (u64)blockIdx.x * 32 + threadIdx.x % 32;
    float sum = column_sum(parts, blocks, cols, j);
    if (threadIdx.x < 32 && j < cols && dweight) {
        put(dweight, j, sum, adds);
    }
}
