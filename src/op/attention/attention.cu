// Attention: see mod.rs for the formulas.
//
// Tiles of 64 queries by 64 keys; no row of logits is ever whole in memory. Blocks of 256 threads lie
// over a tile as 16 by 16: thread (down, across) has the rows down + 16r and the columns
// across + 16c. Products are read through shared memory, 32 channels at a time, so that any width
// of a head does. Sums of rows (y, dq, dk, dv) are kept in registers, WIDE columns a thread: a block
// makes 16·WIDE of the channels, and wider heads take more blocks.
//
// Forward keeps two numbers per row, max and Σ e^(s − max). vjp makes the logits again, bit by bit
// as they were: every ⟨q, k⟩ is one chain of fused operations over the channels in order.
// attention_mean makes D = Σ p ⊙ dp; then a block per tile of queries makes dq, a block per tile of
// keys makes dk and dv, and nothing is added across blocks.
//
// attention_capped.cu compiles the same with CAPPED: what a soft cap takes of time and registers is only
// taken where there is one.

#include "../device/rows.cuh"

#ifndef CAPPED
#define CAPPED false
#endif

constexpr u32 TILE = 64, SIDE = 16, EACH = 4, CHANNELS = 32;

__device__ __forceinline__ u32 down() {
    return threadIdx.x / SIDE;
}
__device__ __forceinline__ u32 across() {
    return threadIdx.x % SIDE;
}

// The sum and the largest of the 16 threads that share a row of a tile, the same in each.
__device__ __forceinline__ float row_sum(float value) {
    for (u32 lane = SIDE / 2; lane > 0; lane /= 2) {
        value += __shfl_xor_sync(0xffffffffu, value, lane);
    }
    return value;
}
__device__ __forceinline__ float row_max(float value) {
    for (u32 lane = SIDE / 2; lane > 0; lane /= 2) {
        value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, lane));
    }
    return value;
}

// Up to 64 rows of a head, from a token on, times a factor; rows beyond `count` are zeros.
template <typename T>
struct RowsOf {
    T* data;
    u64 stride;
    u32 count, width;
    float factor;

    // The other rows, from row `first` on.
    __device__ __forceinline__ RowsOf from(u32 first) const {
        return {data + first * stride, stride, count - first, width, factor};
    }

    __device__ __forceinline__ bool vectors() const {
        return asked(in_vectors(width, data) && stride % VECTOR == 0);
    }

    // Copies COLS channels of the rows to a tile; channels beyond the width are zeros.
    template <u32 COLS>
    __device__ __forceinline__ void load(float (*tile)[COLS + 4], u32 channel) const {
        // Which of two places are read is decided in a loop, where the compiler loses sight of it.
        __builtin_assume(__isGlobal(data));
        if (vectors()) {
#pragma unroll 2
            for (u32 n = threadIdx.x; n < TILE * COLS / VECTOR; n += SIDE * SIDE) {
                u32 row = n / (COLS / VECTOR), col = VECTOR * (n % (COLS / VECTOR));
                Vector x = {};
                if (row < count && channel + col < width) {
                    ::load(data + row * stride + channel + col, x.of);
                }
                for (float& value : x.of) {
                    value *= factor;
                }
                store(&tile[row][col], x.of);
            }
        } else {
#pragma unroll 1
            for (u32 n = threadIdx.x; n < TILE * COLS; n += SIDE * SIDE) {
                u32 row = n / COLS, col = n % COLS;
                bool there = row < count && channel + col < width;
                tile[row][col] = there ? data[row * stride + channel + col] * factor : 0.0f;
            }
        }
    }

    // Sets the channels of the rows that a tile has, or adds them, each row times the factor.
    template <u32 COLS>
    __device__ __forceinline__ void put(const float (*tile)[COLS + 4], u32 channel, u32 adds) const {
        bool together = vectors();
#pragma unroll 1
        for (u32 n = threadIdx.x; n < TILE * COLS / VECTOR; n += SIDE * SIDE) {
            u32 row = n / (COLS / VECTOR), col = VECTOR * (n % (COLS / VECTOR));
            Vector x;
            ::load(&tile[row][col], x.of);
            if (row < count) {
                ::put(data + row * stride, channel + col, width, together, x, adds);
            }
        }
    }
};
using Rows = RowsOf<const Real>;

