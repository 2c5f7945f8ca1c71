// LayerNorm and RMSNorm of rows (M, N) that blocks can hold; longer ones are in long_rows.cu.
//
// A row stays in shared memory from its statistics to its result, while the next one is on its way there. A thread reads
// what it has fetched itself and nothing else, so no barrier is needed for that. Where one element is a load, a row stays
// in registers, and none comes ahead.
#include "rows.cuh"

// Whether every instruction counts: float32 takes memory twice as long for as many.
template <typename T>
constexpr bool HURRIES = sizeof(T) < sizeof(float);

// (x - center) * scale * w + b to `row` and, if R, x to `stream`. For what is PLAIN see `load_scale`; it goes for the bias,
// too.
template <typename Norm, bool PLAIN, bool R, typename T, int V, typename Owner, int K>
DEVICE void write_normalized(T* row, T* stream, const Stretch<V, Owner>& stretch, const Vector<T, V> (&held)[K],
                             float center, float scale, const float* weight, const float* bias, float offset) {
    const bool weighted = PLAIN || weight != nullptr, biased = Norm::CENTERED && (PLAIN || bias != nullptr);
    if (weighted) weight = stretch.own(weight);
    if (biased) bias = stretch.own(bias);
    row = stretch.own(row);
    if constexpr (R) stream = stretch.own(stream);
#pragma unroll
    for (int k = 0; k < K; ++k) {
        if (!stretch.holds(k)) continue;
        if constexpr (R) held[k].store(stream + stretch.offset(k));
        float w[V], b[V] = {}, out[V];
        load_scale<V, PLAIN>(weighted ? weight + stretch.offset(k) : nullptr, offset, w);
        if constexpr (Norm::CENTERED) load_parameters<V, PLAIN>(biased ? bias + stretch.offset(k) : nullptr, 0.0f, b);
#pragma unroll
        for (int i = 0; i < V; ++i)
            out[i] = Norm::CENTERED ? (held[k][i] - center) * scale * w[i] + b[i] : held[k][i] * scale * w[i];
        Vector<T, V>::of(out).store(row + stretch.offset(k));
    }
}

// y = (x - mean) * rstd * scale + bias. `mean` and `rstd`, one a row, are kept for the backward pass. With a residual,
// R, what is normalized is x + residual, which is also written to `stream`. `share` is 1 / columns. A block keeps
// `blockDim.y` rows at a time, one unless a row has a warp at most, and goes on to further rows.
template <typename T, int V, typename Owner, typename Norm, bool R = false>
KERNEL((R && Owner::C > 1 ? SUM_THREADS : Owner::THREADS), Owner::RESIDENT) CLUSTER(Owner::C)
row_forward(const T* __restrict__ x, const float* __restrict__ weight, const float* __restrict__ bias,
            T* __restrict__ y, float* __restrict__ mean, float* __restrict__ rstd, unsigned rows, int columns,
            float share, float eps, float offset, const T* __restrict__ residual, T* __restrict__ stream) {
    constexpr int C = Owner::C, K = held_vectors(V);
    const Stretch<V, Owner> stretch(columns);
    float* room = shared_memory();
    const Owner owner(room);
    const Cluster<C> cluster(room + TEAM_FLOATS);
    Rows<T, V, Owner, true> given(stretch, room + TEAM_FLOATS + CLUSTER_FLOATS, 0);
    Rows<T, V, Owner, false> other(stretch, room + TEAM_FLOATS + CLUSTER_FLOATS, 2);
    const float own_share = C == 1 ? share : 1.0f / fmaxf(stretch.count, 1.0f);
    const unsigned step = gridDim.x / C * blockDim.y;
    const bool plain = HURRIES<T> && offset == 0.0f && weight != nullptr && (bias != nullptr || !Norm::CENTERED);
    const auto holds = [&](int k) { return stretch.holds(k); };
    const auto fetch = [&](unsigned row) {
        given.fetch(row_of(x, row, columns), row < rows);
        if constexpr (R) other.fetch(row_of(residual, row, columns), row < rows);
        end_of_fetch();
    };
    unsigned row = blockIdx.x / C * blockDim.y + threadIdx.y;
    fetch(row);
    for (; row - threadIdx.y < rows; row += step) {
        const bool live = row < rows;
        fetched<0>();
        given.go_on(row_of(x, row, columns), live);
        Vector<T, V> held[K];
#pragma unroll
        for (int k = 0; k < K; ++k) held[k] = given[k];
        if constexpr (R) {
            other.go_on(row_of(residual, row, columns), live);
#pragma unroll
            for (int k = 0; k < K; ++k) held[k] = given.put(k, sum_of(held[k], other[k]));
        }
        fetch(row + step);
        Moments<1> taken = moments_of<Norm>(held, stretch.count, own_share, holds, owner, given.turn);
        cluster.merged(taken, threadIdx.x, given.turn);
        const float center = taken.mean[0], scale = reciprocal_root(taken.m2[0] * share + eps);
        if (!live) continue;
        if (threadIdx.x == 0 && cluster_rank() % C == 0) {
            if constexpr (Norm::CENTERED) mean[row] = center;
            rstd[row] = scale;
        }
#pragma unroll
        for (int k = 0; V > 1 && k < K; ++k) held[k] = given[k];
        T *to = row_of(y, row, columns), *to_stream = row_of(stream, row, columns);
        if (plain)
            write_normalized<Norm, true, R>(to, to_stream, stretch, held, center, scale, weight, bias, offset);
        else
            write_normalized<Norm, false, R>(to, to_stream, stretch, held, center, scale, weight, bias, offset);
    }
    fetched<0>();
    cluster.leave();
}

