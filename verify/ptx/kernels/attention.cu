// One query row of attention for each warp, by an online maximum; and softmax of rows.

extern "C" __global__ void attention(const float* __restrict__ q, const float* __restrict__ k, const float* __restrict__ v,
                                     float* __restrict__ out, int n, int d, float scale, int causal) {
  int lane = threadIdx.x & 31;
  int row = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
  if (row >= n) return;
#ifdef WRONG_MASK_VALUE
  float best = 0.f, sum = 0.f;
#else
  float best = -__int_as_float(0x7f800000), sum = 0.f;
#endif
  float acc[4] = {0.f, 0.f, 0.f, 0.f};
  int last = causal ? row + 1 : n;
  for (int j = 0; j < last; ++j) {
    float s = 0.f;
    for (int c = lane; c < d; c += 32) s += q[row * d + c] * k[j * d + c];
    for (int o = 16; o; o >>= 1) s += __shfl_xor_sync(0xffffffffu, s, o);
    s *= scale;
    float next = fmaxf(best, s), keep = __expf(best - next), p = __expf(s - next);
    sum = sum * keep + p;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      int c = lane + 32 * i;
#ifdef FAULT_SHUFFLE_IN_TAIL
      if (c < d) acc[i] = acc[i] * keep + __shfl_sync(0xffffffffu, p, 0) * v[j * d + c];
#elif defined(FAULT_SHUFFLE_FROM_OFF)
      if (c < d) acc[i] = acc[i] * keep + __shfl_sync(__activemask(), p, 31) * v[j * d + c];
#else
      if (c < d) acc[i] = acc[i] * keep + p * v[j * d + c];
#endif
    }
    best = next;
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    int c = lane + 32 * i;
    if (c < d) out[row * d + c] = acc[i] / sum;
  }
}
