// LayerNorm, forward: a block for each row, two reductions; and a warp for each row, by float4.
// Each FAULT_… is one planted mistake; a text without any is right.

#ifdef FAULT_MASK_HALF
#define MASK 0x0000ffffu
#else
#define MASK 0xffffffffu
#endif

__device__ float warp_sum(float v) {
  for (int o = 16; o; o >>= 1) v += __shfl_xor_sync(MASK, v, o);
  return v;
}

__device__ float block_sum(float v, float* part) {
  v = warp_sum(v);
#ifdef FAULT_ALL_LANES_WRITE
  part[threadIdx.x >> 5] = v;
#elif defined(FAULT_ONE_WORD)
  if ((threadIdx.x & 31) == 0) part[0] = v;
#else
  if ((threadIdx.x & 31) == 0) part[threadIdx.x >> 5] = v;
#endif
#ifndef FAULT_NO_BARRIER_BEFORE_READ
#ifdef FAULT_BARRIER_IN_BRANCH
  if ((threadIdx.x & 1) == 0) __syncthreads(); else { __syncthreads(); part[31] = v; }
#elif defined(FAULT_EARLY_RETURN_NAMED)
  if (threadIdx.x >= 32) asm volatile("exit;");
  asm volatile("bar.sync 1, %0;" ::"r"(blockDim.x) : "memory");
#else
  __syncthreads();
#endif
#endif
#ifdef FAULT_UNINITIALISED_SHARED
  v = threadIdx.x < 32 ? part[threadIdx.x] : 0.f;
#else
  v = threadIdx.x < ((blockDim.x + 31) >> 5) ? part[threadIdx.x] : 0.f;
#endif
  if (threadIdx.x < 32) v = warp_sum(v);
#ifdef FAULT_LANES_OFF
  if (threadIdx.x < 24) v += __shfl_down_sync(__activemask(), v, 24);
#endif
#ifdef FAULT_LANES_GONE
  if (threadIdx.x < 16) v += __shfl_xor_sync(0xffffffffu, v, 1); else if (threadIdx.x < 32) __syncthreads();
#endif
#ifdef FAULT_ALL_WRITE_RESULT
  part[32] = 1.f;
#endif
  if (threadIdx.x == 0) part[0] = v;
#ifndef FAULT_NO_BARRIER_AFTER_RESULT
  __syncthreads();
#endif
  v = part[0];
#ifndef FAULT_NO_BARRIER_AFTER_READ
  __syncthreads();
#endif
  return v;
}

extern "C" __global__ void layer_norm(const float* __restrict__ x, const float* __restrict__ w,
                                      const float* __restrict__ b, float* __restrict__ y, int cols, float eps) {
  __shared__ float part[33];
#ifdef FAULT_ROW_WRAPS
  const float* row = x + (int)(blockIdx.x * cols * 0x10000000u);
#else
  const float* row = x + (long long)blockIdx.x * cols;
#endif
#ifdef FAULT_UNINITIALISED_SUM
  float s;
#else
  float s = 0.f;
#endif
#ifdef FAULT_TAIL_READ
  for (int c = threadIdx.x; c <= cols; c += blockDim.x) s += row[c];
#elif defined(FAULT_ENDLESS)
  for (int c = threadIdx.x; c < cols; c += blockDim.x & 1) s += row[c] * 1e-9f;
#elif defined(FAULT_NEXT_BUFFER)
  for (int c = threadIdx.x; c < cols; c += blockDim.x) s += row[c + 300000];
#else
  for (int c = threadIdx.x; c < cols; c += blockDim.x) s += row[c];
#endif
  float mean = block_sum(s, part) / cols;
  float q = 0.f;
  for (int c = threadIdx.x; c < cols; c += blockDim.x) {
#ifdef WRONG_ONE_PASS
    q += row[c] * row[c];
#else
    float d = row[c] - mean;
    q += d * d;
#endif
  }
#ifdef WRONG_ONE_PASS
  float variance = block_sum(q, part) / cols - mean * mean;
#else
  float variance = block_sum(q, part) / cols;
#endif
  float r = rsqrtf(variance + eps);
#ifdef FAULT_TAIL_WRITE
  for (int c = threadIdx.x; c <= cols; c += blockDim.x)
    y[(long long)blockIdx.x * cols + c] = (row[min(c, cols - 1)] - mean) * r * w[min(c, cols - 1)] + b[0];
#elif defined(FAULT_STALE)
  for (int c = threadIdx.x; c < cols - 1; c += blockDim.x)
    y[(long long)blockIdx.x * cols + c] = (row[c] - mean) * r * w[c] + b[c];
#elif defined(WRONG_STRIDE)
  for (int c = threadIdx.x; c < cols; c += blockDim.x)
    y[(long long)blockIdx.x * cols + c] = (x[c] - mean) * r * w[c] + b[c];
#else
  for (int c = threadIdx.x; c < cols; c += blockDim.x)
    y[(long long)blockIdx.x * cols + c] = (row[c] - mean) * r * w[c] + b[c];
#endif
}

extern "C" __global__ void layer_norm_warp(const float* __restrict__ x, const float* __restrict__ w,
                                           const float* __restrict__ b, float* __restrict__ y, int rows, int cols, float eps) {
  int lane = threadIdx.x & 31;
  int row = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
  if (row >= rows) return;
  const float4* in = (const float4*)(x + (long long)row * cols);
  float s = 0.f;
  for (int c = lane; c < cols / 4; c += 32) { float4 v = in[c]; s += v.x + v.y + v.z + v.w; }
  float mean = warp_sum(s) / cols;
  float q = 0.f;
  for (int c = lane; c < cols / 4; c += 32) {
    float4 v = in[c];
    v.x -= mean; v.y -= mean; v.z -= mean; v.w -= mean;
    q += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
  }
  float r = rsqrtf(warp_sum(q) / cols + eps);
  for (int c = lane; c < cols / 4; c += 32) {
    float4 v = in[c], g = ((const float4*)w)[c], h = ((const float4*)b)[c];
    v.x = (v.x - mean) * r * g.x + h.x; v.y = (v.y - mean) * r * g.y + h.y;
    v.z = (v.z - mean) * r * g.z + h.z; v.w = (v.w - mean) * r * g.w + h.w;
    ((float4*)(y + (long long)row * cols))[c] = v;
  }
}
