// RMSNorm with bfloat16 and with binary16 in and out, by the instructions that the headers of
// CUDA wrap.

__device__ float from_bf16(unsigned short h) { return __uint_as_float((unsigned)h << 16); }
__device__ unsigned short to_bf16(float f) { unsigned short h; asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(h) : "f"(f)); return h; }
__device__ float from_f16(unsigned short h) { float f; asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h)); return f; }
__device__ unsigned short to_f16(float f) { unsigned short h; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(f)); return h; }

template <float (*from)(unsigned short), unsigned short (*to)(float)>
__device__ void rms(const unsigned short* x, unsigned short* y, int cols, float eps) {
  int lane = threadIdx.x;
  float q = 0.f;
  for (int c = lane; c < cols; c += 32) { float v = from(x[blockIdx.x * cols + c]); q += v * v; }
  for (int o = 16; o; o >>= 1) q += __shfl_xor_sync(0xffffffffu, q, o);
  float r = rsqrtf(q / cols + eps);
  for (int c = lane; c < cols; c += 32) y[blockIdx.x * cols + c] = to(from(x[blockIdx.x * cols + c]) * r);
}
extern "C" __global__ void rms_bf16(const unsigned short* x, unsigned short* y, int cols, float eps) { rms<from_bf16, to_bf16>(x, y, cols, eps); }
extern "C" __global__ void rms_f16(const unsigned short* x, unsigned short* y, int cols, float eps) { rms<from_f16, to_f16>(x, y, cols, eps); }

extern "C" __global__ void pairs(const unsigned* x, unsigned* y, const float* f, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned a = x[i], sum, product, packed;
  asm("add.f16x2 %0, %1, %1;" : "=r"(sum) : "r"(a));
  asm("fma.rn.f16x2 %0, %1, %1, %1;" : "=r"(product) : "r"(a));
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(f[2 * i + 1]), "f"(f[2 * i]));
  y[3 * i] = sum; y[3 * i + 1] = product; y[3 * i + 2] = packed;
}
