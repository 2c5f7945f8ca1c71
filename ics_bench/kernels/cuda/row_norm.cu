// LayerNorm and RMSNorm of rows (M, N). RMSNorm is the case without `mean`, which is then taken to be zero.
//
// A row belongs to `blockDim.x` threads of each of the C blocks of a cluster, every block having one stretch of it, and
// stays in registers from its statistics to its result. A longer stretch is read in chunks, and read again. A block
// keeps `blockDim.y` rows at a time and goes on to further rows. `blockDim.x` is a power of two up to a warp, and a
// multiple of a warp above. `blockDim.y` is 1 there, and where a row has several blocks or chunks.
#include "common.cuh"

constexpr int ROW_THREADS = 512;

// Adds, and rounds as the sum would be stored.
template <typename T, int V, int K>
DEVICE void add(Vector<T, V> (&held)[K], const Vector<T, V> (&other)[K]) {
#pragma unroll
    for (int k = 0; k < K; ++k)
#pragma unroll
        for (int i = 0; i < V; ++i) held[k].set(i, held[k][i] + other[k][i]);
}

// What one thread holds of a row: held_vectors(V) vectors of the chunk that starts at vector `start`.
template <int V, int C>
struct Stretch {
    static constexpr int K = held_vectors(V);
    int begin, end, chunk;

    DEVICE Stretch(int columns, bool live) {
        const int vectors = columns / V, each = ceil_div(vectors, C);
        begin = smaller(cluster_rank() % C * each, vectors);
        end = live ? smaller(begin + each, vectors) : begin;
        chunk = K * blockDim.x;
    }
    DEVICE int chunks(int columns) const { return ceil_div(ceil_div(columns / V, C), chunk); }
    DEVICE int vector(int number, int k) const { return begin + number * chunk + k * blockDim.x + threadIdx.x; }
    DEVICE bool holds(int vector) const { return vector < end; }
    DEVICE int elements(int number) const { return V * larger(0, smaller(end - begin - number * chunk, chunk)); }

    template <typename T>
    DEVICE void read(const T* row, int number, Vector<T, V> (&held)[K]) const {
#pragma unroll
        for (int k = 0; k < K; ++k) {
            const int v = vector(number, k);
            held[k] = holds(v) ? load<T, V>(row + static_cast<long long>(v) * V) : zeros<T, V>();
        }
    }

    template <typename T>
    DEVICE void read_sum(const T* row, const T* other_row, int number, Vector<T, V> (&held)[K]) const {
        Vector<T, V> other[K];
        read(row, number, held);
        read(other_row, number, other);
        add(held, other);
    }

    template <typename T>
    DEVICE void write(T* row, int number, const Vector<T, V> (&held)[K]) const {
#pragma unroll
        for (int k = 0; k < K; ++k) {
            const int v = vector(number, k);
            if (holds(v)) store(row + static_cast<long long>(v) * V, held[k]);
        }
    }
};

// Two passes over registers. What lies beyond the row is zero: it adds nothing to the sum, but would to the deviations.
template <typename T, int V, int C, int K>
DEVICE Moments<1> moments_of(const Vector<T, V> (&held)[K], const Stretch<V, C>& stretch, int number, bool centered,
                             Team& team) {
    const float count = stretch.elements(number);
    float mean = 0.0f;
    if (centered) {
        float sum[1] = {0.0f};
#pragma unroll
        for (int k = 0; k < K; ++k)
#pragma unroll
            for (int i = 0; i < V; ++i) sum[0] += held[k][i];
        team.sum(sum);
        mean = sum[0] / fmaxf(count, 1.0f);
    }
    float squares[1] = {0.0f};
#pragma unroll
    for (int k = 0; k < K; ++k) {
        if (!stretch.holds(stretch.vector(number, k))) continue;
#pragma unroll
        for (int i = 0; i < V; ++i) squares[0] += (held[k][i] - mean) * (held[k][i] - mean);
    }
    team.sum(squares);
    return {count, {mean}, {squares[0]}};
}

// A row's scale is `weight + offset`, or 1 where there is no weight; `offset` is 0, or 1 for zero-centred weights.

