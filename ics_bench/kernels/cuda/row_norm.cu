// LayerNorm and RMSNorm of rows (M, N) that blocks can hold; longer ones are in long_rows.cu.
//
// A row stays in shared memory from its statistics to its result, while the next one is on its way there. A thread reads
// what it has fetched itself and nothing else, so no barrier is needed for that. Single elements stay in registers.
#include "common.cuh"

constexpr int FORWARD_THREADS = 1024;
constexpr int SUM_THREADS = 512;
constexpr int BACKWARD_THREADS = 512;
constexpr int SMALL_BLOCK = 128;

// Whether every instruction counts: float32 takes memory twice as long for as many.
template <typename T>
constexpr bool HURRIES = sizeof(T) < sizeof(float);

// Who shares a row: `blockDim.x` lanes of a warp, less than all and a power of two...
struct PartOfWarp {
    static constexpr int C = 1, THREADS = SMALL_BLOCK, RESIDENT = 6;
    const Lanes lanes;

    DEVICE explicit PartOfWarp(float*) : lanes{static_cast<int>(blockDim.x)} {}
    DEVICE static unsigned apart() { return blockDim.x; }
    DEVICE static unsigned place(int) { return threadIdx.x; }
    template <int S>
    DEVICE void sum(float (&values)[S], unsigned) const { lanes.sum(values); }
};

// ... or whole warps, of each of the blocks of a cluster. A warp has its vectors in one piece.
template <int BLOCKS>
struct Blocks : Team {
    static constexpr int C = BLOCKS, THREADS = FORWARD_THREADS, RESIDENT = 1;

    DEVICE explicit Blocks(float* room) : Team(room, threadIdx.x, blockDim.x) {}
    DEVICE static constexpr unsigned apart() { return LANES; }
    DEVICE static unsigned place(int K) { return threadIdx.x / LANES * (K * LANES) + threadIdx.x % LANES; }
};

// What one thread has of each row: K vectors, of the stretch of it that its block has.
template <int V, typename Owner>
struct Stretch {
    static constexpr int K = row_vectors(V);
    unsigned first, end;
    float count;

    DEVICE explicit Stretch(int columns) {
        const int vectors = columns / V, each = ceil_div(vectors, Owner::C);
        const int begin = smaller(cluster_rank() % Owner::C * each, vectors);
        end = smaller(begin + each, vectors);
        first = begin + Owner::place(K);
        count = (end - begin) * V;
    }
    DEVICE bool holds(int k) const { return first + k * Owner::apart() < end; }

    // Of whatever has a row's columns, where this thread's begin, and how far further on its vector k is.
    template <typename P>
    DEVICE P* own(P* row) const { return row + first * V; }
    DEVICE static unsigned offset(int k) { return k * Owner::apart() * V; }
};

// The rows of one tensor: a thread's vectors of the row that it works on, and those of the next that it has asked for.
template <typename T, int V, typename Owner, bool TWOFOLD>
struct Rows {
    static constexpr int K = Stretch<V, Owner>::K, APART = V * LANES;
    const Stretch<V, Owner> stretch;
    T* slots;
    unsigned turn = 0;
    const T* row = nullptr;
    bool live = false;

    // In the room of a block behind `before` rows. If it is not TWOFOLD, a row must be read before the next is asked
    // for. Slots of a warp are in one piece.
    DEVICE Rows(const Stretch<V, Owner>& stretch, float* room, int before) : stretch(stretch) {
        const unsigned threads = blockDim.x * blockDim.y, thread = threadIdx.y * blockDim.x + threadIdx.x;
        constexpr int EACH = (TWOFOLD ? 2 : 1) * K * V;
        slots = reinterpret_cast<T*>(room) + before * threads * K * V + thread / LANES * LANES * EACH + thread % LANES * V;
    }

