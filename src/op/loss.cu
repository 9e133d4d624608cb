// The losses: see loss.rs for the formulas.
//
// Cross-entropy: a warp per row up to 1,024 classes, a block above; then one block adds the losses of
// the rows. stats are, of every row, the largest logit and Σ e^(x − max) over the classes that are
// not the target: a likely target has a small loss, all of whose digits are in the others.

#include "device/rows.cuh"
#include "device/totals.cuh"

// The reductions, as loss.rs numbers them.
constexpr u32 MEAN = 0, EACH_ROW = 2;

// Whether a target names a class.
__device__ __forceinline__ bool names_a_class(float target, u32 cols) {
    return target >= 0.0f && target < (float)cols && target == floorf(target) && (u32)target < cols;
}

// The loss of one row, 0 where it is ignored, and its stats.
template <class Team>
__device__ __forceinline__ void cross_entropy_row(const Real* logits, const float* target, float* losses,
                                                  float* stats, u32 cols, float ignored, float smoothing,
                                                  float z_loss) {
    u64 row = Team::row();
    const Real* x = logits + row * cols;
    float loss = 0.0f, max = 0.0f, others = 0.0f;
    if (target[row] == ignored) {
        // Nothing of the row is read, whatever its logits are.
    } else if (!names_a_class(target[row], cols)) {
        // An index out of range must not pass for a small loss.
        loss = max = infinite() - infinite();
    } else {
        bool vectors = in_vectors(cols, logits);
        u64 y = (u64)target[row];
        Exponentials mine = {x[y], 0.0f};
        for (u64 j = VECTOR * Team::rank(); j < cols; j += VECTOR * Team::size()) {
            Vector e = read(x, j, cols, vectors, -infinite());
            for (u32 k = 0; k < VECTOR; k += 1) {
                e.of[k] = j + k == y ? -infinite() : e.of[k];
            }
            mine.add(e);
        }
        Exponentials all = mine.over<Team>();
        max = all.max, others = all.sum;
        float own = x[y] - max;
        float lse = own == 0.0f ? log1pf(others) : logf(others + expf(own));
        loss = lse - own;
        if (smoothing != 0.0f) {
            float sum = 0.0f;
            for (u64 j = VECTOR * Team::rank(); j < cols; j += VECTOR * Team::size()) {
                Vector e = read(x, j, cols, vectors, max);
                for (float& value : e.of) {
                    value -= max;
                }
                sum += sum_of(e);
            }
            float uniform = lse - Team::sum(sum) / cols;
            loss = (1.0f - smoothing) * loss + smoothing * uniform;
        }
        if (z_loss != 0.0f) {
            loss += z_loss * (max + lse) * (max + lse);
        }
    }
    if (Team::rank() == 0) {
        losses[row] = loss;
        stats[2 * row] = max;
        stats[2 * row + 1] = others;
    }
}

KERNEL cross_entropy_rows_short(const Real* logits, const float* target, float* losses, float* stats, u64 rows,
                                u32 cols, float ignored, float smoothing, float z_loss) {
    if (Warp::row() < rows) {
        cross_entropy_row<Warp>(logits, target, losses, stats, cols, ignored, smoothing, z_loss);
    }
}

KERNEL cross_entropy_rows_long(const Real* logits, const float* target, float* losses, float* stats, u32 cols,
                               float ignored, float smoothing, float z_loss) {
    cross_entropy_row<Block>(logits, target, losses, stats, cols, ignored, smoothing, z_loss);
}

// The losses of all rows as one, and the number of rows that count (1 where none does). One block.
KERNEL cross_entropy_total(const float* losses, const float* target, float* loss, float* kept, u64 rows,
                           float ignored, u32 reduction) {
    double sum = 0.0, count = 0.0;
    for (u64 i = threadIdx.x; i < rows; i += blockDim.x) {
        sum += losses[i];
        count += target[i] != ignored;
    }
    sum = block_total(sum), count = fmax(block_total(count), 1.0);
    if (threadIdx.x == 0) {
        *loss = (float)(reduction == MEAN ? sum / count : sum);
        *kept = (float)count;
    }
}

