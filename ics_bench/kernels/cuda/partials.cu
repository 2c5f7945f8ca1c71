// The small second kernel: adds up, column by column and in a fixed order, what blocks left.
#include "common.cuh"

// From (gridDim.y, parts, columns) to one total a column: `first` of the first plane, `second` of the second.
KERNEL(512, 1)
sum_partials(const float* __restrict__ partial, float* __restrict__ first, float* __restrict__ second, int parts,
             int columns) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    const float* plane = partial + static_cast<long long>(blockIdx.y) * parts * columns;
    float sum[1] = {0.0f};
    if (column < columns) {
#pragma unroll 8
        for (int part = threadIdx.y; part < parts; part += blockDim.y)
            sum[0] += plane[static_cast<long long>(part) * columns + column];
    }
    fold_rows(shared_memory(), sum, Add());
    if (threadIdx.y == 0 && column < columns) (blockIdx.y == 0 ? first : second)[column] = sum[0];
}
