// Functions of one variable, in singles and doubles, chosen by a number.

extern "C" __global__ void singles(const float* x, float* y, int n, int which) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float v = x[i], r = 0.f;
  switch (which) {
    case 0: r = expf(v); break;
    case 1: r = erff(v); break;
    case 2: r = tanhf(v); break;
    case 3: r = logf(fabsf(v)); break;
    case 4: r = powf(fabsf(v), 1.7f); break;
    case 5: r = sinf(v); break;
    case 6: r = cosf(v); break;
    case 7: r = rsqrtf(fabsf(v)); break;
    case 8: r = 1.f / v; break;
    case 9: r = sqrtf(fabsf(v)); break;
    case 10: r = v / 3.7f; break;
    case 11: r = __expf(v); break;
    case 12: r = log1pf(fabsf(v)); break;
    case 13: r = expm1f(v); break;
    case 14: r = exp2f(v); break;
    case 15: r = erfcf(v); break;
    case 16: r = cbrtf(v); break;
    case 17: r = sinhf(v); break;
  }
  y[i] = r;
}

extern "C" __global__ void doubles(const double* x, double* y, int n, int which) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  double v = x[i], r = 0;
  switch (which) {
    case 0: r = exp(v); break;
    case 1: r = log(fabs(v)); break;
    case 2: r = tanh(v); break;
    case 3: r = pow(fabs(v), 1.7); break;
    case 4: r = sin(v); break;
    case 5: r = cos(v); break;
    case 6: r = sqrt(fabs(v)); break;
    case 7: r = 1 / v; break;
    case 8: r = rsqrt(fabs(v)); break;
    case 9: r = v / 3.7; break;
  }
  y[i] = r;
}