// What the threads of a block share. Four numbers between rows keep reads of 16 bytes from one
// column off each other's banks, sixteen those of a warp that writes two rows of weights.
struct Shared {
    union {
        struct {
            float left[TILE][CHANNELS + 4], right[TILE][CHANNELS + 4];
        };
        float wide[TILE][TILE + 4];
    };
    float weights[TILE][TILE + 16];
};

// s = ⟨left row, right row⟩ over all channels. All threads must come here.
__device__ __forceinline__ void products(Shared& shared, float (&s)[EACH][EACH], Rows left, Rows right) {
    for (u32 r = 0; r < EACH; r += 1) {
        for (u32 c = 0; c < EACH; c += 1) {
            s[r][c] = 0.0f;
        }
    }
    for (u32 channel = 0; channel < left.width; channel += CHANNELS) {
        // Nobody may still read what the tiles held.
        __syncthreads();
        left.load<CHANNELS>(shared.left, channel);
        right.load<CHANNELS>(shared.right, channel);
        __syncthreads();
        u32 channels = min(CHANNELS, left.width - channel);
#pragma unroll 1
        for (u32 k = 0; k < channels; k += 4) {
            float4 a[EACH], b[EACH];
#pragma unroll
            for (u32 n = 0; n < EACH; n += 1) {
                a[n] = *(float4*)&shared.left[down() + SIDE * n][k];
                b[n] = *(float4*)&shared.right[across() + SIDE * n][k];
            }
#pragma unroll
            for (u32 r = 0; r < EACH; r += 1) {
#pragma unroll
                for (u32 c = 0; c < EACH; c += 1) {
                    s[r][c] = fmaf(a[r].w, b[c].w, fmaf(a[r].z, b[c].z,
                              fmaf(a[r].y, b[c].y, fmaf(a[r].x, b[c].x, s[r][c]))));
                }
            }
        }
    }
}

// s of the first rows, and dp of the second: one code for both.
__device__ __forceinline__ void both_products(Shared& shared, float (&s)[EACH][EACH], float (&dp)[EACH][EACH],
                                              Rows left, Rows right, Rows dp_left, Rows dp_right) {
    for (u32 r = 0; r < EACH; r += 1) {
        for (u32 c = 0; c < EACH; c += 1) {
            dp[r][c] = 0.0f;
        }
    }
#pragma unroll 1
    for (u32 n = 0; n < 2; n += 1) {
        for (u32 r = 0; r < EACH; r += 1) {
            for (u32 c = 0; c < EACH; c += 1) {
                s[r][c] = dp[r][c];
            }
        }
        products(shared, dp, n == 0 ? left : dp_left, n == 0 ? right : dp_right);
    }
}

// sum += weights · rows, for 16·WIDE channels from `channel` on, EACH neighbours of every 64. The weights
// are read behind a barrier. All threads must come here.
template <u32 WIDE>
__device__ __forceinline__ void accumulate(Shared& shared, float (&sum)[EACH][WIDE], Rows rows, u32 channel) {
#pragma unroll
    for (u32 part = 0; part < WIDE; part += EACH) {
        __syncthreads();
        rows.load<TILE>(shared.wide, channel + part * SIDE);
        __syncthreads();
        u32 count = min(TILE, rows.count);
#pragma unroll 1
        for (u32 j = 0; j < count; j += 4) {
            float w[EACH][4];
#pragma unroll
            for (u32 r = 0; r < EACH; r += 1) {
                *(float4*)w[r] = *(float4*)&shared.weights[down() + SIDE * r][j];
            }
#pragma unroll
            for (u32 k = 0; k < 4; k += 1) {
                float x[EACH];
                *(float4*)x = *(float4*)&shared.wide[j + k][EACH * across()];
#pragma unroll
                for (u32 r = 0; r < EACH; r += 1) {
#pragma unroll
                    for (u32 v = 0; v < EACH; v += 1) {
                        sum[r][part + v] = fmaf(w[r][k], x[v], sum[r][part + v]);
                    }
                }
            }
        }
    }
}

