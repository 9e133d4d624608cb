// Weight normalisation: see weight_norm.rs for the formulas, forms.cuh for the kernels.

#include "forms.cuh"

struct Length : Constants {
    static constexpr bool CENTRED = false;

    __device__ __forceinline__ void of(float squares, float& q, float& turn) const {
        float norm = sqrtf(squares);
        // A NaN is not below eps, and stays.
        q = 1.0f / (norm < eps ? eps : norm);
        turn = norm <= eps ? 0.0f : q;
    }
};

FORM_KERNELS(weight_norm, Length)
