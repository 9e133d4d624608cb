// Batch normalisation: see batch_norm.rs for the formulas, rows.cuh for strips.
//
// A block takes a strip of columns, and its warps every so-many-th row of it. The moments of a
// column are taken in one pass over memory: those of some rows in registers, by two passes there,
// join those of the rows before. stats is [2, cols]: mean and rstd.
//
// Power normalisation (power_norm.rs) is the same with a mean of 0, which is no mean of the batch: its
// own are the kernels of the statistics, called power_norm, at the end.

#include "rows.cuh"

// The mean of n numbers and the sum of their squares around it.
struct Moments {
    float n, mean, squares;

    // Those of both sets of numbers (Chan, Golub & LeVeque 1979).
    __device__ __forceinline__ void join(const Moments& other) {
        if (n == 0.0f) {
            *this = other;
        } else if (other.n > 0.0f) {
            float share = other.n / (n + other.n), off = other.mean - mean;
            mean += off * share;
            squares += other.squares + off * off * (n * share);
            n += other.n;
        }
    }
};

// Rows that a warp reads at once.
constexpr int AT_ONCE = 8;

// Moments of the rows of a block: parts is [blocks / strips, 3, cols].
template <class T>
__device__ __forceinline__ void gather(const Real* x, float* parts, u64 rows, u32 cols, u32 strips) {
    constexpr u32 SPAN = 32 * T::ACCESSES * T::WIDTH;
    __shared__ Moments others[T::TEAMS][SPAN];
    T team(cols, strips);
    Moments moments[T::ACCESSES][T::WIDTH] = {};
    for (u64 i = team.row; i < rows; i += AT_ONCE * team.step) {
        typename T::Kept v[AT_ONCE];
        float n = 0.0f;
#pragma unroll
        for (int r = 0; r < AT_ONCE; r += 1) {
            T::fill(v[r], 0.0f);
            if (i + r * team.step < rows) {
                team.read(x + (i + r * team.step) * cols, team.start, v[r]);
                n += 1.0f;
            }
        }
        team.elements([&](int a, int e) {
            Moments some = {n, 0.0f, 0.0f};
#pragma unroll
            for (int r = 0; r < AT_ONCE; r += 1) {
                some.mean += v[r][a][e];
            }
            some.mean /= n;
#pragma unroll
            for (int r = 0; r < AT_ONCE; r += 1) {
                float off = r < n ? v[r][a][e] - some.mean : 0.0f;
                some.squares += off * off;
            }
            moments[a][e].join(some);
        });
    }
    team.each(team.start, [&](int a, u32 j) {
        for (int e = 0; e < T::WIDTH; e += 1) {
            others[threadIdx.x / 32][j + e - team.start] = moments[a][e];
        }
    });
    __syncthreads();
    u32 at = threadIdx.x;
    if (at < SPAN && at < cols - team.start) {
        Moments all = others[0][at];
        for (int warp = 1; warp < T::TEAMS; warp += 1) {
            all.join(others[warp][at]);
        }
        float* to = parts + 3 * (u64)(blockIdx.x / strips) * cols + team.start + at;
        to[0] = all.n;
        to[cols] = all.mean;
        to[2 * (u64)cols] = all.squares;
    }
}

KERNEL __launch_bounds__(256)
batch_norm_moments(const Real* x, float* parts, u64 rows, u32 cols, u32 strips) {
    if (in_vectors<Vectors<4, 8>::WIDTH>(cols, x)) {
        gather<Vectors<4, 8>>(x, parts, rows, cols, strips);
    } else {
        gather<Team<4, 1, 8>>(x, parts, rows, cols, strips);
    }
}

// stats, and the running ones moved: of the old ones `keeps`, of those of the batch `takes`. A block
// takes 32 columns, and its warps the groups of rows in turn.
KERNEL __launch_bounds__(1024)
batch_norm_statistics(const float* parts, const float* running_mean, const float* running_var, float* stats,
                      float* new_mean, float* new_var, u32 groups, u32 cols, float eps, float keeps, float takes) {
    __shared__ Moments others[32][32];
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    u64 j = (u64)blockIdx.x * 32 + lane;
    Moments all = {};
    for (u64 group = warp; group < groups && j < cols; group += warps) {
        const float* part = parts + 3 * group * cols + j;
        all.join({part[0], part[cols], part[2 * (u64)cols]});
    }
    others[warp][lane] = all;
    __syncthreads();
    if (warp > 0 || j >= cols) {
        return;
    }
    for (u32 other = 1; other < warps; other += 1) {
        all.join(others[other][lane]);
    }
    stats[j] = all.mean;
    stats[cols + j] = 1.0f / sqrtf(all.squares / all.n + eps);
    new_mean[j] = keeps * running_mean[j] + takes * all.mean;
    new_var[j] = keeps * running_var[j] + takes * (all.squares / (all.n - 1.0f));
}