// Puts what `accumulate` made, each row times its factor. All threads must come here.
template <u32 WIDE>
__device__ __forceinline__ void put_rows(Shared& shared, const float (&sum)[EACH][WIDE], const float (&factor)[EACH],
                                         RowsOf<Real> to, u32 channel, u32 adds) {
#pragma unroll
    for (u32 part = 0; part < WIDE; part += EACH) {
        __syncthreads();
#pragma unroll
        for (u32 r = 0; r < EACH; r += 1) {
            for (u32 v = 0; v < EACH; v += 1) {
                shared.wide[down() + SIDE * r][EACH * across() + v] = sum[r][part + v] * factor[r];
            }
        }
        __syncthreads();
        to.put<TILE>(shared.wide, channel + part * SIDE, adds);
    }
}

// The sizes of a problem, and its arguments beside q, k and v.
struct Problem {
    const float* mask;
    const Real* bias;
    u32 batch, heads, kv_heads, queries, keys, width, causal, token_major;
    float scale, cap;

    // The rows of head h of sample b in a tensor of so many heads and tokens.
    template <typename T>
    __device__ __forceinline__ RowsOf<T> rows(T* x, u32 b, u32 h, u32 heads, u32 seq, float factor) const {
        u64 sample = (u64)seq * heads * width, head = (u64)(token_major ? 1 : seq) * width;
        u64 stride = (u64)(token_major ? heads : 1) * width;
        return {x + b * sample + h * head, stride, seq, width, factor};
    }
    // Those of a tensor like q, and those of one like k that query head h reads.
    template <typename T>
    __device__ __forceinline__ RowsOf<T> of_queries(T* x, u32 b, u32 h, float factor) const {
        return rows(x, b, h, heads, queries, factor);
    }
    template <typename T>
    __device__ __forceinline__ RowsOf<T> of_keys(T* x, u32 b, u32 h) const {
        return rows(x, b, h / (heads / kv_heads), kv_heads, keys, 1.0f);
    }
    // The number of a row of logits among those of all samples and heads.
    __device__ __forceinline__ u64 row(u32 b, u32 h, u32 i) const {
        return ((u64)b * heads + h) * queries + i;
    }
    // How many keys query i sees by its place.
    __device__ __forceinline__ u32 seen(u32 i) const {
        u64 end = (u64)i + 1 + keys;
        return i >= queries ? 0 : !causal ? keys : end > queries ? (u32)(end - queries) : 0;
    }
    // How many the queries of a tile see.
    __device__ __forceinline__ u32 seen_by_tile(u32 first) const {
        return seen(min(first + TILE, queries) - 1);
    }
    // The first query that sees key j by its place.
    __device__ __forceinline__ u32 sees(u32 j) const {
        return causal && (u64)j + queries > keys ? (u32)((u64)j + queries - keys) : 0;
    }
    // Puts cap·tanh(u/cap) in the place of u = scale·⟨q, k⟩.
    __device__ __forceinline__ void limit(float (&s)[EACH][EACH]) const {
        if constexpr (CAPPED) {
#pragma unroll
            for (u32 r = 0; r < EACH; r += 1) {
#pragma unroll
                for (u32 c = 0; c < EACH; c += 1) {
                    s[r][c] = cap * tanhf(s[r][c] / cap);
                }
            }
        }
    }
    // As limit, with the slopes 1 − tanh².
    __device__ __forceinline__ void limit(float (&s)[EACH][EACH], float (&slopes)[EACH][EACH]) const {
        if constexpr (CAPPED) {
#pragma unroll
            for (u32 r = 0; r < EACH; r += 1) {
#pragma unroll
                for (u32 c = 0; c < EACH; c += 1) {
                    float t = tanhf(s[r][c] / cap);
                    s[r][c] = cap * t;
                    slopes[r][c] = fmaf(-t, t, 1.0f);
                }
            }
        }
    }
    // Makes the logits of a tile of scale·⟨q, k⟩; −∞ where a query may not attend. Rows of the tile are
    // queries, or keys. Nobody may still read the weights. All threads must come here.
    template <bool ROWS_ARE_KEYS>
    __device__ __forceinline__ void attend(Shared& shared, float (&s)[EACH][EACH], u32 b, u32 h, u32 first_i,
                                           u32 first_j) const {
        if (asked(bias || mask)) {
            // What is added lies where the weights will, so that it is read by neighbours in a row.
#pragma unroll 2
            for (u32 n = threadIdx.x; n < TILE * TILE; n += SIDE * SIDE) {
                u32 i = first_i + n / TILE, j = first_j + n % TILE;
                float add = 0.0f;
                if (i < queries && j < keys) {
                    add = bias ? (float)bias[((u64)h * queries + i) * keys + j] : 0.0f;
                    add = mask && mask[((u64)b * queries + i) * keys + j] == 0.0f ? -infinite() : add;
                }
                shared.weights[ROWS_ARE_KEYS ? n % TILE : n / TILE][ROWS_ARE_KEYS ? n / TILE : n % TILE] = add;
            }
            __syncthreads();
            for (u32 r = 0; r < EACH; r += 1) {
                for (u32 c = 0; c < EACH; c += 1) {
                    float add = shared.weights[down() + SIDE * r][across() + SIDE * c];
                    s[r][c] = add == -infinite() ? add : s[r][c] + add;
                }
            }
        }
#pragma unroll
        for (u32 n = 0; n < EACH; n += 1) {
            u32 sees = seen(first_i + SIDE * n + (ROWS_ARE_KEYS ? across() : down()));
#pragma unroll
            for (u32 m = 0; m < EACH; m += 1) {
                u32 r = ROWS_ARE_KEYS ? m : n, c = ROWS_ARE_KEYS ? n : m;
                u32 j = first_j + SIDE * m + (ROWS_ARE_KEYS ? down() : across());
                s[r][c] = j < sees ? s[r][c] : -infinite();
            }
        }
    }
};

