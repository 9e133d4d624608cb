// Tokens and positions become vectors: see embedding.rs for the formulas.

#include "device/elementwise.cuh"

const u32 THREADS = 256, WARPS = THREADS / 32;
// Columns that a warp takes side by side: four a lane.
const u32 STRIP = 128;

// The four elements of a lane in columns `first` to `first` + STRIP of a row of `cols`.
__device__ __forceinline__ Four four_of_lane(u64 row, u32 cols, u32 first, bool by_fours) {
    u32 lane = threadIdx.x % 32;
    if (by_fours) {
        bool inside = first + 4 * lane < cols;
        return {row * cols + first + 4 * lane, 1, inside ? 4u : 0u, inside};
    }
    Four four = {row * cols + first + lane, 32, 0, false};
    for (u32 k = 0; k < 4; k += 1) {
        four.count += first + lane + 32 * k < cols;
    }
    return four;
}

// y[b, t] = weight[tokens[b, t]]: a warp for each place. A token that is no row of the table gives NaN.
KERNEL embedding_forward(const float* tokens, const float* weight, float* y, u64 places, u64 vocabulary, u32 cols) {
    u64 place = (u64)blockIdx.x * WARPS + threadIdx.x / 32;
    if (place >= places) {
        return;
    }
    float token = tokens[place];
    bool known = token >= 0.0f && token < (float)vocabulary && token == floorf(token);
    u64 v = known ? (u64)token : 0;
    bool by_fours = rows_of_fours(weight, cols) && on_16_bytes(y);
    for (u32 first = 0; first < cols; first += STRIP) {
        Quad quad = four_of_lane(v, cols, first, by_fours).load(weight);
        for (float& value : quad.of) {
            value = known ? value : __int_as_float(0x7fffffff);
        }
        four_of_lane(place, cols, first, by_fours).store(y, quad);
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
__device__ __forceinline__ Quad sum_of_rows(const float* dy, const u32* list, u32 count, u32 cols, u32 first,
                                            bool by_fours) {
    Quad sum = {};
    for (u32 i = 0; i < count; i += 4) {
        // Four rows are under way at once.
        Quad rows[4] = {};
        for (u32 k = 0; k < 4; k += 1) {
            if (i + k < count) {
                rows[k] = four_of_lane(list[i + k], cols, first, by_fours).load(dy);
            }
        }
        for (const Quad& row : rows) {
            for (u32 k = 0; k < 4; k += 1) {
                sum.of[k] += row.of[k];
            }
        }
    }
    return sum;
}

// dweight[v] = Σ dy over the places that hold v. A block forms a row of the table at a time, or where
// the table is short every so-many-th strip of it: `groups` blocks have a row in common. Every place
// has its warp and its turn, so that the order of the sum is fixed.
KERNEL embedding_dweight(const float* tokens, const float* dy, float* dweight, u32 adds, u64 places, u64 vocabulary,
                         u32 cols, u32 groups) {
    const u32 CHUNK = 2048;
    __shared__ u32 lists[WARPS][CHUNK / WARPS];
    __shared__ Quad sums[WARPS][32];
    if (!dweight) {
        return;
    }
    bool by_fours = rows_of_fours(dy, cols) && on_16_bytes(dweight);
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (u64 item = blockIdx.x; item < vocabulary * groups; item += gridDim.x) {
        u64 v = item / groups;
        for (u64 start = 0; start < places; start += CHUNK) {
            u32 count = list_places(tokens + start, min(places - start, (u64)CHUNK), v, lists[warp]);
            u32 onto = adds || start > 0;
            if (!__syncthreads_or(count) && onto) {
                continue;
            }
            for (u32 first = item % groups * STRIP; first < cols; first += groups * STRIP) {
                Quad sum = sum_of_rows(dy + start * cols, lists[warp], count, cols, first, by_fours);
                sums[warp][lane] = sum;
                __syncthreads();
                if (warp == 0) {
                    for (u32 other = 1; other < WARPS; other += 1) {
                        for (u32 k = 0; k < 4; k += 1) {
                            sum.of[k] += sums[other][lane].of[k];
                        }
                    }
                    four_of_lane(v, cols, first, by_fours).put(dweight, sum, onto);
                }
                // Nobody may write the next sums while these are read.
                __syncthreads();
            }
        }
    }
}

// y[b, t] = x[b, t] + weight[t]. A block takes elements of one sample; `blocks` of them are a sample.
KERNEL add_positions_forward(const float* x, const float* weight, float* y, u64 sample_len, u32 blocks) {
    u64 sample = blockIdx.x / blocks * sample_len;
    bool aligned = on_16_bytes(x + sample) && on_16_bytes(weight) && on_16_bytes(y + sample);
    Four four = four_of_block(sample_len, blockIdx.x % blocks, aligned);
    Quad quad = four.load(x + sample), weights = four.load(weight);
    for (u32 k = 0; k < 4; k += 1) {
        quad.of[k] += weights.of[k];
    }
    four.store(y + sample, quad);
}

// dx = dy, dweight[t] = Σ_b dy[b, t], and 0 in the rows of the table beyond the last position. A
// thread takes its elements of every sample.
KERNEL add_positions_vjp(const float* dy, float* dx, u32 adds_x, float* dweight, u32 adds_weight, u64 samples,
                         u64 sample_len, u64 table_len) {
    // With the second sample on a boundary, every one is.
    bool aligned = on_16_bytes(dy) && on_16_bytes(dy + sample_len) && on_16_bytes(dx) && on_16_bytes(dweight);
    Four four = four_of_block(sample_len, blockIdx.x, aligned);
    Quad sum = {};
    for (u64 sample = 0; sample < samples; sample += 1) {
        Quad dys = four.load(dy + sample * sample_len);
        four.put(dx ? dx + sample * sample_len : nullptr, dys, adds_x);
        for (u32 k = 0; k < 4; k += 1) {
            sum.of[k] += dys.of[k];
        }
    }
    four.put(dweight, sum, adds_weight);
    u64 beyond = sample_len + thread_index();
    if (dweight && !adds_weight) {
        for (; beyond < table_len; beyond += (u64)gridDim.x * blockDim.x) {
            dweight[beyond] = 0.0f;
        }
    }
}
