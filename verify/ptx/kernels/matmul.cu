// A product of matrices by tiles in shared memory.

#define TILE 16

extern "C" __global__ void matmul(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c, int m, int n, int k) {
  __shared__ float ta[TILE][TILE], tb[TILE][TILE + 1];
  int row = blockIdx.y * TILE + threadIdx.y, col = blockIdx.x * TILE + threadIdx.x;
  float s = 0.f;
  for (int t = 0; t < (k + TILE - 1) / TILE; ++t) {
    int ka = t * TILE + threadIdx.x, kb = t * TILE + threadIdx.y;
#ifdef FAULT_NO_GUARD
    ta[threadIdx.y][threadIdx.x] = a[row * k + ka];
#elif defined(FAULT_PARTIAL_TILE)
    if (row < m && ka < k) ta[threadIdx.y][threadIdx.x] = a[row * k + ka];
#else
    ta[threadIdx.y][threadIdx.x] = row < m && ka < k ? a[row * k + ka] : 0.f;
#endif
    tb[threadIdx.y][threadIdx.x] = kb < k && col < n ? b[kb * n + col] : 0.f;
    __syncthreads();
    for (int i = 0; i < TILE; ++i) s += ta[threadIdx.y][i] * tb[i][threadIdx.x];
#ifndef FAULT_NO_BARRIER_IN_LOOP
    __syncthreads();
#endif
  }
  if (row < m && col < n) c[row * n + col] = s;
}
