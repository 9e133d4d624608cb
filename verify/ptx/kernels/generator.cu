// Counter-based generators: splitmix64 and Philox 4x32-10, and dropout by one of them.

extern "C" __global__ void splitmix(unsigned long long* y, unsigned long long seed, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned long long z = seed + (i + 1) * 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  y[i] = z ^ (z >> 31);
}

extern "C" __global__ void philox(uint4* y, unsigned k0, unsigned k1, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  uint4 c = make_uint4(i, 0, 7, 0);
  for (int round = 0; round < 10; ++round) {
    unsigned h0 = __umulhi(0xD2511F53u, c.x), l0 = 0xD2511F53u * c.x, h1 = __umulhi(0xCD9E8D57u, c.z), l1 = 0xCD9E8D57u * c.z;
    c = make_uint4(h1 ^ c.y ^ k0, l1, h0 ^ c.w ^ k1, l0);
    k0 += 0x9E3779B9u; k1 += 0xBB67AE85u;
  }
  y[i] = c;
}

extern "C" __global__ void wide(const unsigned long long* x, unsigned long long* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned long long a = x[2 * i], b = x[2 * i + 1];
  unsigned __int128 p = (unsigned __int128)a * b + (((unsigned __int128)b << 64) | a);
  y[4 * i] = (unsigned long long)p; y[4 * i + 1] = (unsigned long long)(p >> 64);
  y[4 * i + 2] = a / (b | 1); y[4 * i + 3] = a % (b | 1);
}
