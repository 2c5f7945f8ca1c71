// LayerNorm and RMSNorm of rows (M, N) that no cluster can hold: a block, or each of the C blocks of a cluster, reads its
// stretch of a row in chunks, once for the statistics and once more for the result.
#include "rows.cuh"

constexpr int LONG_THREADS = 512;

// A block's stretch of a row. A thread holds K vectors of a chunk, `blockDim.x` apart.
template <int V, int C>
struct Chunks {
    static constexpr int K = held_vectors(V);
    int begin, end, chunk, count;

    DEVICE explicit Chunks(int columns) {
        const int vectors = columns / V, each = ceil_div(vectors, C);
        begin = smaller(cluster_rank() % C * each, vectors);
        end = smaller(begin + each, vectors);
        chunk = K * blockDim.x;
        count = ceil_div(each, chunk);
    }
    DEVICE int vector(int number, int k) const { return begin + number * chunk + k * blockDim.x + threadIdx.x; }
    DEVICE bool holds(int number, int k) const { return vector(number, k) < end; }
    DEVICE unsigned column(int number, int k) const { return vector(number, k) * V; }
    DEVICE int elements(int number) const { return V * larger(0, smaller(end - begin - number * chunk, chunk)); }

    template <typename T>
    DEVICE void read(const T* row, int number, Vector<T, V> (&held)[K]) const {
#pragma unroll
        for (int k = 0; k < K; ++k)
            held[k] = holds(number, k) ? Vector<T, V>::load(row + column(number, k)) : Vector<T, V>::zero();
    }

    // A row that is read again is summed again, not read from where the sum was written: `load16` takes the path for
    // what no kernel writes while it runs (ld.global.nc), so it might see what was there before.
    template <bool R, typename T>
    DEVICE void read_sum(const T* row, const T* other_row, int number, Vector<T, V> (&held)[K]) const {
        read(row, number, held);
        if constexpr (R) {
            Vector<T, V> other[K];
            read(other_row, number, other);
#pragma unroll
            for (int k = 0; k < K; ++k) held[k] = sum_of(held[k], other[k]);
        }
    }
};

template <typename P>
DEVICE P* at_column(P* parameters, unsigned column) { return parameters == nullptr ? nullptr : parameters + column; }

// As `row_forward`.
template <typename T, int V, int C, typename Norm, bool R = false>
KERNEL(LONG_THREADS, 1) CLUSTER(C)
long_forward(const T* __restrict__ x, const float* __restrict__ weight, const float* __restrict__ bias,
             T* __restrict__ y, float* __restrict__ mean, float* __restrict__ rstd, unsigned rows, int columns,
             float share, float eps, float offset, const T* __restrict__ residual, T* __restrict__ stream) {
    constexpr int K = held_vectors(V);
    const Chunks<V, C> chunks(columns);
    float* room = shared_memory();
    const Team team(room, threadIdx.x, blockDim.x);
    const Cluster<C> cluster(room + TEAM_FLOATS);
    unsigned turn = 0, row_turn = 0;
    for (unsigned row = blockIdx.x / C; row < rows; row += gridDim.x / C) {
        const T *from = row_of(x, row, columns), *from_residual = row_of(residual, row, columns);
        Vector<T, V> held[K];
        Moments<1> taken;
        for (int number = 0; number < chunks.count; ++number) {
            chunks.template read_sum<R>(from, from_residual, number, held);
            if constexpr (R) {
#pragma unroll
                for (int k = 0; k < K; ++k)
                    if (chunks.holds(number, k)) held[k].store(row_of(stream, row, columns) + chunks.column(number, k));
            }
            const float count = chunks.elements(number);
            merge(taken, moments_of<Norm>(held, count, 1.0f / fmaxf(count, 1.0f),
                                          [&](int k) { return chunks.holds(number, k); }, team, turn ^= 1));
        }
        cluster.merged(taken, threadIdx.x, row_turn ^= 1);
        const float center = taken.mean[0], scale = reciprocal_root(taken.m2[0] * share + eps);
        if (threadIdx.x == 0 && cluster_rank() % C == 0) {
            if constexpr (Norm::CENTERED) mean[row] = center;
            rstd[row] = scale;
        }
        for (int number = 0; number < chunks.count; ++number) {
            chunks.template read_sum<R>(from, from_residual, number, held);
#pragma unroll
            for (int k = 0; k < K; ++k) {
                if (!chunks.holds(number, k)) continue;
                const unsigned column = chunks.column(number, k);
                float w[V], b[V], out[V];
                load_scale<V>(at_column(weight, column), offset, w);
                load_parameters<V>(at_column(bias, column), 0.0f, b);
#pragma unroll
                for (int i = 0; i < V; ++i) out[i] = (held[k][i] - center) * scale * w[i] + b[i];
                Vector<T, V>::of(out).store(row_of(y, row, columns) + column);
            }
        }
    }
    cluster.leave();
}

