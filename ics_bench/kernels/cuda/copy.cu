// The ceiling: a copy, 16 bytes a load, four loads in flight a thread.
#include "common.cuh"

constexpr int COPY_VECTORS = 4;

KERNEL(512, 2) copy(const uint4* __restrict__ from, uint4* __restrict__ to, long long vectors) {
    const long long step = static_cast<long long>(gridDim.x) * blockDim.x * COPY_VECTORS;
    for (long long base = static_cast<long long>(blockIdx.x) * blockDim.x * COPY_VECTORS + threadIdx.x; base < vectors;
         base += step) {
        uint4 held[COPY_VECTORS];
#pragma unroll
        for (int k = 0; k < COPY_VECTORS; ++k)
            if (base + k * blockDim.x < vectors) held[k] = load16(from + base + k * blockDim.x);
#pragma unroll
        for (int k = 0; k < COPY_VECTORS; ++k)
            if (base + k * blockDim.x < vectors) store16(to + base + k * blockDim.x, held[k]);
    }
}
