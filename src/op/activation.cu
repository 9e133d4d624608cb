// Activations y = f(x) and gated activations y = f(gate) ⊙ up: see activation.rs for the formulas.
//
// A vector a thread. A nonlinearity is a type with f, and f with its slope.

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
__device__ __forceinline__ void activation(const Real* x, Real* y, u64 len) {
    Places places = my_places(len, x, y);
    Vector v = places.read(x);
    for (float& value : v.of) {
        value = F::value(value);
    }
    places.write(y, v);
}

// dx = f'(x) ⊙ dy.
template <typename F>
__device__ __forceinline__ void activation_dx(const Real* x, const Real* dy, Real* dx, u32 adds, u64 len) {
    if (!dx) {
        return;
    }
    Places places = my_places(len, x, dy, dx);
    Vector v = places.read(x), dys = places.read(dy);
    for (u32 k = 0; k < VECTOR; k += 1) {
        float slope;
        F::both(v.of[k], slope);
        v.of[k] = slope * dys.of[k];
    }
    places.put(dx, v, adds);
}

template <typename F>
__device__ __forceinline__ void gated(const Real* gate, const Real* up, Real* y, u64 len) {
    Places places = my_places(len, gate, up, y);
    Vector v = places.read(gate), ups = places.read(up);
    for (u32 k = 0; k < VECTOR; k += 1) {
        v.of[k] = F::value(v.of[k]) * ups.of[k];
    }
    places.write(y, v);
}

// dgate = f'(gate) ⊙ up ⊙ dy, dup = f(gate) ⊙ dy.
template <typename F>
__device__ __forceinline__ void gated_vjp(const Real* gate, const Real* up, const Real* dy, Real* dgate,
                                          u32 adds_gate, Real* dup, u32 adds_up, u64 len) {
    Places places = my_places(len, gate, up, dy, dgate, dup);
    Vector dgates = places.read(gate), ups = places.read(up), dys = places.read(dy);
    for (u32 k = 0; k < VECTOR; k += 1) {
        float slope, value = F::both(dgates.of[k], slope);
        dgates.of[k] = slope * ups.of[k] * dys.of[k];
        ups.of[k] = value * dys.of[k];
    }
    places.put(dgate, dgates, adds_gate);
    places.put(dup, ups, adds_up);
}

KERNEL activation_relu(const Real* x, Real* y, u64 len) {
    activation<Relu>(x, y, len);
}
KERNEL activation_gelu(const Real* x, Real* y, u64 len) {
    activation<Gelu>(x, y, len);
}
KERNEL activation_gelu_tanh(const Real* x, Real* y, u64 len) {
    activation<GeluTanh>(x, y, len);
}
KERNEL activation_silu(const Real* x, Real* y, u64 len) {
    activation<Silu>(x, y, len);
}

KERNEL activation_relu_dx(const Real* x, const Real* dy, Real* dx, u32 adds, u64 len) {
    activation_dx<Relu>(x, dy, dx, adds, len);
}
KERNEL activation_gelu_dx(const Real* x, const Real* dy, Real* dx, u32 adds, u64 len) {
    activation_dx<Gelu>(x, dy, dx, adds, len);
}
KERNEL activation_gelu_tanh_dx(const Real* x, const Real* dy, Real* dx, u32 adds, u64 len) {
    activation_dx<GeluTanh>(x, dy, dx, adds, len);
}
KERNEL activation_silu_dx(const Real* x, const Real* dy, Real* dx, u32 adds, u64 len) {
    activation_dx<Silu>(x, dy, dx, adds, len);
}

KERNEL gated_relu(const Real* gate, const Real* up, Real* y, u64 len) {
    gated<Relu>(gate, up, y, len);
}
KERNEL gated_gelu(const Real* gate, const Real* up, Real* y, u64 len) {
    gated<Gelu>(gate, up, y, len);
}
KERNEL gated_gelu_tanh(const Real* gate, const Real* up, Real* y, u64 len) {
    gated<GeluTanh>(gate, up, y, len);
}
KERNEL gated_silu(const Real* gate, const Real* up, Real* y, u64 len) {
    gated<Silu>(gate, up, y, len);
}

KERNEL gated_relu_vjp(const Real* gate, const Real* up, const Real* dy, Real* dgate, u32 adds_gate, Real* dup,
                      u32 adds_up, u64 len) {
    gated_vjp<Relu>(gate, up, dy, dgate, adds_gate, dup, adds_up, len);
}
KERNEL gated_gelu_vjp(const Real* gate, const Real* up, const Real* dy, Real* dgate, u32 adds_gate, Real* dup,
                      u32 adds_up, u64 len) {
    gated_vjp<Gelu>(gate, up, dy, dgate, adds_gate, dup, adds_up, len);
}
KERNEL gated_gelu_tanh_vjp(const Real* gate, const Real* up, const Real* dy, Real* dgate, u32 adds_gate,
                           Real* dup, u32 adds_up, u64 len) {
    gated_vjp<GeluTanh>(gate, up, dy, dgate, adds_gate, dup, adds_up, len);
}
KERNEL gated_silu_vjp(const Real* gate, const Real* up, const Real* dy, Real* dgate, u32 adds_gate, Real* dup,
                      u32 adds_up, u64 len) {
    gated_vjp<Silu>(gate, up, dy, dgate, adds_gate, dup, adds_up, len);
}