// As `row_backward`. A cluster's sums are added up in its row of the partial results, which nobody else touches.
template <typename T, int V, int C, typename Norm, bool R = false>
KERNEL(LONG_THREADS, 1) CLUSTER(C)
long_backward(const T* __restrict__ x, const T* __restrict__ dy, const float* __restrict__ weight,
              const float* __restrict__ mean, const float* __restrict__ rstd, T* __restrict__ dx, float* partial,
              unsigned rows, int columns, float share, float offset, const T* __restrict__ dstream) {
    constexpr int K = held_vectors(V);
    const Chunks<V, C> chunks(columns);
    float* room = shared_memory();
    const Team team(room, threadIdx.x, blockDim.x);
    const Cluster<C> cluster(room + TEAM_FLOATS);
    const unsigned number_of_cluster = blockIdx.x / C, clusters = gridDim.x / C;
    float* own_weight = row_of(partial, number_of_cluster, columns);
    float* own_bias = row_of(partial, clusters + number_of_cluster, columns);
    unsigned turn = 0;
    for (unsigned row = number_of_cluster; row < rows; row += clusters) {
        const T *from_x = row_of(x, row, columns), *from_dy = row_of(dy, row, columns);
        const float center = Norm::CENTERED ? mean[row] : 0.0f, scale = rstd[row];
        const bool first = row == number_of_cluster;
        Vector<T, V> held_x[K], held_dy[K];
        float means[SUMS<Norm>] = {};
        for (int number = 0; number < chunks.count; ++number) {
            chunks.read(from_x, number, held_x);
            chunks.read(from_dy, number, held_dy);
#pragma unroll
            for (int k = 0; k < K; ++k) {
                if (!chunks.holds(number, k)) continue;
                const unsigned column = chunks.column(number, k);
                float w[V];
                load_scale<V>(at_column(weight, column), offset, w);
#pragma unroll
                for (int i = 0; i < V; ++i) {
                    const float normalized = (held_x[k][i] - center) * scale, gradient = held_dy[k][i];
                    const float product = gradient * normalized;
                    own_weight[column + i] = first ? product : own_weight[column + i] + product;
                    if constexpr (Norm::CENTERED) {
                        own_bias[column + i] = first ? gradient : own_bias[column + i] + gradient;
                        means[1] += gradient * w[i];
                    }
                    means[0] += gradient * w[i] * normalized;
                }
            }
        }
        turn ^= 1;
        team.sum(means, turn);
        cluster.sum(means, threadIdx.x, turn);
#pragma unroll
        for (int s = 0; s < SUMS<Norm>; ++s) means[s] *= share;
        for (int number = 0; number < chunks.count; ++number) {
            chunks.read(from_x, number, held_x);
            chunks.read(from_dy, number, held_dy);
#pragma unroll
            for (int k = 0; k < K; ++k) {
                if (!chunks.holds(number, k)) continue;
                const unsigned column = chunks.column(number, k);
                float w[V], out[V];
                load_scale<V>(at_column(weight, column), offset, w);
                Vector<T, V> elsewhere;
                if constexpr (R) elsewhere = Vector<T, V>::load(row_of(dstream, row, columns) + column);
#pragma unroll
                for (int i = 0; i < V; ++i) {
                    const float normalized = (held_x[k][i] - center) * scale;
                    out[i] = held_dy[k][i] * w[i] - normalized * means[0];
                    if constexpr (Norm::CENTERED) out[i] -= means[1];
                    out[i] *= scale;
                    if constexpr (R) out[i] += elsewhere[i];
                }
                Vector<T, V>::of(out).store(row_of(dx, row, columns) + column);
            }
        }
    }
    cluster.leave();
}
