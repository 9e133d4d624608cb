// Activations y = f(x) and gated activations y = f(gate) ⊙ up: see activation.rs for the formulas.
//
// Four elements a thread. A nonlinearity is a type with f, and f with its slope.

#include "device/elementary.cuh"
#include "device/elementwise.cuh"

struct Relu {
    // A NaN is not less than anything and comes out again.
    static __device__ float value(float x) {
        return x <= 0.0f ? 0.0f : x;
    }
    static __device__ float both(float x, float& slope) {
        slope = x <= 0.0f ? 0.0f : 1.0f;
        return value(x);
    }
};

struct Gelu {
    static __device__ float both(float x, float& slope) {
        float bell, tail = normal_tail(x, bell);
        float below = x < 0.0f ? tail : 1.0f - tail;
        slope = fmaf(x, bell * 0.3989423f, below);
        return x * below;
    }
    static __device__ float value(float x) {
        float slope;
        return both(x, slope);
    }
};

struct GeluTanh {
    // 2u = x·(LINEAR + CUBIC·x²) with LINEAR = 2√(2/π).
    static constexpr float LINEAR = 1.5957691216057308;
    static constexpr float CUBIC = 1.5957691216057308 * 0.044715;

    // Far out e^(−2u) is 0 or infinite, as it should be.
    static __device__ float value(float x) {
        return x / (1.0f + exp_of(-x * fmaf(x * x, CUBIC, LINEAR)));
    }
    static __device__ float both(float x, float& slope) {
        // Far out σ(2u) is 0 or 1 whatever u is, so that x³ need not overflow. A NaN stays.
        float near = x < -32.0f ? -32.0f : x > 32.0f ? 32.0f : x;
        float square = near * near;
        float product, below = sigmoid(near * fmaf(square, CUBIC, LINEAR), product);
        slope = fmaf(product, near * fmaf(square, 3.0f * CUBIC, LINEAR), below);
        return x * below;
    }
};

struct Silu {
    static __device__ float value(float x) {
        return x / (1.0f + exp_of(-x));
    }
    static __device__ float both(float x, float& slope) {
        float product, below = sigmoid(x, product);
        slope = fmaf(x, product, below);
        return x * below;
    }
};

template <typename F>
__device__ __forceinline__ void activation(const float* x, float* y, u64 len) {
    Four four = my_four(len, x, y);
    Quad quad = four.load(x);
    for (float& value : quad.of) {
        value = F::value(value);
    }
    four.store(y, quad);
}

// dx = f'(x) ⊙ dy.
template <typename F>
__device__ __forceinline__ void activation_dx(const float* x, const float* dy, float* dx, u32 adds, u64 len) {
    if (!dx) {
        return;
    }
    Four four = my_four(len, x, dy, dx);
    Quad quad = four.load(x), dys = four.load(dy);
    for (u32 k = 0; k < 4; k += 1) {
        float slope;
        F::both(quad.of[k], slope);
        quad.of[k] = slope * dys.of[k];
    }
    four.put(dx, quad, adds);
}

template <typename F>
__device__ __forceinline__ void gated(const float* gate, const float* up, float* y, u64 len) {
    Four four = my_four(len, gate, up, y);
    Quad quad = four.load(gate), ups = four.load(up);
    for (u32 k = 0; k < 4; k += 1) {
        quad.of[k] = F::value(quad.of[k]) * ups.of[k];
    }
    four.store(y, quad);
}

// dgate = f'(gate) ⊙ up ⊙ dy, dup = f(gate) ⊙ dy.
template <typename F>
__device__ __forceinline__ void gated_vjp(const float* gate, const float* up, const float* dy, float* dgate,
                                          u32 adds_gate, float* dup, u32 adds_up, u64 len) {
    Four four = my_four(len, gate, up, dy, dgate, dup);
    Quad dgates = four.load(gate), ups = four.load(up), dys = four.load(dy);
    for (u32 k = 0; k < 4; k += 1) {
        float slope, value = F::both(dgates.of[k], slope);
        dgates.of[k] = slope * ups.of[k] * dys.of[k];
        ups.of[k] = value * dys.of[k];
    }
    four.put(dgate, dgates, adds_gate);
    four.put(dup, ups, adds_up);
}

KERNEL activation_relu(const float* x, float* y, u64 len) {
    activation<Relu>(x, y, len);
}
KERNEL activation_gelu(const float* x, float* y, u64 len) {
    activation<Gelu>(x, y, len);
}
KERNEL activation_gelu_tanh(const float* x, float* y, u64 len) {
    activation<GeluTanh>(x, y, len);
}
KERNEL activation_silu(const float* x, float* y, u64 len) {
    activation<Silu>(x, y, len);
}

KERNEL activation_relu_dx(const float* x, const float* dy, float* dx, u32 adds, u64 len) {
    activation_dx<Relu>(x, dy, dx, adds, len);
}
KERNEL activation_gelu_dx(const float* x, const float* dy, float* dx, u32 adds, u64 len) {
    activation_dx<Gelu>(x, dy, dx, adds, len);
}
KERNEL activation_gelu_tanh_dx(const float* x, const float* dy, float* dx, u32 adds, u64 len) {
    activation_dx<GeluTanh>(x, dy, dx, adds, len);
}
KERNEL activation_silu_dx(const float* x, const float* dy, float* dx, u32 adds, u64 len) {
    activation_dx<Silu>(x, dy, dx, adds, len);
}

KERNEL gated_relu(const float* gate, const float* up, float* y, u64 len) {
    gated<Relu>(gate, up, y, len);
}
KERNEL gated_gelu(const float* gate, const float* up, float* y, u64 len) {
    gated<Gelu>(gate, up, y, len);
}
KERNEL gated_gelu_tanh(const float* gate, const float* up, float* y, u64 len) {
    gated<GeluTanh>(gate, up, y, len);
}
KERNEL gated_silu(const float* gate, const float* up, float* y, u64 len) {
    gated<Silu>(gate, up, y, len);
}

KERNEL gated_relu_vjp(const float* gate, const float* up, const float* dy, float* dgate, u32 adds_gate, float* dup,
                      u32 adds_up, u64 len) {
    gated_vjp<Relu>(gate, up, dy, dgate, adds_gate, dup, adds_up, len);
}
KERNEL gated_gelu_vjp(const float* gate, const float* up, const float* dy, float* dgate, u32 adds_gate, float* dup,
                      u32 adds_up, u64 len) {
    gated_vjp<Gelu>(gate, up, dy, dgate, adds_gate, dup, adds_up, len);
}
KERNEL gated_gelu_tanh_vjp(const float* gate, const float* up, const float* dy, float* dgate, u32 adds_gate,
                           float* dup, u32 adds_up, u64 len) {
    gated_vjp<GeluTanh>(gate, up, dy, dgate, adds_gate, dup, adds_up, len);
}
KERNEL gated_silu_vjp(const float* gate, const float* up, const float* dy, float* dgate, u32 adds_gate, float* dup,
                      u32 adds_up, u64 len) {
    gated_vjp<Silu>(gate, up, dy, dgate, adds_gate, dup, adds_up, len);
}
