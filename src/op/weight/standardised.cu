// Weight standardisation: see standardised.rs for the formulas, forms.cuh for the kernels.

#include "forms.cuh"

// The choice is eps inside of the root.
struct Standardised : Constants {
    static constexpr bool CENTRED = true;

    __device__ __forceinline__ void of(float squares, float& q, float& turn) const {
        float var = squares / divisor, std = sqrtf(var);
        q = choice ? 1.0f / sqrtf(var + eps) : 1.0f / (std + eps);
        // Where the row is constant the term of its deviation vanishes with it.
        turn = (choice ? q : std > 0.0f ? 1.0f / std : 0.0f) / divisor;
    }
};

FORM_KERNELS(standardised, Standardised)