// A block of 16 by 16 threads, of which two share a multiprocessor: one computes while the other loads.
#define TILE_KERNEL KERNEL __launch_bounds__(SIDE * SIDE, 2)

// The parameters that every kernel takes, which a template cannot give to a function of C.
#define PROBLEM                                                                                               \
    const float *mask, const Real *bias, u32 batch, u32 heads, u32 kv_heads, u32 queries, u32 keys,           \
        u32 width, u32 causal, u32 token_major, float scale, float cap
#define AS_PROBLEM                                                                                            \
    { mask, bias, batch, heads, kv_heads, queries, keys, width, causal, token_major, scale, cap }

// What a block makes: some channels of a tile of a head of a sample. Of tiles, the last come first
// where they see the most.
struct Place {
    u32 b, h, first, channel;

    __device__ __forceinline__ Place(u32 block, u32 batch, u32 heads, u32 seq, u32 width, u32 channels, bool last) {
        u32 windows = (width + channels - 1) / channels, tiles = (seq + TILE - 1) / TILE;
        h = block % heads, block /= heads;
        b = block % batch, block /= batch;
        channel = block % windows * channels, block /= windows;
        first = (last ? tiles - 1 - block : block) * TILE;
    }
};

// What forward kept of some rows, and the mean of dp.
struct Stats {
    float max, per_sum, mean;

    __device__ __forceinline__ float p(float s) const {
        return expf(s - max) * per_sum;
    }
};

// Those of query i, zeros beyond the last; the mean where it is known.
__device__ __forceinline__ Stats stats_of(const Problem& of, const float* stats, u32 b, u32 h, u32 i) {
    if (i >= of.queries) {
        return {};
    }
    u64 row = of.row(b, h, i);
    float sum = stats[2 * row + 1];
    return {stats[2 * row], sum == 0.0f ? 0.0f : 1.0f / sum, 0.0f};
}
__device__ __forceinline__ Stats stats_of(const Problem& of, const float* stats, const float* means, u32 b, u32 h,
                                          u32 i) {
    Stats query = stats_of(of, stats, b, h, i);
    query.mean = i < of.queries ? means[of.row(b, h, i)] : 0.0f;
    return query;
}