// stats in evaluation: the running ones, which stay as they are.
KERNEL __launch_bounds__(256)
batch_norm_running(const float* running_mean, const float* running_var, float* stats, float* new_mean, float* new_var,
                   u32 cols, float eps) {
    u64 j = thread_index();
    if (j < cols) {
        stats[j] = new_mean[j] = running_mean[j];
        stats[cols + j] = 1.0f / sqrtf(running_var[j] + eps);
        new_var[j] = running_var[j];
    }
}

template <class T>
__device__ __forceinline__ void normalize(const Real* x, const Real* weight, const Real* bias, const float* stats,
                                          Real* y, u64 rows, u32 cols, u32 strips) {
    T team(cols, strips);
    typename T::Kept v, mean, rstd, w, b;
    team.read(stats, team.start, mean);
    team.read(stats + cols, team.start, rstd);
    team.read(weight, team.start, w);
    team.read(bias, team.start, b);
    for (u64 i = team.row; i < rows; i += team.step) {
        team.read(x + i * cols, team.start, v);
        team.elements([&](int a, int e) {
            v[a][e] = fmaf((v[a][e] - mean[a][e]) * rstd[a][e], w[a][e], b[a][e]);
        });
        team.write(y + i * cols, team.start, v);
    }
}

KERNEL __launch_bounds__(256)
batch_norm_forward(const Real* x, const Real* weight, const Real* bias, const float* stats, Real* y, u64 rows,
                   u32 cols, u32 strips) {
    if (in_vectors<Vectors<4, 8>::WIDTH>(cols, x, weight, bias, stats, y)) {
        normalize<Vectors<4, 8>>(x, weight, bias, stats, y, rows, cols, strips);
    } else {
        normalize<Team<4, 1, 8>>(x, weight, bias, stats, y, rows, cols, strips);
    }
}

// The sums of dy ⊙ x̂ and dy over the rows of a block: parts is [blocks / strips, 2, cols].
template <class T>
__device__ __forceinline__ void add_rows(const Real* x, const Real* dy, const float* stats, float* parts, u64 rows,
                                         u32 cols, u32 strips) {
    T team(cols, strips);
    float* own = parts + 2 * (u64)(blockIdx.x / strips) * cols;
    Sums<T> dweight(own), dbias(own + cols);
    typename T::Kept v, d, mean, rstd;
    team.read(stats, team.start, mean);
    team.read(stats + cols, team.start, rstd);
    for (u64 i = team.row; i < rows; i += team.step) {
        team.read(x + i * cols, team.start, v);
        team.read(dy + i * cols, team.start, d);
        team.elements([&](int a, int e) {
            dweight.kept[a][e] += d[a][e] * ((v[a][e] - mean[a][e]) * rstd[a][e]);
            dbias.kept[a][e] += d[a][e];
        });
    }
    dweight.leave(team);
    dbias.leave(team);
}

KERNEL __launch_bounds__(256)
batch_norm_parts(const Real* x, const Real* dy, const float* stats, float* parts, u64 rows, u32 cols, u32 strips) {
    if (in_vectors<Vectors<4, 8>::WIDTH>(cols, x, dy, stats, parts)) {
        add_rows<Vectors<4, 8>>(x, dy, stats, parts, rows, cols, strips);
    } else {
        add_rows<Team<4, 1, 8>>(x, dy, stats, parts, rows, cols, strips);
    }
}

// dweight and dbias; as they are without what was there before, sums has them too.
KERNEL __launch_bounds__(1024)
batch_norm_dweight(const float* parts, Real* dweight, u32 adds_weight, Real* dbias, u32 adds_bias, float* sums,
                   u32 groups, u32 cols) {
    put_column_sums(parts, dweight, adds_weight, dbias, adds_bias, sums, groups, cols);
}