// y = (x - mean) * rstd * scale + bias. `mean` and `rstd`, one a row, are kept for the backward pass. With a residual,
// R, what is normalized is x + residual, which is also written to `stream`. A row that is read again is summed again,
// not read from `stream`: `load16` takes the path for what no kernel writes while it runs (ld.global.nc), so it might
// see what was there before.
template <typename T, int V, int C, bool R = false>
KERNEL(ROW_THREADS, 2) CLUSTER(C)
row_forward(const T* __restrict__ x, const float* __restrict__ weight, const float* __restrict__ bias,
            T* __restrict__ y, float* __restrict__ mean, float* __restrict__ rstd, long long rows, int columns, float eps,
            float offset, const T* __restrict__ residual, T* __restrict__ stream) {
    constexpr int K = held_vectors(V);
    float* room = shared_memory();
    Team team(room, threadIdx.x, blockDim.x);
    Cluster<C> cluster(room + TEAM_FLOATS);
    const long long step = static_cast<long long>(gridDim.x / C) * blockDim.y;
    for (long long base = static_cast<long long>(blockIdx.x / C) * blockDim.y; base < rows; base += step) {
        const long long row = base + threadIdx.y;
        const bool live = row < rows;
        const Stretch<V, C> stretch(columns, live);
        const int chunks = stretch.chunks(columns);
        Vector<T, V> held[K];
        Moments<1> taken;
        for (int number = 0; number < chunks; ++number) {
            if constexpr (R) {
                stretch.read_sum(x + row * columns, residual + row * columns, number, held);
                stretch.write(stream + row * columns, number, held);
            } else {
                stretch.read(x + row * columns, number, held);
            }
            const Moments<1> chunk = moments_of(held, stretch, number, mean != nullptr, team);
            if (number == 0)
                taken = chunk;
            else
                merge(taken, chunk);
        }
        cluster.merged(taken, threadIdx.x);
        const float center = taken.mean[0], scale = reciprocal_root(taken.m2[0] / columns + eps);
        if (live && threadIdx.x == 0 && cluster_rank() % C == 0) {
            if (mean != nullptr) mean[row] = center;
            rstd[row] = scale;
        }
        for (int number = 0; number < chunks; ++number) {
            if (chunks > 1) {
                if constexpr (R)
                    stretch.read_sum(x + row * columns, residual + row * columns, number, held);
                else
                    stretch.read(x + row * columns, number, held);
            }
#pragma unroll
            for (int k = 0; k < K; ++k) {
                const int v = stretch.vector(number, k);
                if (!stretch.holds(v)) continue;
                float w[V], b[V];
                load_scale<V>(weight, static_cast<long long>(v) * V, offset, w);
                load_parameters<V>(bias, static_cast<long long>(v) * V, 0.0f, b);
                Vector<T, V> out;
#pragma unroll
                for (int i = 0; i < V; ++i) out.set(i, (held[k][i] - center) * scale * w[i] + b[i]);
                store(y + row * columns + static_cast<long long>(v) * V, out);
            }
        }
    }
    cluster.leave();
}

// One block's share of dweight and dbias: sums over its rows, in registers while a row is one chunk, and in the
// block's row of the partial results, which nobody else touches, where there are more.
template <int V, int K>
struct ParameterSums {
    float weight[K][V], bias[K][V];

    DEVICE void clear() {
#pragma unroll
        for (int k = 0; k < K; ++k)
#pragma unroll
            for (int i = 0; i < V; ++i) weight[k][i] = bias[k][i] = 0.0f;
    }

    template <int C>
    DEVICE void leave(float* to_weight, float* to_bias, const Stretch<V, C>& stretch, int number, bool first) const {
#pragma unroll
        for (int k = 0; k < K; ++k) {
            const int v = stretch.vector(number, k);
            if (!stretch.holds(v)) continue;
#pragma unroll
            for (int i = 0; i < V; ++i) {
                float& w = to_weight[static_cast<long long>(v) * V + i];
                w = first ? weight[k][i] : w + weight[k][i];
                if (to_bias == nullptr) continue;
                float& b = to_bias[static_cast<long long>(v) * V + i];
                b = first ? bias[k][i] : b + bias[k][i];
            }
        }
    }
};