// y = Σ p·v, and max and Σ e^(s − max) of every row.
template <u32 WIDE>
__device__ __forceinline__ void forward(const Real* q, const Real* k, const Real* v, Real* y, float* stats,
                                        const Problem& of) {
    __shared__ __align__(16) Shared shared;
    Place at(blockIdx.x, of.batch, of.heads, of.queries, of.width, SIDE * WIDE, of.causal);
    Rows queries = of.of_queries(q, at.b, at.h, of.scale).from(at.first);
    float out[EACH][WIDE] = {}, sum[EACH] = {}, max[EACH] = {-infinite(), -infinite(), -infinite(), -infinite()};
    u32 seen = of.seen_by_tile(at.first);
    for (u32 first = 0; first < seen; first += TILE) {
        float s[EACH][EACH];
        products(shared, s, queries, of.of_keys(k, at.b, at.h).from(first));
        of.limit(s);
        of.attend<false>(shared, s, at.b, at.h, at.first, first);
#pragma unroll
        for (u32 r = 0; r < EACH; r += 1) {
            u32 row = down() + SIDE * r;
            float largest = -infinite();
            for (u32 c = 0; c < EACH; c += 1) {
                largest = fmaxf(largest, s[r][c]);
            }
            largest = fmaxf(max[r], row_max(largest));
            float shift = shift_of(largest);
            // Exactly 1 in most tiles, whatever exp makes of 0.
            float factor = largest == max[r] ? 1.0f : expf(max[r] - shift);
            max[r] = largest;
            sum[r] *= factor;
            for (u32 n = 0; n < WIDE; n += 1) {
                out[r][n] *= factor;
            }
            for (u32 c = 0; c < EACH; c += 1) {
                float p = expf(s[r][c] - shift);
                sum[r] += p;
                shared.weights[row][across() + SIDE * c] = p;
            }
        }
        accumulate(shared, out, of.of_keys(v, at.b, at.h).from(first), at.channel);
    }
    float per_sum[EACH];
#pragma unroll
    for (u32 r = 0; r < EACH; r += 1) {
        float total = row_sum(sum[r]);
        per_sum[r] = total == 0.0f ? 0.0f : 1.0f / total;
        u32 i = at.first + down() + SIDE * r;
        if (i < of.queries && across() == 0 && at.channel == 0) {
            stats[2 * of.row(at.b, at.h, i)] = shift_of(max[r]);
            stats[2 * of.row(at.b, at.h, i) + 1] = total;
        }
    }
    put_rows(shared, out, per_sum, of.of_queries(y, at.b, at.h, 1.0f).from(at.first), at.channel, 0);
}

// means = D = Σ p ⊙ dp of every row.
TILE_KERNEL attention_mean(const Real* q, const Real* k, const Real* v, const Real* dy, const float* stats,
                      float* means, PROBLEM) {
    __shared__ __align__(16) Shared shared;
    Problem of = AS_PROBLEM;
    Place at(blockIdx.x, batch, heads, queries, width, width, causal);
    Stats rows[EACH];
    float mean[EACH] = {};
    for (u32 r = 0; r < EACH; r += 1) {
        rows[r] = stats_of(of, stats, at.b, at.h, at.first + down() + SIDE * r);
    }
    u32 seen = of.seen_by_tile(at.first);
    for (u32 first = 0; first < seen; first += TILE) {
        float s[EACH][EACH], dp[EACH][EACH];
        both_products(shared, s, dp, of.of_queries(q, at.b, at.h, scale).from(at.first),
                      of.of_keys(k, at.b, at.h).from(first), of.of_queries(dy, at.b, at.h, 1.0f).from(at.first),
                      of.of_keys(v, at.b, at.h).from(first));
        of.limit(s);
        of.attend<false>(shared, s, at.b, at.h, at.first, first);
#pragma unroll
        for (u32 r = 0; r < EACH; r += 1) {
            for (u32 c = 0; c < EACH; c += 1) {
                mean[r] += rows[r].p(s[r][c]) * dp[r][c];
            }
        }
    }
#pragma unroll
    for (u32 r = 0; r < EACH; r += 1) {
        float total = row_sum(mean[r]);
        u32 i = at.first + down() + SIDE * r;
        if (i < queries && across() == 0) {
            means[of.row(at.b, at.h, i)] = total;
        }
    }
}

