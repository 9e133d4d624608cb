// Scaled weight standardisation: see scaled_standardised.rs for the formulas, forms.cuh for the kernels.

#include "forms.cuh"

// The choice is that eps is added; else it is a floor, where q does not move.
struct ScaledStandardised : Constants {
    static constexpr bool CENTRED = true;

    __device__ __forceinline__ void of(float squares, float& q, float& turn) const {
        bool above = choice || squares > eps;
        q = 1.0f / sqrtf(choice ? fmaf((float)divisor, eps, squares) : squares > eps ? squares : eps);
        turn = above ? q : 0.0f;
    }
};

FORM_KERNELS(scaled_standardised, ScaledStandardised)
