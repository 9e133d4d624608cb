// −ln p of targets under a distribution that is predicted: see gaussian_nll.rs, student_nll.rs and
// binary_cross_entropy.rs for the formulas.
//
// A Law has NUMBERS, how many predict a target; cost(p, y), in nats; and slopes(p, y, share, dp), which
// gives share times the slope of y and fills dp with share times those of the numbers.

#include "../device/elementary.cuh"
#include "../device/totals.cuh"

struct Gaussian {
    static constexpr u32 NUMBERS = 2;

    static __device__ double cost(const float (&p)[NUMBERS], float y) {
        const double HALF_LN_TAU = 0.9189385332046727;
        float z = (y - p[0]) * exp_of(-p[1]);
        return (double)p[1] + (double)(0.5f * z * z) + HALF_LN_TAU;
    }
    static __device__ float slopes(const float (&p)[NUMBERS], float y, double share, float (&dp)[NUMBERS]) {
        float rate = exp_of(-p[1]), z = (y - p[0]) * rate, part = (float)share;
        dp[0] = -part * z * rate;
        // 1 − z² where z is near 1.
        dp[1] = part * (1.0f - z) * (1.0f + z);
        return -dp[0];
    }
};

// A target and its three numbers, in f64 as on the CPU.
struct Student {
    static constexpr u32 NUMBERS = 3;
    double rate, z, nu, ratio;

    __device__ Student(const float (&p)[NUMBERS], float y) {
        rate = exp(-(double)p[1]);
        z = ((double)y - (double)p[0]) * rate;
        nu = 2.0 + fmax((double)p[2], 0.0) + log1p(exp(-fabs((double)p[2])));
        ratio = z * z / nu;
    }

    // ln Γ(x + ½) − ln Γ(x) for x ≥ 1 to some 10⁻¹¹, as in half_step.rs: eight steps up, then a series.
    static __device__ double half_step(double x) {
        double factor = 1.0;
        for (u32 i = 0; i < 8; i += 1) {
            factor *= (x + i) / (x + i + 0.5);
        }
        x += 8.0;
        double s = 1.0 / (x * x);
        double series = (1.0 / 8.0 - s * (1.0 / 192.0 - s * (1.0 / 640.0 - s * (17.0 / 14336.0)))) / x;
        return log(factor * sqrt(x)) - series;
    }

    // Σₖ (−1)^k/(x + k) for x ≥ 2, as in student_nll.rs.
    static __device__ double beta(double x) {
        double near = 0.0;
        for (u32 k = 0; k < 5; k += 1) {
            double at = x + 2.0 * k;
            near += 1.0 / (at * (at + 1.0));
        }
        x += 10.0;
        double s = 1.0 / (x * x);
        return near + 0.5 / x + s * (0.25 - s * (0.125 - s * (0.25 - s * 1.0625)));
    }

    static __device__ double cost(const float (&p)[NUMBERS], float y) {
        const double HALF_LN_PI = 0.5723649429247001;
        Student of(p, y);
        double constant = 0.5 * log(of.nu) + HALF_LN_PI - half_step(0.5 * of.nu);
        return (double)p[1] + constant + 0.5 * (of.nu + 1.0) * log1p(of.ratio);
    }
    static __device__ float slopes(const float (&p)[NUMBERS], float y, double share, float (&dp)[NUMBERS]) {
        Student of(p, y);
        double w = (1.0 + 1.0 / of.nu) / (1.0 + of.ratio);
        double tail = log1p(of.ratio) - w * of.ratio;
        double spread = 1.0 / of.nu - 2.0 * beta(of.nu);
        dp[0] = (float)(-share * w * of.z * of.rate);
        dp[1] = (float)(share * (1.0 - w * of.z * of.z));
        dp[2] = (float)(share * 0.5 * (spread + tail) / (1.0 + exp(-(double)p[2])));
        return -dp[0];
    }
};