// In evaluation the statistics do not move with x; a mean that is 0 never does.
template <class T>
__device__ __forceinline__ void differentiate(const Real* x, const Real* weight, const Real* dy,
                                              const float* stats, const float* sums, Real* dx, u32 adds, u64 rows,
                                              u32 cols, u32 strips, u32 training, u32 centred) {
    T team(cols, strips);
    typename T::Kept v, d, mean, rstd, w, slope, shift;
    team.read(stats, team.start, mean);
    team.read(stats + cols, team.start, rstd);
    team.read(weight, team.start, w);
    team.read(sums, team.start, slope);
    team.read(sums + cols, team.start, shift);
    team.elements([&](int a, int e) {
        w[a][e] *= rstd[a][e];
        slope[a][e] = training ? rstd[a][e] * (slope[a][e] / rows) : 0.0f;
        shift[a][e] = training && centred ? shift[a][e] / rows : 0.0f;
    });
    for (u64 i = team.row; i < rows; i += team.step) {
        team.read(x + i * cols, team.start, v);
        team.read(dy + i * cols, team.start, d);
        team.elements([&](int a, int e) {
            d[a][e] = w[a][e] * (d[a][e] - shift[a][e] - (v[a][e] - mean[a][e]) * slope[a][e]);
        });
        team.put(dx + i * cols, team.start, d, adds);
    }
}

KERNEL __launch_bounds__(256)
batch_norm_dx(const Real* x, const Real* weight, const Real* dy, const float* stats, const float* sums, Real* dx,
              u32 adds, u64 rows, u32 cols, u32 strips, u32 training, u32 centred) {
    if (!dx) {
        return;
    }
    if (in_vectors<Vectors<4, 8>::WIDTH>(cols, x, weight, dy, stats, sums, dx)) {
        differentiate<Vectors<4, 8>>(x, weight, dy, stats, sums, dx, adds, rows, cols, strips, training, centred);
    } else {
        differentiate<Team<4, 1, 8>>(x, weight, dy, stats, sums, dx, adds, rows, cols, strips, training, centred);
    }
}

// The sums of x² over the rows of a block: parts is [blocks / strips, cols].
template <class T>
__device__ __forceinline__ void add_squares(const Real* x, float* parts, u64 rows, u32 cols, u32 strips) {
    T team(cols, strips);
    Sums<T> squares(parts + (u64)(blockIdx.x / strips) * cols);
    typename T::Kept v;
    for (u64 i = team.row; i < rows; i += team.step) {
        team.read(x + i * cols, team.start, v);
        team.elements([&](int a, int e) { squares.kept[a][e] += v[a][e] * v[a][e]; });
    }
    squares.leave(team);
}

KERNEL __launch_bounds__(256)
power_norm_squares(const Real* x, float* parts, u64 rows, u32 cols, u32 strips) {
    if (in_vectors<Vectors<4, 8>::WIDTH>(cols, x, parts)) {
        add_squares<Vectors<4, 8>>(x, parts, rows, cols, strips);
    } else {
        add_squares<Team<4, 1, 8>>(x, parts, rows, cols, strips);
    }
}

// stats, and the running quadratic mean moved: of the old one `keeps`, of that of the batch `takes`.
KERNEL __launch_bounds__(1024)
power_norm_statistics(const float* parts, const float* running, float* stats, float* moved, u64 rows, u32 groups,
                      u32 cols, float eps, float keeps, float takes) {
    u64 j = (u64)blockIdx.x * 32 + threadIdx.x % 32;
    float mean = column_sum(parts, groups, cols, j) / rows;
    if (threadIdx.x < 32 && j < cols) {
        stats[j] = 0.0f;
        stats[cols + j] = 1.0f / sqrtf(mean + eps);
        moved[j] = keeps * running[j] + takes * mean;
    }
}

// stats in evaluation: of the running quadratic mean, which stays as it is.
KERNEL __launch_bounds__(256)
power_norm_running(const float* running, float* stats, float* moved, u32 cols, float eps) {
    u64 j = thread_index();
    if (j < cols) {
        stats[j] = 0.0f;
        stats[cols + j] = 1.0f / sqrtf(running[j] + eps);
        moved[j] = running[j];
    }
}
