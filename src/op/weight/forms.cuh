// Forms of weights that take a row by itself: y = gain·gamma·q·c of every row, where c is the row, or the
// row less its mean, and q comes of Σ c².
//
// A Rule says what. It has CENTRED, and of(squares, q, turn): with along = q·⟨c, dy⟩,
// dW = gain·gamma·q·(dy − mean(dy) − c·turn·along), without the mean where c is the row; and
// dgain = gamma·along. kept is [rows, 3]: mean, q and turn.

#pragma once

#include "../norm/centre.cuh"

// What the rules are made of: a choice between two forms, and what the squares are divided by.
struct Constants {
    float eps;
    u32 choice, divisor;
};

template <class Rule, class T>
__device__ __forceinline__ void form(const Rule& rule, const Real* weight, const Real* gain, Real* y, float* kept,
                                     u64 rows, u32 cols, float gamma) {
    T team(cols);
    for (u64 i = team.row; i < rows; i += team.step) {
        const Real* row = weight + i * cols;
        typename T::Kept v;
        float mean = 0.0f, squares = 0.0f, q, turn;
        if constexpr (Rule::CENTRED) {
            Centre of_row = centre(team, row, v);
            mean = of_row.mean, squares = of_row.squares;
        } else {
            for (u32 first = 0; team.has(first); first += team.span()) {
                team.read(row, first, v);
                team.elements([&](int a, int e) { squares += v[a][e] * v[a][e]; });
            }
            squares = team.sum(squares);
        }
        rule.of(squares, q, turn);
        float factor = gamma * (gain ? (float)gain[i] : 1.0f) * q;
        for (u32 first = 0; team.has(first); first += team.span()) {
            team.reread(row, first, v);
            team.elements([&](int a, int e) { v[a][e] = (v[a][e] - mean) * factor; });
            team.write(y + i * cols, first, v);
        }
        if (team.thread == 0) {
            kept[3 * i] = mean, kept[3 * i + 1] = q, kept[3 * i + 2] = turn;
        }
    }
}

template <bool CENTRED, class T>
__device__ __forceinline__ void differentiate(const Real* weight, const Real* gain, const Real* dy,
                                              const float* kept, Real* dweight, u32 adds, Real* dgain,
                                              u32 adds_gain, u64 rows, u32 cols, float gamma) {
    T team(cols);
    for (u64 i = team.row; i < rows; i += team.step) {
        u64 row = i * cols;
        float mean = kept[3 * i], q = kept[3 * i + 1], turn = kept[3 * i + 2];
        typename T::Kept v, d;
        float sums[2] = {0.0f, 0.0f};
        for (u32 first = 0; team.has(first); first += team.span()) {
            team.read(weight + row, first, v);
            team.read(dy + row, first, d);
            team.elements([&](int a, int e) {
                sums[0] += d[a][e];
                sums[1] += d[a][e] * (v[a][e] - mean);
            });
        }
        team.sum(sums);
        float along = q * sums[1], shift = CENTRED ? sums[0] / cols : 0.0f, slope = turn * along;
        float factor = gamma * (gain ? (float)gain[i] : 1.0f) * q;
        for (u32 first = 0; dweight && team.has(first); first += team.span()) {
            team.reread(weight + row, first, v);
            team.reread(dy + row, first, d);
            team.elements([&](int a, int e) { d[a][e] = factor * (d[a][e] - shift - (v[a][e] - mean) * slope); });
            team.put(dweight + row, first, d, adds);
        }
        if (dgain && team.thread == 0) {
            put(dgain, i, gamma * along, adds_gain);
        }
    }
}

template <class Rule, int KEPT, int TEAMS>
__device__ __forceinline__ void forward(const Rule& rule, const Real* weight, const Real* gain, Real* y,
                                        float* kept, u64 rows, u32 cols, float gamma) {
    if (in_vectors<Vectors<KEPT, TEAMS>::WIDTH>(cols, weight, y)) {
        form<Rule, Vectors<KEPT, TEAMS>>(rule, weight, gain, y, kept, rows, cols, gamma);
    } else {
        form<Rule, Scalars<KEPT, TEAMS>>(rule, weight, gain, y, kept, rows, cols, gamma);
    }
}

template <class Rule, int KEPT, int TEAMS>
__device__ __forceinline__ void vjp(const Real* weight, const Real* gain, const Real* dy, const float* kept,
                                    Real* dweight, u32 adds, Real* dgain, u32 adds_gain, u64 rows, u32 cols,
                                    float gamma) {
    if (in_vectors<Vectors<KEPT, TEAMS>::WIDTH>(cols, weight, dy, dweight)) {
        differentiate<Rule::CENTRED, Vectors<KEPT, TEAMS>>(weight, gain, dy, kept, dweight, adds, dgain, adds_gain,
                                                           rows, cols, gamma);
    } else {
        differentiate<Rule::CENTRED, Scalars<KEPT, TEAMS>>(weight, gain, dy, kept, dweight, adds, dgain, adds_gain,
                                                           rows, cols, gamma);
    }
}

// What the kernels of all such forms are called with.
#define FORM_FORWARD                                                                                          \
    const Real *weight, const Real *gain, Real *y, float *kept, u64 rows, u32 cols, float gamma, float eps,   \
        u32 choice, u32 divisor
#define FORM_VJP                                                                                              \
    const Real *weight, const Real *gain, const Real *dy, const float *kept, Real *dweight, u32 adds,         \
        Real *dgain, u32 adds_gain, u64 rows, u32 cols, float gamma

#define FORM_KERNELS_OF(NAME, RULE, SIZE, BOUNDS, KEPT, TEAMS)                                                \
    KERNEL BOUNDS NAME##_forward_##SIZE(FORM_FORWARD) {                                                       \
        forward<RULE, KEPT, TEAMS>({eps, choice, divisor}, weight, gain, y, kept, rows, cols, gamma);         \
    }                                                                                                         \
    KERNEL BOUNDS NAME##_vjp_##SIZE(FORM_VJP) {                                                               \
        vjp<RULE, KEPT, TEAMS>(weight, gain, dy, kept, dweight, adds, dgain, adds_gain, rows, cols, gamma);   \
    }

// The kernels of a form: for narrow rows, for those of a warp and for those of a block.
#define FORM_KERNELS(NAME, RULE)                                                                              \
    FORM_KERNELS_OF(NAME, RULE, narrow, __launch_bounds__(256), 4, 8)                                         \
    FORM_KERNELS_OF(NAME, RULE, warp, __launch_bounds__(256, 2), 32, 8)                                       \
    FORM_KERNELS_OF(NAME, RULE, block, __launch_bounds__(1024, 1), 8, 1)
