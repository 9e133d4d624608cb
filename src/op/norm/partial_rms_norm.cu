// Partial root mean square normalisation: see partial_rms_norm.rs for the formulas, scaled.cuh for the
// kernels.

#include "scaled.cuh"

// kept is the scale itself.
struct Partial : Constants {
    static constexpr bool WEIGHTED = true, PARTIAL = true;

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

SCALED_KERNELS(partial_rms_norm, Partial)

KERNEL __launch_bounds__(1024)
partial_rms_norm_dweight(const float* parts, Real* dweight, u32 adds, u32 blocks, u32 cols) {
    put_dweight(parts, dweight, adds, blocks, cols);
}