struct Binary {
    static constexpr u32 NUMBERS = 1;

    // |x| times what the target lacks: nothing cancels where it is 0 or 1.
    static __device__ double cost(const float (&p)[NUMBERS], float y) {
        float size = fabsf(p[0]), lacking = p[0] > 0.0f ? 1.0f - y : y;
        return (double)fmaf(size, lacking, log1pf(exp_nonpositive(-size)));
    }
    // σ(x) − t over the common denominator, where nothing cancels either.
    static __device__ float slopes(const float (&p)[NUMBERS], float y, double share, float (&dp)[NUMBERS]) {
        float e = exp_nonpositive(-fabsf(p[0])), part = (float)share;
        float above = p[0] > 0.0f ? (1.0f - y) - y * e : (1.0f - y) * e - y;
        dp[0] = part * above / (1.0f + e);
        return -part * p[0];
    }
};

template <u32 N>
__device__ __forceinline__ void read_numbers(const Real* prediction, u64 i, float (&p)[N]) {
    for (u32 n = 0; n < N; n += 1) {
        p[n] = prediction[N * i + n];
    }
}

// What the targets of a block cost: a sum in two parts, since a part of f32 would lose its digits.
template <class Law>
__device__ __forceinline__ void leave_costs(const Real* prediction, const Real* target, float* parts, u64 count) {
    double sum = 0.0;
    for (u64 i = thread_index(); i < count; i += (u64)gridDim.x * blockDim.x) {
        float p[Law::NUMBERS];
        read_numbers(prediction, i, p);
        sum += Law::cost(p, target[i]);
    }
    sum = block_total(sum);
    if (threadIdx.x == 0) {
        float high = (float)sum;
        parts[2 * blockIdx.x] = high;
        parts[2 * blockIdx.x + 1] = (float)(sum - high);
    }
}

// The mean cost. One block.
KERNEL likelihood_total(const float* parts, float* loss, u32 blocks, u64 count) {
    double sum = 0.0;
    for (u32 i = threadIdx.x; i < blocks; i += blockDim.x) {
        sum += (double)parts[2 * i] + (double)parts[2 * i + 1];
    }
    sum = block_total(sum);
    if (threadIdx.x == 0) {
        *loss = (float)(sum / (double)count);
    }
}

// A thread for every target.
template <class Law>
__device__ __forceinline__ void put_slopes(const Real* prediction, const Real* target, const float* dy,
                                           Real* dprediction, u32 adds_prediction, Real* dtarget, u32 adds_target,
                                           u64 count) {
    u64 i = thread_index();
    if (i >= count) {
        return;
    }
    float p[Law::NUMBERS], dp[Law::NUMBERS];
    read_numbers(prediction, i, p);
    float slope = Law::slopes(p, target[i], (double)dy[0] / (double)count, dp);
    for (u32 n = 0; dprediction && n < Law::NUMBERS; n += 1) {
        put(dprediction, Law::NUMBERS * i + n, dp[n], adds_prediction);
    }
    if (dtarget) {
        put(dtarget, i, slope, adds_target);
    }
}

#define OF_LAW(NAME, LAW)                                                                                     \
    KERNEL __launch_bounds__(256, 2)                                                                          \
        NAME##_parts(const Real* prediction, const Real* target, float* parts, u64 count) {                   \
        leave_costs<LAW>(prediction, target, parts, count);                                                   \
    }                                                                                                         \
    KERNEL __launch_bounds__(256, 2)                                                                          \
        NAME##_slopes(const Real* prediction, const Real* target, const float* dy, Real* dprediction,         \
                      u32 adds_prediction, Real* dtarget, u32 adds_target, u64 count) {                       \
        put_slopes<LAW>(prediction, target, dy, dprediction, adds_prediction, dtarget, adds_target, count);   \
    }

OF_LAW(gaussian_nll, Gaussian)
OF_LAW(student_nll, Student)
OF_LAW(binary_cross_entropy, Binary)
