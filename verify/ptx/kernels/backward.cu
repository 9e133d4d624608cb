// The gradient of LayerNorm's weight: rows in parts, columns in threads; a second kernel sums
// the parts. And sums by trees in dynamic shared memory.

extern "C" __global__ void weight_grad(const float* __restrict__ x, const float* __restrict__ dy, const float* __restrict__ mean,
                                       const float* __restrict__ rstd, float* __restrict__ part, int rows, int cols, int each) {
  int c = blockIdx.x * blockDim.x + threadIdx.x;
  int first = blockIdx.y * each, last = min(rows, first + each);
  float s = 0.f;
  if (c < cols)
    for (int r = first; r < last; ++r) s += dy[(long long)r * cols + c] * (x[(long long)r * cols + c] - mean[r]) * rstd[r];
#ifdef FAULT_FLOAT_ATOMIC
  if (c < cols) atomicAdd(&part[c], s);
#elif defined(FAULT_BLOCKS_RACE)
  if (c < cols) part[c] += s;
#else
  if (c < cols) part[(long long)blockIdx.y * cols + c] = s;
#endif
}

extern "C" __global__ void sum_parts(const float* __restrict__ part, float* __restrict__ dw, int parts, int cols) {
  int c = blockIdx.x * blockDim.x + threadIdx.x;
  if (c >= cols) return;
  float s = 0.f;
  for (int p = 0; p < parts; ++p) s += part[(long long)p * cols + c];
  dw[c] = s;
}

extern __shared__ float tree[];

extern "C" __global__ void tree_sum(const float* __restrict__ x, float* __restrict__ y, int n) {
  int t = threadIdx.x;
  float s = 0.f;
  for (int i = t; i < n; i += blockDim.x) s += x[i];
  tree[t] = s;
  __syncthreads();
  for (int half = blockDim.x / 2; half >= 32; half >>= 1) {
    if (t < half) tree[t] += tree[t + half];
    __syncthreads();
  }
  if (t < 16) {
    volatile float* v = tree;
    for (int half = 16; half; half >>= 1) {
#ifdef FAULT_WARP_SYNCHRONOUS
      v[t] += v[t + half];
#else
      float other = v[t + half];
      __syncwarp(0xffff);
      v[t] += other;
      __syncwarp(0xffff);
#endif
    }
  }
  if (t == 0) *y = tree[0];
}

// Each block sums its part; the last of them, by a counter, sums up the parts in their order.
extern "C" __global__ void last_block_sum(const float* __restrict__ x, float* parts, float* y, unsigned* counter, int n) {
  __shared__ float own[64];
  __shared__ bool last;
  int t = threadIdx.x, i = blockIdx.x * 64 + t;
  own[t] = i < n ? x[i] : 0.f;
  __syncthreads();
  if (t == 0) {
    float s = 0.f;
    for (int k = 0; k < 64; ++k) s += own[k];
    parts[blockIdx.x] = s;
#ifndef FAULT_NO_FENCE
    __threadfence();
#endif
    last = atomicAdd(counter, 1u) == gridDim.x - 1;
  }
  __syncthreads();
  if (last && t == 0) {
    float s = 0.f;
    for (int b = 0; b < gridDim.x; ++b) s += ((volatile float*)parts)[b];
    *y = s;
  }
}
