// Group normalisation: see group_norm.rs for the formulas, rows.cuh for who takes a row.
//
// A row here is a group: x is read as [rows · groups, members], where weight and bias go round. stats
// is [rows, groups, 2]: mean and rstd. The sums over rows are formed apart, over strips of columns.

#include "centre.cuh"

template <class T>
__device__ __forceinline__ void normalize(const Real* x, const Real* weight, const Real* bias, Real* y,
                                          float* stats, u64 rows, u32 members, u32 groups, float eps) {
    T team(members);
    for (u64 i = team.row; i < rows; i += team.step) {
        const Real* row = x + i * members;
        u32 own = i % groups * members;
        typename T::Kept v, w, b;
        Centre of_row = centre(team, row, v);
        float mean = of_row.mean;
        float rstd = 1.0f / sqrtf(of_row.squares / members + eps);
        for (u32 first = 0; team.has(first); first += team.span()) {
            team.reread(row, first, v);
            team.read(weight + own, first, w);
            team.read(bias + own, first, b);
            team.elements([&](int a, int e) { v[a][e] = fmaf((v[a][e] - mean) * rstd, w[a][e], b[a][e]); });
            team.write(y + i * members, first, v);
        }
        if (team.thread == 0) {
            stats[2 * i] = mean;
            stats[2 * i + 1] = rstd;
        }
    }
}

template <class T>
__device__ __forceinline__ void differentiate(const Real* x, const Real* weight, const Real* dy,
                                              const float* stats, Real* dx, u32 adds, u64 rows, u32 members,
                                              u32 groups) {
    T team(members);
    for (u64 i = team.row; dx && i < rows; i += team.step) {
        u64 row = i * members;
        const Real* own = weight + i % groups * members;
        float mean = stats[2 * i], rstd = stats[2 * i + 1];
        typename T::Kept v, d, w;
        // Of w = weight ⊙ dy and of w ⊙ (x − mean). The product is rounded in both passes, so that
        // nothing is left of a group of one column.
        float sums[2] = {0.0f, 0.0f};
        for (u32 first = 0; team.has(first); first += team.span()) {
            team.read(x + row, first, v);
            team.read(dy + row, first, d);
            team.read(own, first, w);
            team.elements([&](int a, int e) {
                float along = __fmul_rn(w[a][e], d[a][e]);
                sums[0] += along;
                sums[1] += along * (v[a][e] - mean);
            });
        }
        team.sum(sums);
        float shift = sums[0] / members, slope = rstd * (rstd * (rstd * (sums[1] / members)));
        for (u32 first = 0; team.has(first); first += team.span()) {
            team.reread(x + row, first, v);
            team.reread(dy + row, first, d);
            team.reread(own, first, w);
            team.elements([&](int a, int e) {
                float along = __fmul_rn(w[a][e], d[a][e]);
                d[a][e] = rstd * (along - shift) - (v[a][e] - mean) * slope;
            });
            team.put(dx + row, first, d, adds);
        }
    }
}

template <int KEPT, int TEAMS>
__device__ __forceinline__ void forward(const Real* x, const Real* weight, const Real* bias, Real* y,
                                        float* stats, u64 rows, u32 members, u32 groups, float eps) {
    if (in_vectors<Vectors<KEPT, TEAMS>::WIDTH>(members, x, weight, bias, y)) {
        normalize<Vectors<KEPT, TEAMS>>(x, weight, bias, y, stats, rows, members, groups, eps);
    } else {
        normalize<Scalars<KEPT, TEAMS>>(x, weight, bias, y, stats, rows, members, groups, eps);
    }
}

template <int KEPT, int TEAMS>
__device__ __forceinline__ void vjp(const Real* x, const Real* weight, const Real* dy, const float* stats,
                                    Real* dx, u32 adds, u64 rows, u32 members, u32 groups) {
    if (in_vectors<Vectors<KEPT, TEAMS>::WIDTH>(members, x, weight, dy, dx)) {
        differentiate<Vectors<KEPT, TEAMS>>(x, weight, dy, stats, dx, adds, rows, members, groups);
    } else {
        differentiate<Scalars<KEPT, TEAMS>>(x, weight, dy, stats, dx, adds, rows, members, groups);
    }
}