    // Asks for the next row; for zeros where it is not `there`.
    DEVICE void fetch(const T* next, bool there) const {
        if constexpr (V > 1) {
#pragma unroll
            for (int k = 0; k < K; ++k)
                fetch16(slot(turn ^ 1, k), stretch.own(next) + stretch.offset(k), there && stretch.holds(k));
        }
    }

    // Turns to the row that was asked for.
    DEVICE void go_on(const T* to, bool there) {
        turn ^= 1;
        row = stretch.own(to);
        live = there;
    }

    DEVICE Vector<T, V> operator[](int k) const {
        if constexpr (V > 1)
            return Vector<T, V>::kept(slot(turn, k));
        else
            return live && stretch.holds(k) ? Vector<T, V>::load(row + stretch.offset(k)) : Vector<T, V>::zero();
    }

    // Puts something in the place of what was fetched.
    DEVICE Vector<T, V> put(int k, const Vector<T, V>& instead) const {
        if constexpr (V > 1) instead.keep(slot(turn, k));
        return instead;
    }

  private:
    DEVICE T* slot(unsigned of, int k) const { return slots + (TWOFOLD ? of * (K * APART) : 0) + k * APART; }
};

// (x * scale + shift) * w + b; for what is PLAIN see `load_scale`, which goes for the bias, too.
template <typename Norm, bool PLAIN, typename T, int V, typename Owner, int K>
DEVICE void write_normalized(T* row, const Stretch<V, Owner>& stretch, const Vector<T, V> (&held)[K], float scale,
                             float shift, const float* weight, const float* bias, float offset) {
    const bool weighted = PLAIN || weight != nullptr, biased = Norm::CENTERED && (PLAIN || bias != nullptr);
    if (weighted) weight = stretch.own(weight);
    if (biased) bias = stretch.own(bias);
    row = stretch.own(row);
#pragma unroll
    for (int k = 0; k < K; ++k) {
        if (!stretch.holds(k)) continue;
        float w[V], b[V] = {}, out[V];
        load_scale<V, PLAIN>(weighted ? weight + stretch.offset(k) : nullptr, offset, w);
        if constexpr (Norm::CENTERED) load_parameters<V, PLAIN>(biased ? bias + stretch.offset(k) : nullptr, 0.0f, b);
#pragma unroll
        for (int i = 0; i < V; ++i)
            out[i] = Norm::CENTERED ? (held[k][i] * scale + shift) * w[i] + b[i] : held[k][i] * scale * w[i];
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
    constexpr int C = Owner::C, K = row_vectors(V);
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
    };
    unsigned row = blockIdx.x / C * blockDim.y + threadIdx.y;
    fetch(row);
    for (; row - threadIdx.y < rows; row += step) {
        const bool live = row < rows;
        fetched();
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
        const float scale = reciprocal_root(taken.m2[0] * share + eps), shift = -taken.mean[0] * scale;
        if (!live) continue;
        if (threadIdx.x == 0 && cluster_rank() % C == 0) {
            if constexpr (Norm::CENTERED) mean[row] = taken.mean[0];
            rstd[row] = scale;
        }
#pragma unroll
        for (int k = 0; V > 1 && k < K; ++k) held[k] = given[k];
        if constexpr (R) {
#pragma unroll
            for (int k = 0; k < K; ++k)
                if (holds(k)) held[k].store(stretch.own(row_of(stream, row, columns)) + stretch.offset(k));
        }
        T* to = row_of(y, row, columns);
        if (plain)
            write_normalized<Norm, true>(to, stretch, held, scale, shift, weight, bias, offset);
        else
            write_normalized<Norm, false>(to, stretch, held, scale, shift, weight, bias, offset);
    }
    fetched();
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
    static constexpr int K = row_vectors(V);
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

// Adds a row's terms to the parameters' sums, and to those of g and of g * xhat, where xhat = x * scale + shift.
template <typename Norm, bool PLAIN, typename T, int V, typename Owner, int K>
DEVICE void add_products(Pair<T, V, Owner>& given, const Stretch<V, Owner>& stretch, float scale, float shift,
                         const float* weight, float offset, ParameterSums<Norm, V, K>& sums, float (&means)[2]) {
    const bool weighted = PLAIN || weight != nullptr;
    if (weighted) weight = stretch.own(weight);
#pragma unroll
    for (int k = 0; k < K; ++k) {
        if (!stretch.holds(k)) continue;
        Vector<T, V> x, dy;
        given.once(k, x, dy);
        float w[V], vector[2] = {};
        load_scale<V, PLAIN>(weighted ? weight + stretch.offset(k) : nullptr, offset, w);
#pragma unroll
        for (int i = 0; i < V; ++i) {
            const float normalized = Norm::CENTERED ? x[i] * scale + shift : x[i] * scale;
            const float gradient = dy[i], g = gradient * w[i];
            sums.weight[k][i] += gradient * normalized;
            vector[1] += g * normalized;
            if constexpr (Norm::CENTERED) {
                sums.bias[k][i] += gradient;
                vector[0] += g;
            }
        }
        means[0] += vector[0], means[1] += vector[1];
    }
}

// scale * (g - means[0] - xhat * means[1]), plus what reaches the row from elsewhere.
template <typename Norm, bool PLAIN, bool R, typename T, int V, typename Owner>
DEVICE void write_gradient(T* row, const Pair<T, V, Owner>& given, const Rows<T, V, Owner, false>& stream,
                           const Stretch<V, Owner>& stretch, float scale, float shift, const float* weight,
                           float offset, const float (&means)[2]) {
    const bool weighted = PLAIN || weight != nullptr;
    if (weighted) weight = stretch.own(weight);
    row = stretch.own(row);
    const float slope = -scale * means[1], of_x = scale * slope, constant = shift * slope - scale * means[0];
#pragma unroll
    for (int k = 0; k < row_vectors(V); ++k) {
        if (!stretch.holds(k)) continue;
        Vector<T, V> x, dy, elsewhere;
        given.again(k, x, dy);
        if constexpr (R) elsewhere = stream[k];
        float w[V], out[V];
        load_scale<V, PLAIN>(weighted ? weight + stretch.offset(k) : nullptr, offset, w);
#pragma unroll
        for (int i = 0; i < V; ++i) {
            out[i] = dy[i] * w[i] * scale + (Norm::CENTERED ? x[i] * of_x + constant : x[i] * of_x);
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
    constexpr int C = Owner::C, K = row_vectors(V);
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
    };
    unsigned row = number_of_cluster * blockDim.y + threadIdx.y;
    fetch(row);
    if constexpr (R) other.fetch(row_of(dstream, row, columns), row < rows);
    for (; row - threadIdx.y < rows; row += step) {
        const bool live = row < rows;
        const float scale = next_scale, shift = -next_center * scale;
        fetched();
        given.x.go_on(row_of(x, row, columns), live);
        given.dy.go_on(row_of(dy, row, columns), live);
        fetch(row + step);
        float means[2] = {0.0f, 0.0f};
        if (plain)
            add_products<Norm, true>(given, stretch, scale, shift, weight, offset, sums, means);
        else
            add_products<Norm, false>(given, stretch, scale, shift, weight, offset, sums, means);
        owner.sum(means, given.x.turn);
        cluster.sum(means, threadIdx.x, given.x.turn);
        means[0] *= share;
        means[1] *= share;
        if constexpr (R) other.go_on(row_of(dstream, row, columns), live);
        if (live) {
            T* to = row_of(dx, row, columns);
            if (plain)
                write_gradient<Norm, true, R>(to, given, other, stretch, scale, shift, weight, offset, means);
            else
                write_gradient<Norm, false, R>(to, given, other, stretch, scale, shift, weight, offset, means);
        }
        if constexpr (R) other.fetch(row_of(dstream, row + step, columns), row + step < rows);
    }
    fetched();
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
