// Attention with a soft cap: attention.cu, compiled for it.

#define CAPPED true

#include "attention.cu"
