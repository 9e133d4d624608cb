// The mean of a row and what is left without it, for all that centres rows.

#pragma once

#include "rows.cuh"

// The mean of a row, and the sum of the squares around it.
struct Centre {
    float mean, squares;
};

// That of a row, whose last chunk is left in v: all of it where it is kept. The squares are those of the
// centred values.
template <class T>
__device__ __forceinline__ Centre centre(const T& team, const Real* row, typename T::Kept& v) {
    float sum = 0.0f, squares = 0.0f;
    for (u32 first = 0; team.has(first); first += team.span()) {
        team.read(row, first, v);
        team.elements([&](int a, int e) { sum += v[a][e]; });
    }
    float mean = team.sum(sum) / team.cols;
    for (u32 first = 0; team.has(first); first += team.span()) {
        team.reread(row, first, v);
        team.each(first, [&](int a, u32) {
            for (float v : v[a]) {
                squares += (v - mean) * (v - mean);
            }
        });
    }
    return {mean, team.sum(squares)};
}