// dq = scale·Σ ds·k over the keys.
template <u32 WIDE>
__device__ __forceinline__ void make_dq(const Real* q, const Real* k, const Real* v, const Real* dy,
                                        const float* stats, const float* means, Real* dq, u32 adds,
                                        const Problem& of) {
    __shared__ __align__(16) Shared shared;
    Place at(blockIdx.x, of.batch, of.heads, of.queries, of.width, SIDE * WIDE, of.causal);
    float sum[EACH][WIDE] = {};
    u32 seen = of.seen_by_tile(at.first);
    for (u32 first = 0; first < seen; first += TILE) {
        float s[EACH][EACH], dp[EACH][EACH], slopes[EACH][EACH];
        Rows keys = of.of_keys(k, at.b, at.h).from(first), values = of.of_keys(v, at.b, at.h).from(first);
        both_products(shared, s, dp, of.of_queries(q, at.b, at.h, of.scale).from(at.first), keys,
                      of.of_queries(dy, at.b, at.h, 1.0f).from(at.first), values);
        of.limit(s, slopes);
        of.attend<false>(shared, s, at.b, at.h, at.first, first);
#pragma unroll
        for (u32 r = 0; r < EACH; r += 1) {
            Stats query = stats_of(of, stats, means, at.b, at.h, at.first + down() + SIDE * r);
            for (u32 c = 0; c < EACH; c += 1) {
                float ds = query.p(s[r][c]) * (dp[r][c] - query.mean);
                if constexpr (CAPPED) {
                    ds *= slopes[r][c];
                }
                shared.weights[down() + SIDE * r][across() + SIDE * c] = ds;
            }
        }
        accumulate(shared, sum, keys, at.channel);
    }
    float factor[EACH] = {of.scale, of.scale, of.scale, of.scale};
    put_rows(shared, sum, factor, of.of_queries(dq, at.b, at.h, 1.0f).from(at.first), at.channel, adds);
}

// dk = Σ ds·scale·q and dv = Σ p·dy over the queries of all heads that read them. Rows of a tile are
// keys here, and columns are queries.
template <u32 WIDE>
__device__ __forceinline__ void make_dk_dv(const Real* q, const Real* k, const Real* v, const Real* dy,
                                           const float* stats, const float* means, Real* dk, u32 adds_k, Real* dv,
                                           u32 adds_v, const Problem& of) {
    __shared__ __align__(16) Shared shared;
    Place at(blockIdx.x, of.batch, of.kv_heads, of.keys, of.width, SIDE * WIDE, false);
    u32 per_kv_head = of.heads / of.kv_heads;
    float sum_k[EACH][WIDE] = {}, sum_v[EACH][WIDE] = {};
    for (u32 h = at.h * per_kv_head; h < (at.h + 1) * per_kv_head; h += 1) {
        Rows keys = of.of_keys(k, at.b, h).from(at.first), values = of.of_keys(v, at.b, h).from(at.first);
        for (u32 first = of.sees(at.first); first < of.queries; first += TILE) {
            float p[EACH][EACH], ds[EACH][EACH], slopes[EACH][EACH];
            Rows queries = of.of_queries(q, at.b, h, of.scale).from(first);
            Rows dys = of.of_queries(dy, at.b, h, 1.0f).from(first);
            both_products(shared, p, ds, keys, queries, values, dys);
            of.limit(p, slopes);
            of.attend<true>(shared, p, at.b, h, first, at.first);
#pragma unroll
            for (u32 c = 0; c < EACH; c += 1) {
                Stats query = stats_of(of, stats, means, at.b, h, first + across() + SIDE * c);
                for (u32 r = 0; r < EACH; r += 1) {
                    p[r][c] = query.p(p[r][c]);
                    ds[r][c] = p[r][c] * (ds[r][c] - query.mean);
                    if constexpr (CAPPED) {
                        ds[r][c] *= slopes[r][c];
                    }
                }
            }
            // dv from p and dy, then dk from ds and q. One code for both: the sums change places.
#pragma unroll 1
            for (u32 n = 0; n < 2; n += 1) {
                if (asked(n == 0 ? dv : dk)) {
                    for (u32 r = 0; r < EACH; r += 1) {
                        for (u32 c = 0; c < EACH; c += 1) {
                            shared.weights[down() + SIDE * r][across() + SIDE * c] = p[r][c];
                        }
                    }
                    accumulate(shared, sum_v, n == 0 ? dys : queries, at.channel);
                    // The weights are read until here.
                    __syncthreads();
                }
                for (u32 r = 0; r < EACH; r += 1) {
                    for (u32 c = 0; c < EACH; c += 1) {
                        p[r][c] = ds[r][c];
                    }
                    for (u32 v = 0; v < WIDE; v += 1) {
                        float other = sum_k[r][v];
                        sum_k[r][v] = sum_v[r][v], sum_v[r][v] = other;
                    }
                }
            }
        }
    }
    float ones[EACH] = {1.0f, 1.0f, 1.0f, 1.0f};
    if (dk) {
        put_rows(shared, sum_k, ones, of.rows(dk, at.b, at.h, of.kv_heads, of.keys, 1.0f).from(at.first), at.channel, adds_k);
    }
    if (dv) {
        put_rows(shared, sum_v, ones, of.rows(dv, at.b, at.h, of.kv_heads, of.keys, 1.0f).from(at.first), at.channel, adds_v);
    }
}

