// Tokens and positions become vectors: see embedding.rs for the formulas.

#include "device/elementwise.cuh"

const u32 THREADS = 256, WARPS = THREADS / 32;
// Columns that a warp takes side by side: a vector a lane.
const u32 STRIP = 32 * VECTOR;

// The elements of a lane in columns `first` to `first` + STRIP of a row of `cols`.
__device__ __forceinline__ Places places_of_lane(u64 row, u32 cols, u32 first, bool vectors) {
    u32 lane = threadIdx.x % 32;
    if (vectors) {
        bool inside = first + VECTOR * lane < cols;
        return {row * cols + first + VECTOR * lane, 1, inside ? VECTOR : 0, inside};
    }
    Places places = {row * cols + first + lane, 32, 0, false};
    for (u32 k = 0; k < VECTOR; k += 1) {
        places.count += first + lane + 32 * k < cols;
    }
    return places;
}

// y[b, t] = weight[tokens[b, t]]: a warp for each place. A token that is no row of the table gives NaN.
KERNEL embedding_forward(const float* tokens, const Real* weight, Real* y, u64 places, u64 vocabulary, u32 cols) {
    u64 place = (u64)blockIdx.x * WARPS + threadIdx.x / 32;
    if (place >= places) {
        return;
    }
    float token = tokens[place];
    bool known = token >= 0.0f && token < (float)vocabulary && token == floorf(token);
    u64 v = known ? (u64)token : 0;
    bool vectors = in_vectors(cols, weight, y);
    for (u32 first = 0; first < cols; first += STRIP) {
        Vector row = places_of_lane(v, cols, first, vectors).read(weight);
        for (float& value : row.of) {
            value = known ? value : __int_as_float(0x7fffffff);
        }
        places_of_lane(place, cols, first, vectors).write(y, row);
    }
}

// Lists the places below `places` that hold v, of every 256 those 32 that are this warp's, in order.
// Their number, in every lane.
__device__ __forceinline__ u32 list_places(const float* tokens, u32 places, u64 v, u32* list) {
    u32 lane = threadIdx.x % 32, count = 0;
    for (u32 start = threadIdx.x - lane; start < places; start += THREADS) {
        u32 place = start + lane;
        // As numbers: whole ones up to 2²⁴ are exact.
        bool holds = place < places && tokens[place] == (float)v;
        u32 found = __ballot_sync(0xffffffffu, holds);
        if (holds) {
            list[count + __popc(found & ((1u << lane) - 1))] = place;
        }
        count += __popc(found);
    }
    __syncwarp();
    return count;
}

// This lane's part of the sum of the listed rows of dy.
__device__ __forceinline__ Vector sum_of_rows(const Real* dy, const u32* list, u32 count, u32 cols, u32 first,
                                              bool vectors) {
    Vector sum = {};
    for (u32 i = 0; i < count; i += 4) {
        // Four rows are under way at once.
        Vector rows[4] = {};
        for (u32 k = 0; k < 4; k += 1) {
            if (i + k < count) {
                rows[k] = places_of_lane(list[i + k], cols, first, vectors).read(dy);
            }
        }
        for (const Vector& row : rows) {
            for (u32 k = 0; k < VECTOR; k += 1) {
                sum.of[k] += row.of[k];
            }
        }
    }
    return sum;
}

// dweight[v] = Σ dy over the places that hold v. A block forms a row of the table at a time, or where
// the table is short every so-many-th strip of it: `groups` blocks have a row in common. Every place
// has its warp and its turn, so that the order of the sum is fixed. What a block has of a row waits in
// a row of `waiting`, [blocks, cols], until the last place, so that it is rounded once.
KERNEL embedding_dweight(const float* tokens, const Real* dy, Real* dweight, u32 adds, float* waiting, u64 places,
                         u64 vocabulary, u32 cols, u32 groups) {
    const u32 CHUNK = 2048;
    __shared__ u32 lists[WARPS][CHUNK / WARPS];
    __shared__ Vector sums[WARPS][32];
    if (!dweight) {
        return;
    }
    bool vectors = in_vectors(cols, dy, dweight, waiting);
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (u64 item = blockIdx.x; item < vocabulary * groups; item += gridDim.x) {
        u64 v = item / groups;
        for (u64 start = 0; start < places; start += CHUNK) {
            u32 count = list_places(tokens + start, min(places - start, (u64)CHUNK), v, lists[warp]);
            bool found = __syncthreads_or(count), last = start + CHUNK >= places;
            // Nothing changes, unless the sum begins here, or has to be put.
            if (!found && (last ? start == 0 && adds : start > 0)) {
                continue;
            }
            for (u32 first = item % groups * STRIP; first < cols; first += groups * STRIP) {
                Vector sum = sum_of_rows(dy + start * cols, lists[warp], count, cols, first, vectors);
                sums[warp][lane] = sum;
                __syncthreads();
                if (warp == 0) {
                    for (u32 other = 1; other < WARPS; other += 1) {
                        for (u32 k = 0; k < VECTOR; k += 1) {
                            sum.of[k] += sums[other][lane].of[k];
                        }
                    }
                    if (last && start == 0) {
                        places_of_lane(v, cols, first, vectors).put(dweight, sum, adds);
                    } else {
                        Places own = places_of_lane(blockIdx.x, cols, first, vectors);
                        own.put(waiting, sum, start > 0);
                        if (last) {
                            places_of_lane(v, cols, first, vectors).put(dweight, own.read(waiting), adds);
                        }
                    }
                }
                // Nobody may write the next sums while these are read.
                __syncthreads();
            }
        }
    }
}

// y[b, t] = x[b, t] + weight[t]. A block takes elements of one sample; `blocks` of them are a sample.
KERNEL add_positions_forward(const Real* x, const Real* weight, Real* y, u64 sample_len, u32 blocks) {
    u64 sample = blockIdx.x / blocks * sample_len;
    bool aligned = in_vectors(0, x + sample, weight, y + sample);
    Places places = places_of_block(sample_len, blockIdx.x % blocks, aligned);
    Vector sum = places.read(x + sample), weights = places.read(weight);
    for (u32 k = 0; k < VECTOR; k += 1) {
        sum.of[k] += weights.of[k];
    }
    places.write(y + sample, sum);
}

// dx = dy, dweight[t] = Σ_b dy[b, t], and 0 in the rows of the table beyond the last position. A
// thread takes its elements of every sample.
KERNEL add_positions_vjp(const Real* dy, Real* dx, u32 adds_x, Real* dweight, u32 adds_weight, u64 samples,
                         u64 sample_len, u64 table_len) {
    // With the second sample on a boundary, every one is.
    bool aligned = in_vectors(0, dy, dy + sample_len, dx, dweight);
    Places places = places_of_block(sample_len, blockIdx.x, aligned);
    Vector sum = {};
    for (u64 sample = 0; sample < samples; sample += 1) {
        Vector dys = places.read(dy + sample * sample_len);
        places.put(dx ? dx + sample * sample_len : nullptr, dys, adds_x);
        for (u32 k = 0; k < VECTOR; k += 1) {
            sum.of[k] += dys.of[k];
        }
    }
    places.put(dweight, sum, adds_weight);
    u64 beyond = sample_len + thread_index();
    if (dweight && !adds_weight) {
        for (; beyond < table_len; beyond += (u64)gridDim.x * blockDim.x) {
            dweight[beyond] = 0.0f;
        }
    }
}
