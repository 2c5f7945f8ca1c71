// Shared by the kernels of rows: the norms, their statistics, and who has what of a row.
#pragma once
#include "common.cuh"

constexpr int FORWARD_THREADS = 1024;
constexpr int SUM_THREADS = 512;
constexpr int BACKWARD_THREADS = 512;
constexpr int SMALL_BLOCK = 128;

// Norms of rows: RMS norm is the one without a mean, which is then taken to be zero.
struct Layer { static constexpr bool CENTERED = true; };
struct Rms { static constexpr bool CENTERED = false; };

// Sums over a row, backward: of g * xhat and, if there is a mean, of g.
template <typename Norm>
constexpr int SUMS = Norm::CENTERED ? 2 : 1;

template <typename P>
DEVICE P* row_of(P* tensor, unsigned row, int columns) {
    return tensor + static_cast<unsigned long long>(row) * static_cast<unsigned>(columns);
}

// One thread's share of the sum of squared deviations. What lies beyond a row is zero, and would count.
template <typename T, int V, int K, typename Holds>
DEVICE float squares_of(const Vector<T, V> (&held)[K], float mean, Holds holds) {
    float squares = 0.0f;
#pragma unroll
    for (int k = 0; k < K; ++k) {
        float vector = 0.0f;
#pragma unroll
        for (int i = 0; i < V; ++i) vector += (held[k][i] - mean) * (held[k][i] - mean);
        squares += holds(k) ? vector : 0.0f;
    }
    return squares;
}

// sum / count, where share is 1 / count, rounded: what the product leaves over is divided, too.
DEVICE float quotient(float sum, float count, float share) {
    const float first = sum * share;
    return first + (sum - first * count) * share;
}

// Statistics of `count` elements that some threads hold, in two passes. `share` is 1 / count; `turn` is 0 and 1 by turns.
template <typename Norm, typename T, int V, int K, typename Holds, typename Threads>
DEVICE Moments<1> moments_of(const Vector<T, V> (&held)[K], float count, float share, Holds holds, const Threads& threads,
                               unsigned turn) {
    float mean[1] = {0.0f};
    if constexpr (Norm::CENTERED) {
#pragma unroll
        for (int k = 0; k < K; ++k) {
            float vector = held[k][0];
#pragma unroll
            for (int i = 1; i < V; ++i) vector += held[k][i];
            mean[0] += vector;
        }
        threads.sum(mean, 0);
        mean[0] = quotient(mean[0], count, share);
    }
    float squares[1] = {squares_of(held, mean[0], holds)};
    threads.sum(squares, Norm::CENTERED ? 1 : turn);
    return {count, {mean[0]}, {squares[0]}};
}

// The sum, rounded as it would be stored.
template <typename T, int V>
DEVICE Vector<T, V> sum_of(const Vector<T, V>& a, const Vector<T, V>& b) {
    float sum[V];
#pragma unroll
    for (int i = 0; i < V; ++i) sum[i] = a[i] + b[i];
    return Vector<T, V>::of(sum);
}

// ---- Rows that blocks can hold.

// Who shares a row: `blockDim.x` lanes of a warp, less than all and a power of two. At most 6 of their blocks are on a
// multiprocessor forward, so that a thread may have 80 registers: some kernels would spill with 64...
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
    static constexpr int K = held_vectors(V);
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
// Single elements are read when they are wanted.
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