// dbias = Σ ds over the samples: a block per head and tile of queries and keys.
TILE_KERNEL attention_dbias(const Real* q, const Real* k, const Real* v, const Real* dy, const float* stats,
                       const float* means, Real* dbias, u32 adds, PROBLEM) {
    if (!dbias) {
        return;
    }
    __shared__ __align__(16) Shared shared;
    Problem of = AS_PROBLEM;
    u32 tiles = (keys + TILE - 1) / TILE, h = blockIdx.x % heads, tile = blockIdx.x / heads;
    u32 first_i = tile / tiles * TILE, first_j = tile % tiles * TILE;
    float sum[EACH][EACH] = {};
    for (u32 b = 0; b < batch; b += 1) {
        float s[EACH][EACH], dp[EACH][EACH];
        both_products(shared, s, dp, of.of_queries(q, b, h, scale).from(first_i), of.of_keys(k, b, h).from(first_j),
                      of.of_queries(dy, b, h, 1.0f).from(first_i), of.of_keys(v, b, h).from(first_j));
        of.limit(s);
        of.attend<false>(shared, s, b, h, first_i, first_j);
#pragma unroll
        for (u32 r = 0; r < EACH; r += 1) {
            u32 i = first_i + down() + SIDE * r;
            Stats query = stats_of(of, stats, means, b, h, i);
            for (u32 c = 0; c < EACH; c += 1) {
                sum[r][c] += query.p(s[r][c]) * (dp[r][c] - query.mean);
            }
        }
    }
#pragma unroll
    for (u32 r = 0; r < EACH; r += 1) {
        for (u32 c = 0; c < EACH; c += 1) {
            u32 i = first_i + down() + SIDE * r, j = first_j + across() + SIDE * c;
            if (i < queries && j < keys) {
                put(dbias, ((u64)h * queries + i) * keys + j, sum[r][c], adds);
            }
        }
    }
}

// The kernels for heads of up to 16·WIDE channels, and for any wider one by parts. Two sums of the widest
// heads fill the registers of a multiprocessor by themselves.
#define OF_WIDTH(WIDE, NAME)                                                                                  \
    TILE_KERNEL attention_forward_##NAME(const Real* q, const Real* k, const Real* v, Real* y,            \
                                         float* stats, PROBLEM) {                                             \
        forward<WIDE>(q, k, v, y, stats, AS_PROBLEM);                                                         \
    }                                                                                                         \
    TILE_KERNEL attention_dq_##NAME(const Real* q, const Real* k, const Real* v, const Real* dy,          \
                                    const float* stats, const float* means, Real* dq, u32 adds, PROBLEM) {   \
        if (dq) {                                                                                             \
            make_dq<WIDE>(q, k, v, dy, stats, means, dq, adds, AS_PROBLEM);                                   \
        }                                                                                                     \
    }                                                                                                         \
    KERNEL __launch_bounds__(SIDE * SIDE, WIDE < 8 ? 2 : 1)                                                   \
        attention_dk_dv_##NAME(const Real* q, const Real* k, const Real* v, const Real* dy,               \
                               const float* stats, const float* means, Real* dk, u32 adds_k, Real* dv,      \
                               u32 adds_v, PROBLEM) {                                                         \
        if (dk || dv) {                                                                                       \
            make_dk_dv<WIDE>(q, k, v, dy, stats, means, dk, adds_k, dv, adds_v, AS_PROBLEM);                  \
        }                                                                                                     \
    }

OF_WIDTH(4, 64)
OF_WIDTH(8, 128)
