// A soft cap: see softcap.rs for the formulas.

#include "device/elementwise.cuh"

KERNEL softcap_forward(const Real* x, Real* y, u64 len, float cap) {
    Places places = my_places(len, x, y);
    Vector v = places.read(x);
    for (float& value : v.of) {
        value = cap * tanhf(value / cap);
    }
    places.write(y, v);
}

KERNEL softcap_dx(const Real* x, const Real* dy, Real* dx, u32 adds, u64 len, float cap) {
    if (!dx) {
        return;
    }
    Places places = my_places(len, x, dy, dx);
    Vector v = places.read(x), dys = places.read(dy);
    for (u32 k = 0; k < VECTOR; k += 1) {
        float t = tanhf(v.of[k] / cap);
        v.of[k] = dys.of[k] * fmaf(-t, t, 1.0f);
    }
    places.put(dx, v, adds);
}