// dx = rstd * (g - mean(g) - xhat * mean(g * xhat)) with g = scale * dy, and each cluster's sums of dy * xhat and of
// dy: (2, clusters, columns), or (1, clusters, columns) without `mean`. With a residual, R, x is the stream that the
// forward pass wrote, and dx adds the gradient that reaches it from elsewhere.
template <typename T, int V, int C, bool R = false>
KERNEL(ROW_THREADS, 1) CLUSTER(C)
row_backward(const T* __restrict__ x, const T* __restrict__ dy, const float* __restrict__ weight,
             const float* __restrict__ mean, const float* __restrict__ rstd, T* __restrict__ dx, float* partial,
             long long rows, int columns, float offset, const T* __restrict__ dstream) {
    constexpr int K = held_vectors(V);
    float* room = shared_memory();
    Team team(room, threadIdx.x, blockDim.x);
    Cluster<C> cluster(room + TEAM_FLOATS);
    const long long number_of_cluster = blockIdx.x / C, clusters = gridDim.x / C, step = clusters * blockDim.y;
    const int chunks = Stretch<V, C>(columns, true).chunks(columns);
    const bool centered = mean != nullptr;
    float* own_weight = partial + number_of_cluster * columns;
    float* own_bias = centered ? own_weight + clusters * columns : nullptr;
    ParameterSums<V, K> sums;
    sums.clear();
    for (long long base = number_of_cluster * blockDim.y; base < rows; base += step) {
        const long long row = base + threadIdx.y;
        const bool live = row < rows;
        const Stretch<V, C> stretch(columns, live);
        const float center = centered && live ? mean[row] : 0.0f, scale = live ? rstd[row] : 0.0f;
        Vector<T, V> held_x[K], held_dy[K];
        float means[2] = {0.0f, 0.0f};
        for (int number = 0; number < chunks; ++number) {
            stretch.read(x + row * columns, number, held_x);
            stretch.read(dy + row * columns, number, held_dy);
#pragma unroll
            for (int k = 0; k < K; ++k) {
                const int v = stretch.vector(number, k);
                if (!stretch.holds(v)) continue;
                float w[V];
                load_scale<V>(weight, static_cast<long long>(v) * V, offset, w);
#pragma unroll
                for (int i = 0; i < V; ++i) {
                    const float normalized = (held_x[k][i] - center) * scale, gradient = held_dy[k][i];
                    sums.weight[k][i] += gradient * normalized;
                    sums.bias[k][i] += gradient;
                    means[0] += gradient * w[i];
                    means[1] += gradient * w[i] * normalized;
                }
            }
            if (chunks > 1) {
                sums.leave(own_weight, own_bias, stretch, number, base < step);
                sums.clear();
            }
        }
        team.sum(means);
        cluster.sum(means, threadIdx.x);
        means[0] = centered ? means[0] / columns : 0.0f;
        means[1] /= columns;
        for (int number = 0; number < chunks; ++number) {
            if (chunks > 1) {
                stretch.read(x + row * columns, number, held_x);
                stretch.read(dy + row * columns, number, held_dy);
            }
#pragma unroll
            for (int k = 0; k < K; ++k) {
                const int v = stretch.vector(number, k);
                if (!stretch.holds(v)) continue;
                float w[V];
                load_scale<V>(weight, static_cast<long long>(v) * V, offset, w);
                Vector<T, V> out;
                if constexpr (R) out = load<T, V>(dstream + row * columns + static_cast<long long>(v) * V);
#pragma unroll
                for (int i = 0; i < V; ++i) {
                    const float normalized = (held_x[k][i] - center) * scale;
                    const float gradient = scale * (held_dy[k][i] * w[i] - means[0] - normalized * means[1]);
                    out.set(i, R ? gradient + out[i] : gradient);
                }
                store(dx + row * columns + static_cast<long long>(v) * V, out);
            }
        }
    }
    cluster.leave();
    if (chunks > 1) return;
    const Stretch<V, C> stretch(columns, true);
    if (blockDim.y == 1) {
        sums.leave(own_weight, own_bias, stretch, 0, true);
        return;
    }
    // The rows that a block kept at a time take turns, so that the order of the sum is fixed.
    float* gathered = room + TEAM_FLOATS + CLUSTER_FLOATS;
    for (unsigned turn = 0; turn < blockDim.y; ++turn) {
        if (threadIdx.y == turn) sums.leave(gathered, centered ? gathered + columns : nullptr, stretch, 0, turn == 0);
        __syncthreads();
    }
    for (int c = threadIdx.y * blockDim.x + threadIdx.x; c < columns; c += blockDim.x * blockDim.y) {
        own_weight[c] = gathered[c];
        if (centered) own_bias[c] = gathered[columns + c];
    }
}
