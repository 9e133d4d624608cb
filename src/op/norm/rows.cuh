// What the kernels of the norms share: rows in the registers of the threads that take them.
//
// A team of threads takes a row: a warp where a block takes TEAMS rows at once, else the whole block.
// Each thread keeps KEPT elements, in accesses of WIDTH: of 16 bytes where columns and pointers allow
// them and so many are kept. A row that is longer than what the threads of a block keep is read in chunks, once in every
// pass over it. Or a block takes a strip of columns, and its warps the rows of it.
//
// The sums over rows, one for every column, stay in registers from row to row. Each block leaves a
// row of partial sums, in an order that the launch fixes; a second kernel adds them (column_sum).

#pragma once

#include "../device/common.cuh"

// As block_sum, of N values at once.
template <int N>
__device__ __forceinline__ void block_sums(float (&values)[N]) {
    __shared__ float parts[N][32];
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (int n = 0; n < N; n += 1) {
        values[n] = warp_sum(values[n]);
    }
    __syncthreads();
    for (int n = 0; n < N; n += 1) {
        if (lane == 0) {
            parts[n][warp] = values[n];
        }
    }
    __syncthreads();
    for (int n = 0; n < N; n += 1) {
        values[n] = warp_sum(lane < blockDim.x / 32 ? parts[n][lane] : 0.0f);
    }
}

// Floats that all instances of the templates below share, one use after the other.
template <int COUNT>
__device__ __forceinline__ float* shared_floats() {
    __shared__ __align__(16) float floats[COUNT];
    return floats;
}

template <int KEPT, int WIDTH_, int TEAMS_>
struct Team {
    static constexpr int WIDTH = WIDTH_, TEAMS = TEAMS_, ACCESSES = KEPT / WIDTH;
    // Elements of a row that a thread keeps.
    typedef float Kept[ACCESSES][WIDTH];

    u32 cols, thread, threads;
    // The first column, and the first row and how far the next is.
    u32 start;
    u64 row, step;

    // Rows: the teams of all blocks take them in turn.
    __device__ __forceinline__ explicit Team(u32 cols) : Team(cols, 1) {}

    // Strips of the columns, one or more: blocks take those of one row after each other.
    __device__ __forceinline__ Team(u32 cols, u32 strips)
        : cols(cols), thread(TEAMS > 1 ? threadIdx.x % 32 : threadIdx.x), threads(TEAMS > 1 ? 32 : blockDim.x) {
        u32 group = blockIdx.x / strips, groups = gridDim.x / strips;
        start = blockIdx.x % strips * span();
        row = (u64)group * TEAMS + (TEAMS > 1 ? threadIdx.x / 32 : 0);
        step = (u64)groups * TEAMS;
    }

    // Columns that the team keeps.
    __device__ __forceinline__ u32 span() const {
        return threads * KEPT;
    }
    // True where they are not all: only a team that is a block is given such rows.
    __device__ __forceinline__ bool in_chunks() const {
        return TEAMS == 1 && cols > span();
    }
    // Whether there is a chunk from column `first` on; the first is at `start`.
    __device__ __forceinline__ bool has(u32 first) const {
        return TEAMS == 1 ? first < cols : first == start;
    }
    // The column of the first element of an access: neighbours read neighbours.
    __device__ __forceinline__ u32 column(u32 first, int access) const {
        return first + (access * threads + thread) * WIDTH;
    }

    // Calls `work` with every access of a chunk that is in the row, and its column.
    template <class Work>
    __device__ __forceinline__ void each(u32 first, Work work) const {
        each_below(cols, first, work);
    }
    template <class Work>
    __device__ __forceinline__ void each_below(u32 end, u32 first, Work work) const {
#pragma unroll
        for (int a = 0; a < ACCESSES; a += 1) {
            u32 j = column(first, a);
            if (j < end) {
                work(a, j);
            }
        }
    }

    // Calls `work` with the access and the place in it of every element that is kept. Beyond the row
    // they are 0 where they were read, and are not written: most sums need no care.
    template <class Work>
    __device__ __forceinline__ static void elements(Work work) {
#pragma unroll
        for (int k = 0; k < KEPT; k += 1) {
            work(k / WIDTH, k % WIDTH);
        }
    }

    // Sets all to a value.
    __device__ __forceinline__ static void fill(Kept& to, float value) {
        elements([&](int a, int e) { to[a][e] = value; });
    }

    // Reads a chunk of a row, 0 beyond it. All reads are under way before the first is needed.
    template <typename T>
    __device__ __forceinline__ void read(const T* row, u32 first, Kept& to) const {
        read_below(cols, row, first, to, 0.0f);
    }

    // As read; all the same value where there is no row.
    template <typename T>
    __device__ __forceinline__ void read(const T* row, u32 first, Kept& to, float otherwise) const {
        read_below(row ? cols : 0, row, first, to, otherwise);
    }

    template <typename T>
    __device__ __forceinline__ void read_below(u32 end, const T* row, u32 first, Kept& to, float otherwise) const {
        fill(to, otherwise);
        const T* own = row + column(first, 0);
        each_below(end, first, [&](int a, u32) { load(own + a * threads * WIDTH, to[a]); });
    }

    // As read in a later pass over the row: nothing where the chunk was kept.
    template <typename T, class... Otherwise>
    __device__ __forceinline__ void reread(const T* row, u32 first, Kept& to, Otherwise... otherwise) const {
        if constexpr (TEAMS == 1) {
            if (asked(in_chunks())) {
                read(row, first, to, otherwise...);
            }
        }
    }

