// Rotary positions: see rotary.rs for the formulas.
//
// A block takes one position of some of the samples. It forms the cosines and sines of the position
// once, and every head of every sample of its share is turned by them.

#include "device/common.cuh"

const u32 THREADS = 256;
// Of Rotary::BASE, 10000.
const double LOG2_BASE = 13.287712379549449;

// y: every pair of channels of x turned by its angle times `direction`. The pairs are shared out among
// `axes`, each of which has a coordinate of the position, a digit to the base `edge`. `share` blocks
// have a position in common.
KERNEL rotary_turn(const Real* x, Real* y, u32 adds, u64 samples, u32 seq, u32 heads, u32 half, u32 axes, u32 edge,
                   u32 share, float direction) {
    __shared__ float cosines[THREADS], sines[THREADS];
    if (!y) {
        return;
    }
    u32 position = blockIdx.x % seq;
    // Threads lie along the pairs of a head, and along heads where that leaves some over.
    u32 width = min(half, THREADS), slots = THREADS / width;
    u32 mine = threadIdx.x % width, slot = threadIdx.x / width;
    u32 each = half / axes;
    for (u32 first = 0; first < half; first += width) {
        u32 pair = first + mine;
        // Nobody may still read the angles before.
        __syncthreads();
        if (slot == 0 && pair < half) {
            // In f64, as the host's table: the angle has the size of the position.
            double frequency = exp2(-LOG2_BASE * (pair % each) / each);
            u32 coordinate = position;
            for (u32 axis = 0; axis < pair / each; axis += 1) {
                coordinate /= edge;
            }
            coordinate %= edge;
            double sine, cosine;
            sincospi(coordinate * frequency * 0.31830988618379067154, &sine, &cosine);
            sines[mine] = (float)sine * direction;
            cosines[mine] = (float)cosine;
        }
        __syncthreads();
        if (slot >= slots || pair >= half) {
            continue;
        }
        float cosine = cosines[mine], sine = sines[mine];
        for (u64 sample = blockIdx.x / seq; sample < samples; sample += share) {
            for (u32 head = slot; head < heads; head += slots) {
                u64 at = ((sample * seq + position) * heads + head) * 2 * half + pair;
                float x0 = x[at], x1 = x[at + half];
                put(y, at, x0 * cosine - x1 * sine, adds);
                put(y, at + half, x1 * cosine + x0 * sine, adds);
            }
        }
    }
}