// A thread for every vector of a row.
KERNEL cross_entropy_dlogits(const Real* logits, const float* target, const float* dy, const float* stats,
                             const float* kept, Real* dlogits, u32 adds, u64 rows, u32 cols, float ignored,
                             float smoothing, float z_loss, u32 reduction) {
    u64 in_a_row = ((u64)cols + VECTOR - 1) / VECTOR, row = thread_index() / in_a_row;
    if (!dlogits || row >= rows) {
        return;
    }
    u64 j = VECTOR * (thread_index() % in_a_row), start = row * cols;
    bool vectors = in_vectors(cols, logits, dlogits);
    Vector d = {};
    if (target[row] != ignored) {
        float dloss = reduction == EACH_ROW ? dy[row] : dy[0];
        dloss = reduction == MEAN ? dloss / *kept : dloss;
        float max = stats[2 * row], others = stats[2 * row + 1];
        // Of a target that names no class max is NaN, and so is the gradient.
        u64 y = names_a_class(target[row], cols) ? (u64)target[row] : 0;
        float own = expf(logits[start + y] - max), sum = others + own;
        float per_sum = 1.0f / sum, spread = smoothing / cols;
        float slope = z_loss == 0.0f ? 0.0f : 2.0f * z_loss * (max + logf(sum));
        d = read(logits + start, j, cols, vectors, 0.0f);
        for (u32 k = 0; k < VECTOR; k += 1) {
            // p_y − 1 is minus the sum of the others, which cancels nothing as p_y → 1; what is
            // spread over all classes is here taken from y.
            float e = j + k == y ? smoothing * sum - others : expf(d.of[k] - max);
            if (z_loss != 0.0f) {
                e += slope * (j + k == y ? own : e);
            }
            d.of[k] = dloss * (e * per_sum - spread);
        }
    }
    put(dlogits + start, j, cols, vectors, d, adds);
}

// Each block leaves the sum of (prediction − target)² of its share.
KERNEL mean_squared_error_parts(const Real* prediction, const Real* target, float* parts, u64 len) {
    float sum = 0.0f;
    for (u64 i = VECTOR * thread_index(); i < len; i += VECTOR * (u64)gridDim.x * blockDim.x) {
        bool vectors = i + VECTOR <= len && in_vectors(0, prediction, target);
        Vector a = read(prediction, i, len, vectors, 0.0f), b = read(target, i, len, vectors, 0.0f);
        for (u32 k = 0; k < VECTOR; k += 1) {
            sum = fmaf(a.of[k] - b.of[k], a.of[k] - b.of[k], sum);
        }
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) {
        parts[blockIdx.x] = sum;
    }
}

// The sum of the parts over the number of elements. One block.
KERNEL mean_squared_error_total(const float* parts, float* y, u32 blocks, float count) {
    float sum = 0.0f;
    for (u32 i = threadIdx.x; i < blocks; i += blockDim.x) {
        sum += parts[i];
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) {
        *y = sum / count;
    }
}

KERNEL mean_squared_error_gradients(const Real* prediction, const Real* target, const float* dy,
                                    Real* dprediction, u32 adds_prediction, Real* dtarget, u32 adds_target,
                                    u64 len, float count) {
    u64 i = VECTOR * thread_index();
    if (i >= len) {
        return;
    }
    bool vectors = i + VECTOR <= len && in_vectors(0, prediction, target, dprediction, dtarget);
    float factor = dy[0] * 2.0f / count;
    Vector a = read(prediction, i, len, vectors, 0.0f), b = read(target, i, len, vectors, 0.0f), minus;
    for (u32 k = 0; k < VECTOR; k += 1) {
        a.of[k] = factor * (a.of[k] - b.of[k]);
        minus.of[k] = -a.of[k];
    }
    if (dprediction) {
        put(dprediction, i, len, vectors, a, adds_prediction);
    }
    if (dtarget) {
        put(dtarget, i, len, vectors, minus, adds_target);
    }
}
