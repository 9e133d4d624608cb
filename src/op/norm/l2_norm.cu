// Rows of length one: see l2_norm.rs for the formulas, scaled.cuh for the kernels.
//
// kept is ‖x‖ of every row, which tells vjp on which side of eps it is.

#include "scaled.cuh"

struct Length : Constants {
    static constexpr bool WEIGHTED = false, PARTIAL = false;

    __device__ __forceinline__ float kept(float squares) const {
        return sqrtf(squares);
    }
    // A NaN is not below eps, and stays.
    __device__ __forceinline__ float scale(float norm) const {
        return 1.0f / (norm < eps ? eps : norm);
    }
    __device__ __forceinline__ float slope(float norm, float along) const {
        float inverse = scale(norm);
        return norm <= eps ? 0.0f : inverse * (inverse * (inverse * along));
    }
};

SCALED_KERNELS(l2_norm, Length)