    template <typename T>
    __device__ __forceinline__ void write(T* row, u32 first, const Kept& from) const {
        T* own = row + column(first, 0);
        each(first, [&](int a, u32) { store(own + a * threads * WIDTH, from[a]); });
    }

    // Sets a chunk of a gradient, or adds to it.
    template <typename T>
    __device__ __forceinline__ void put(T* row, u32 first, Kept& from, u32 adds) const {
        if (asked(adds)) {
            Kept old;
            read(row, first, old);
            elements([&](int a, int e) { from[a][e] += old[a][e]; });
        }
        write(row, first, from);
    }

    // The sums over the team, the same in every thread.
    template <int N>
    __device__ __forceinline__ void sum(float (&values)[N]) const {
        if (TEAMS == 1) {
            block_sums(values);
        } else {
            for (int n = 0; n < N; n += 1) {
                values[n] = warp_sum(values[n]);
            }
        }
    }
    __device__ __forceinline__ float sum(float value) const {
        float values[1] = {value};
        sum(values);
        return values[0];
    }
};

// The team for rows of vectors.
template <int KEPT, int TEAMS>
using Vectors = Team<KEPT, (KEPT < VECTOR ? KEPT : VECTOR), TEAMS>;

// The team for rows that are no vectors. It keeps four elements a thread: where these are too few for
// a warp, the block takes the rows one by one.
template <int KEPT, int TEAMS>
using Scalars = Team<4, 1, (KEPT > 4 ? 1 : TEAMS)>;

// Sums over the rows that a block takes, one for every column, which become a row of `to`.
template <class T>
struct Sums {
    typename T::Kept kept;
    float* to;

    __device__ __forceinline__ explicit Sums(float* to) : to(to) {
        T::fill(kept, 0.0f);
    }

    // Before the elements of a chunk of a row are added. Of rows in chunks the sums are in memory,
    // each with the one thread that adds to it.
    __device__ __forceinline__ void begin(const T& team, u64 row, u32 first) {
        team.reread(row == team.row ? nullptr : to, first, kept, 0.0f);
    }
    __device__ __forceinline__ void end(const T& team, u32 first) {
        if constexpr (T::TEAMS == 1) {
            if (asked(team.in_chunks())) {
                team.write(to, first, kept);
            }
        }
    }

    // After the last row: adds what the warps of a block have. All threads must come here.
    __device__ __forceinline__ void leave(const T& team) {
        if constexpr (T::TEAMS == 1) {
            if (!team.in_chunks()) {
                team.write(to, 0, kept);
            }
        } else {
            constexpr u32 SPAN = 32 * T::ACCESSES * T::WIDTH;
            float* sums = shared_floats<T::TEAMS * SPAN>();
            float* own = sums + threadIdx.x / 32 * SPAN;
            // Nobody may still read the sums before.
            __syncthreads();
            team.each(team.start, [&](int a, u32 j) { store(own + (j - team.start), kept[a]); });
            __syncthreads();
            for (u32 at = threadIdx.x; at < SPAN && at < team.cols - team.start; at += blockDim.x) {
                float sum = 0.0f;
                for (int other = 0; other < T::TEAMS; other += 1) {
                    sum += sums[other * SPAN + at];
                }
                to[team.start + at] = sum;
            }
        }
    }
};

// The sum over a column of [rows, cols] partial sums. A block takes 32 columns, column j with the
// lanes j % 32, and its warps take the rows in turn. The sum is in the first warp; all threads must
// come here.
__device__ __forceinline__ float column_sum(const float* parts, u32 rows, u64 cols, u64 j) {
    __shared__ float sums[32][32];
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    float sum = 0.0f;
    for (u64 i = warp; i < rows && j < cols; i += warps) {
        sum += parts[i * cols + j];
    }
    sums[warp][lane] = sum;
    __syncthreads();
    sum = 0.0f;
    for (u32 other = 0; other < warps; other += 1) {
        sum += sums[other][lane];
    }
    return sum;
}

// As column_sum, of dweight and dbias side by side: parts is [rows, 2, cols]. The sums themselves are
// left in `sums`, [2, cols], where somebody needs them.
__device__ __forceinline__ void put_column_sums(const float* parts, Real* dweight, u32 adds_weight, Real* dbias,
                                                u32 adds_bias, float* sums, u32 rows, u32 cols) {
    u64 j = (u64)blockIdx.x * 32 + threadIdx.x % 32, both = 2 * (u64)cols;
    float sum = column_sum(parts, rows, both, j);
    if (threadIdx.x >= 32 || j >= both) {
        return;
    }
    if (sums) {
        sums[j] = sum;
    }
    if (j < cols && dweight) {
        put(dweight, j, sum, adds_weight);
    }
    if (j >= cols && dbias) {
        put(dbias, j - cols, sum, adds_bias);
    }
}

// The sum of a number that every thread has, left for the block. All threads must come here.
__device__ __forceinline__ void leave_total(float* parts, float value) {
    float sum = block_sum(value);
    if (threadIdx.x == 0) {
        parts[blockIdx.x] = sum;
    }
}

// One block adds what all blocks left, into a gradient of one element.
__device__ __forceinline__ void put_total(const float* parts, u32 count, Real* to, u32 adds) {
    float sum = 0.0f;
    for (u32 i = threadIdx.x; i < count; i += blockDim.x) {
        sum += parts[i];
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0 && to) {
        put(to, 0, sum, adds);
    }
}