// One thread's share of dweight and dbias: sums over its rows.
template <typename Norm, int V, int K>
struct ParameterSums {
    float weight[K][V] = {}, bias[K][V] = {};

    template <typename Owner>
    DEVICE void leave(float* to_weight, float* to_bias, const Stretch<V, Owner>& stretch, bool first) const {
        to_weight = stretch.own(to_weight), to_bias = stretch.own(to_bias);
#pragma unroll
        for (int k = 0; k < K; ++k) {
            if (!stretch.holds(k)) continue;
#pragma unroll
            for (int i = 0; i < V; ++i) {
                const unsigned c = stretch.offset(k) + i;
                to_weight[c] = first ? weight[k][i] : to_weight[c] + weight[k][i];
                if constexpr (Norm::CENTERED) to_bias[c] = first ? bias[k][i] : to_bias[c] + bias[k][i];
            }
        }
    }
};

// What a thread needs of a row to take it back: of vectors, once and again.
template <typename T, int V, typename Owner>
struct Pair {
    static constexpr int K = held_vectors(V);
    Rows<T, V, Owner, true> x, dy;
    Vector<T, V> held_x[V > 1 ? 1 : K], held_dy[V > 1 ? 1 : K];

    DEVICE Pair(const Stretch<V, Owner>& stretch, float* room) : x(stretch, room, 0), dy(stretch, room, 2) {}

    DEVICE void once(int k, Vector<T, V>& one_x, Vector<T, V>& one_dy) {
        one_x = x[k], one_dy = dy[k];
        if constexpr (V == 1) held_x[k] = one_x, held_dy[k] = one_dy;
    }
    DEVICE void again(int k, Vector<T, V>& one_x, Vector<T, V>& one_dy) const {
        if constexpr (V > 1)
            one_x = x[k], one_dy = dy[k];
        else
            one_x = held_x[k], one_dy = held_dy[k];
    }
};

// Adds a row's terms to the parameters' sums, and to those of g * xhat and g, where xhat = (x - center) * scale.
template <typename Norm, bool PLAIN, typename T, int V, typename Owner, int K>
DEVICE void add_products(Pair<T, V, Owner>& given, const Stretch<V, Owner>& stretch, float center, float scale,
                         const float* weight, float offset, ParameterSums<Norm, V, K>& sums,
                         float (&means)[SUMS<Norm>]) {
    const bool weighted = PLAIN || weight != nullptr;
    if (weighted) weight = stretch.own(weight);
#pragma unroll
    for (int k = 0; k < K; ++k) {
        if (!stretch.holds(k)) continue;
        Vector<T, V> x, dy;
        given.once(k, x, dy);
        float w[V], vector[SUMS<Norm>] = {};
        load_scale<V, PLAIN>(weighted ? weight + stretch.offset(k) : nullptr, offset, w);
#pragma unroll
        for (int i = 0; i < V; ++i) {
            const float normalized = Norm::CENTERED ? (x[i] - center) * scale : x[i] * scale;
            const float gradient = dy[i], g = gradient * w[i];
            sums.weight[k][i] += gradient * normalized;
            vector[0] += g * normalized;
            if constexpr (Norm::CENTERED) {
                sums.bias[k][i] += gradient;
                vector[1] += g;
            }
        }
        Add()(means, vector);
    }
}

// scale * (g - mean(g) - xhat * mean(g * xhat)), plus what reaches the row from elsewhere.
template <typename Norm, bool PLAIN, bool R, typename T, int V, typename Owner>
DEVICE void write_gradient(T* row, const Pair<T, V, Owner>& given, const Rows<T, V, Owner, false>& stream,
                           const Stretch<V, Owner>& stretch, float center, float scale, const float* weight,
                           float offset, const float (&means)[SUMS<Norm>]) {
    const bool weighted = PLAIN || weight != nullptr;
    if (weighted) weight = stretch.own(weight);
    row = stretch.own(row);
    const float slope = scale * scale * means[0], constant = Norm::CENTERED ? scale * means[SUMS<Norm> - 1] : 0.0f;
#pragma unroll
    for (int k = 0; k < held_vectors(V); ++k) {
        if (!stretch.holds(k)) continue;
        Vector<T, V> x, dy, elsewhere;
        given.again(k, x, dy);
        if constexpr (R) elsewhere = stream[k];
        float w[V], out[V];
        load_scale<V, PLAIN>(weighted ? weight + stretch.offset(k) : nullptr, offset, w);
#pragma unroll
        for (int i = 0; i < V; ++i) {
            const float removed = Norm::CENTERED ? (x[i] - center) * slope + constant : x[i] * slope;
            out[i] = dy[i] * w[i] * scale - removed;
            if constexpr (R) out[i] += elsewhere[i];
        }
        Vector<T, V>::of(out).store(row + stretch.offset(k));
    }
}