KERNEL __launch_bounds__(256)
group_norm_forward_narrow(const Real* x, const Real* weight, const Real* bias, Real* y, float* stats, u64 rows,
                          u32 members, u32 groups, float eps) {
    forward<4, 8>(x, weight, bias, y, stats, rows, members, groups, eps);
}

KERNEL __launch_bounds__(256)
group_norm_forward_warp(const Real* x, const Real* weight, const Real* bias, Real* y, float* stats, u64 rows,
                        u32 members, u32 groups, float eps) {
    forward<32, 8>(x, weight, bias, y, stats, rows, members, groups, eps);
}

KERNEL __launch_bounds__(1024)
group_norm_forward_block(const Real* x, const Real* weight, const Real* bias, Real* y, float* stats, u64 rows,
                         u32 members, u32 groups, float eps) {
    forward<8, 1>(x, weight, bias, y, stats, rows, members, groups, eps);
}

KERNEL __launch_bounds__(256)
group_norm_vjp_narrow(const Real* x, const Real* weight, const Real* dy, const float* stats, Real* dx, u32 adds,
                      u64 rows, u32 members, u32 groups) {
    vjp<4, 8>(x, weight, dy, stats, dx, adds, rows, members, groups);
}

KERNEL __launch_bounds__(256, 2)
group_norm_vjp_warp(const Real* x, const Real* weight, const Real* dy, const float* stats, Real* dx, u32 adds,
                    u64 rows, u32 members, u32 groups) {
    vjp<32, 8>(x, weight, dy, stats, dx, adds, rows, members, groups);
}

KERNEL __launch_bounds__(1024, 1)
group_norm_vjp_block(const Real* x, const Real* weight, const Real* dy, const float* stats, Real* dx, u32 adds,
                     u64 rows, u32 members, u32 groups) {
    vjp<8, 1>(x, weight, dy, stats, dx, adds, rows, members, groups);
}

// The sums of dy ⊙ x̂ and dy over the rows of a block: parts is [blocks / strips, 2, cols].
template <class T>
__device__ __forceinline__ void add_rows(const Real* x, const Real* dy, const float* stats, float* parts, u64 rows,
                                         u32 cols, u32 strips, u32 members) {
    T team(cols, strips);
    float* own = parts + 2 * (u64)(blockIdx.x / strips) * cols;
    Sums<T> dweight(own), dbias(own + cols);
    typename T::Kept v, d;
    u32 groups = cols / members, group[T::ACCESSES][T::WIDTH];
    // Beyond the row nothing is added to what is written; the last group is as good as any.
    team.elements([&](int a, int e) { group[a][e] = min(team.column(team.start, a) + e, cols - 1) / members; });
    for (u64 i = team.row; i < rows; i += team.step) {
        team.read(x + i * cols, team.start, v);
        team.read(dy + i * cols, team.start, d);
        team.elements([&](int a, int e) {
            const float* mean = stats + 2 * (i * groups + group[a][e]);
            dweight.kept[a][e] += d[a][e] * ((v[a][e] - mean[0]) * mean[1]);
            dbias.kept[a][e] += d[a][e];
        });
    }
    dweight.leave(team);
    dbias.leave(team);
}

KERNEL __launch_bounds__(256)
group_norm_parts(const Real* x, const Real* dy, const float* stats, float* parts, u64 rows, u32 cols, u32 strips,
                 u32 members) {
    if (in_vectors<Vectors<4, 8>::WIDTH>(cols, x, dy, parts)) {
        add_rows<Vectors<4, 8>>(x, dy, stats, parts, rows, cols, strips, members);
    } else {
        add_rows<Team<4, 1, 8>>(x, dy, stats, parts, rows, cols, strips, members);
    }
}

KERNEL __launch_bounds__(1024)
group_norm_dweight(const float* parts, Real* dweight, u32 adds_weight, Real* dbias, u32 adds_bias, u32 blocks,
                   u32 cols) {
    put_column_sums(parts, dweight, adds_weight, dbias, adds_bias, nullptr, blocks, cols);
}
