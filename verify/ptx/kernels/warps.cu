// What lanes of a warp and threads of a block can do together, and atomics.

extern "C" __global__ void together(unsigned* y, int n) {
  int i = threadIdx.x;
  unsigned lane = i & 31, all = 0xffffffffu;
  unsigned* out = y + 16 * i;
  out[0] = __ballot_sync(all, lane & 1);
  out[1] = __any_sync(all, lane == 5) + 2 * __all_sync(all, lane < 32);
  out[2] = __match_any_sync(all, lane >> 2);
  int same; out[3] = __match_all_sync(all, n, &same) + same;
  out[4] = __reduce_add_sync(all, lane);
  out[5] = __reduce_max_sync(all, -(int)lane);
  out[6] = __syncthreads_count(i & 1);
  out[7] = __syncthreads_or(i == 3) + 2 * __syncthreads_and(i >= 0);
  out[8] = __shfl_down_sync(all, lane, 1);
  out[9] = __shfl_up_sync(all, lane, 2, 16);
  out[10] = __shfl_sync(all, lane, 3, 8);
  out[11] = (unsigned)__shfl_xor_sync(all, (double)lane, 1);
  unsigned part = lane < 12 ? __ballot_sync(0xfff, 1) : __ballot_sync(0xfffff000, 1);
  out[12] = part;
  out[13] = __byte_perm(lane * 0x01010101u, 0xaabbccdd, 0x7610) ^ __funnelshift_l(lane, n, 5) ^ __brev(lane);
  out[14] = __clz(lane) + 100 * __popc(lane) + 10000 * __ffs(lane);
  out[15] = __umulhi(lane * 0x12345678u, 0x9abcdef0u) + lane / (n | 1) + (int)(-7) / (int)(lane + 1);
}

extern "C" __global__ void histogram(const unsigned* x, unsigned* y, int n) {
  __shared__ unsigned bins[16];
  if (threadIdx.x < 16) bins[threadIdx.x] = 0;
  __syncthreads();
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) atomicAdd(&bins[x[i] & 15], 1u);
#ifndef FAULT_NO_BARRIER_AFTER_ATOMICS
  __syncthreads();
#endif
  if (threadIdx.x < 16) atomicAdd(&y[threadIdx.x], bins[threadIdx.x]);
}

// Two halves of a block, each with a barrier of its own.
extern "C" __global__ void halves(float* y) {
  __shared__ float s[256];
  int half = threadIdx.x / 128, t = threadIdx.x % 128;
  s[threadIdx.x] = threadIdx.x;
#ifdef FAULT_WRONG_NAMED
  asm volatile("bar.sync %0, 128;" ::"r"(1 + ((threadIdx.x / 64) & 1)) : "memory");
#elif defined(FAULT_NAMED_COUNT)
  asm volatile("bar.sync %0, 160;" ::"r"(1 + half) : "memory");
#else
  asm volatile("bar.sync %0, 128;" ::"r"(1 + half) : "memory");
#endif
  y[threadIdx.x] = s[half * 128 + 127 - t];
}

extern "C" __global__ void dynamic(const float* x, float* y, int n) {
  extern __shared__ float s[];
  for (int i = threadIdx.x; i < n; i += blockDim.x) s[i] = x[i];
  __syncthreads();
  for (int i = threadIdx.x; i < n; i += blockDim.x) y[i] = s[n - 1 - i];
}

__constant__ float table[4] = {1.f, 2.f, 4.f, 8.f};
__device__ int calls;

extern "C" __global__ void variables(float* y, int n) {
  float own[8];
  for (int i = 0; i < 8; ++i) own[i] = i * n;
#ifdef FAULT_UNINITIALISED_LOCAL
  float fresh[8]; for (int i = 0; i < 7; ++i) fresh[(i * n) & 7] = i;
  own[(n + 1) & 7] = fresh[(n + 6) & 7];
#endif
  atomicAdd(&calls, 1);
  y[threadIdx.x] = own[(threadIdx.x * n) & 7] + table[threadIdx.x & 3] + own[(n + 1) & 7] * 0;
}

extern "C" __global__ void stop(const int* x) {
  if (x[threadIdx.x] > 2) __trap();
}
