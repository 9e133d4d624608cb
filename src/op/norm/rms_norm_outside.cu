// Root mean square normalisation with eps outside of the root: see rms_norm_outside.rs for the
// formulas, scaled.cuh for the kernels.

#include "scaled.cuh"

// kept is √mean(x²).
struct Outside : Constants {
    static constexpr bool WEIGHTED = true, PARTIAL = false;

    __device__ __forceinline__ float kept(float squares) const {
        return sqrtf(squares / seen);
    }
    __device__ __forceinline__ float scale(float root) const {
        return 1.0f / (root + eps);
    }
    // Where x is 0 the term of the root vanishes with it.
    __device__ __forceinline__ float slope(float root, float along) const {
        float inverse = scale(root);
        return root > 0.0f ? inverse * (inverse * (along / seen) / root) : 0.0f;
    }
};

SCALED_KERNELS(rms_norm_outside, Outside)

KERNEL __launch_bounds__(1024)
rms_norm_outside_dweight(const float* parts, Real* dweight, u32 adds, u32 blocks, u32 cols) {
    put_dweight(parts, dweight, adds, blocks, cols);
}