// dx = rstd * (g - mean(g) - xhat * mean(g * xhat)) with g = scale * dy, and each cluster's sums of dy * xhat and of
// dy: (2, clusters, columns), or (1, clusters, columns) for RMS norm. With a residual, R, x is the stream that the
// forward pass wrote, and dx adds the gradient that reaches it from elsewhere.
template <typename T, int V, typename Owner, typename Norm, bool R = false>
KERNEL(BACKWARD_THREADS, 1) CLUSTER(Owner::C)
row_backward(const T* __restrict__ x, const T* __restrict__ dy, const float* __restrict__ weight,
             const float* __restrict__ mean, const float* __restrict__ rstd, T* __restrict__ dx, float* partial,
             unsigned rows, int columns, float share, float offset, const T* __restrict__ dstream) {
    constexpr int C = Owner::C, K = held_vectors(V);
    const Stretch<V, Owner> stretch(columns);
    float* room = shared_memory();
    const Owner owner(room);
    const Cluster<C> cluster(room + TEAM_FLOATS);
    float* slots = room + TEAM_FLOATS + CLUSTER_FLOATS;
    Pair<T, V, Owner> given(stretch, slots);
    Rows<T, V, Owner, false> other(stretch, slots, 4);
    const unsigned number_of_cluster = blockIdx.x / C, clusters = gridDim.x / C, step = clusters * blockDim.y;
    const bool plain = HURRIES<T> && offset == 0.0f && weight != nullptr;
    ParameterSums<Norm, V, K> sums;
    float next_center = 0.0f, next_scale = 0.0f;
    const auto fetch = [&](unsigned row) {
        given.x.fetch(row_of(x, row, columns), row < rows);
        given.dy.fetch(row_of(dy, row, columns), row < rows);
        next_scale = row < rows ? rstd[row] : 0.0f;
        if constexpr (Norm::CENTERED) next_center = row < rows ? mean[row] : 0.0f;
        end_of_fetch();
    };
    const auto fetch_stream = [&](unsigned row) {
        if constexpr (R) {
            other.fetch(row_of(dstream, row, columns), row < rows);
            end_of_fetch();
        }
    };
    constexpr int LATER = R ? 1 : 0;  // when x and dy are wanted, ds may still be on its way; then x and dy of the next
    unsigned row = number_of_cluster * blockDim.y + threadIdx.y;
    fetch(row);
    fetch_stream(row);
    for (; row - threadIdx.y < rows; row += step) {
        const bool live = row < rows;
        const float center = next_center, scale = next_scale;
        fetched<LATER>();
        given.x.go_on(row_of(x, row, columns), live);
        given.dy.go_on(row_of(dy, row, columns), live);
        fetch(row + step);
        float means[SUMS<Norm>] = {};
        if (plain)
            add_products<Norm, true>(given, stretch, center, scale, weight, offset, sums, means);
        else
            add_products<Norm, false>(given, stretch, center, scale, weight, offset, sums, means);
        owner.sum(means, given.x.turn);
        cluster.sum(means, threadIdx.x, given.x.turn);
#pragma unroll
        for (int s = 0; s < SUMS<Norm>; ++s) means[s] *= share;
        if constexpr (R) {
            fetched<LATER>();
            other.go_on(row_of(dstream, row, columns), live);
        }
        if (live) {
            T* to = row_of(dx, row, columns);
            if (plain)
                write_gradient<Norm, true, R>(to, given, other, stretch, center, scale, weight, offset, means);
            else
                write_gradient<Norm, false, R>(to, given, other, stretch, center, scale, weight, offset, means);
        }
        fetch_stream(row + step);
    }
    fetched<0>();
    cluster.leave();
    float* own_weight = row_of(partial, number_of_cluster, columns);
    float* own_bias = row_of(partial, clusters + number_of_cluster, columns);
    if (blockDim.y == 1) {
        sums.leave(own_weight, own_bias, stretch, true);
        return;
    }
    // The rows that a block kept at a time take turns, so that the order of the sum is fixed.
    for (unsigned turn = 0; turn < blockDim.y; ++turn) {
        __syncthreads();
        if (threadIdx.y == turn) sums.leave(slots, slots + columns, stretch, turn == 0);
    }
    __syncthreads();
    for (int c = threadIdx.y * blockDim.x + threadIdx.x; c < columns; c += blockDim.x * blockDim.y) {
        own_weight[c] = slots[c];
        if constexpr (Norm::CENTERED) own_bias[c] = slots[columns + c];
    }
}
