// Root mean square normalisation without a weight: see bare_rms_norm.rs for the formulas, scaled.cuh for
// the kernels.

#include "scaled.cuh"

// kept is the scale itself.
struct Bare : Constants {
    static constexpr bool WEIGHTED = false, PARTIAL = false;

    __device__ __forceinline__ float kept(float squares) const {
        return 1.0f / sqrtf(squares / seen + eps);
    }
    __device__ __forceinline__ float scale(float scale) const {
        return scale;
    }
    // The smallest factor first: the cube of the scale may be out of range.
    __device__ __forceinline__ float slope(float scale, float along) const {
        return scale * (scale * (scale * (along / seen)));
    }
};

SCALED_KERNELS(bare_rms_norm, Bare)
