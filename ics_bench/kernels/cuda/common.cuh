// Shared by every kernel: number types, vector loads, statistics, and reductions over lanes, blocks and clusters.
//
// No header is included, so NVRTC needs none. A build for the host defines ICS_HOST and supplies the first section.
#pragma once

#ifndef ICS_HOST

#define DEVICE __device__ __forceinline__
#define KERNEL(threads, blocks) __global__ void __launch_bounds__(threads, blocks)

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define CLUSTER(blocks) __cluster_dims__(blocks, 1, 1)
#else
#define CLUSTER(blocks)
#endif

// Number types narrower than float: two in a word, the first one low.
struct bf16 {
    unsigned short bits;
    DEVICE static float low(unsigned pair) { return __uint_as_float(pair << 16); }
    DEVICE static float high(unsigned pair) { return __uint_as_float(pair & 0xffff0000u); }
    DEVICE static unsigned pair(float low, float high) {
        unsigned both;
        asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
        return both;
    }
};
struct f16 {
    unsigned short bits;
    DEVICE static float low(unsigned pair) { return widened(static_cast<unsigned short>(pair)); }
    DEVICE static float high(unsigned pair) { return widened(static_cast<unsigned short>(pair >> 16)); }
    DEVICE static unsigned pair(float low, float high) {
        unsigned both;
        asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
        return both;
    }
    DEVICE static float widened(unsigned short bits) {
        float wide;
        asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(bits));
        return wide;
    }
};

DEVICE float as_float(unsigned bits) { return __uint_as_float(bits); }
DEVICE unsigned as_bits(float value) { return __float_as_uint(value); }
DEVICE float reciprocal_root(float value) { return rsqrtf(value); }

// Tensors are read past the level-1 cache, which is left to the parameters, and written as not to be read again.
DEVICE uint4 load16(const void* from) {
    uint4 words;
    asm("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
        : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w)
        : "l"(from));
    return words;
}
DEVICE void store16(void* to, uint4 words) { __stcs(static_cast<uint4*>(to), words); }

// 16 bytes into shared memory, past the level-1 cache, while the thread goes on; zeros if nothing is `there`, and then
// `from` may point anywhere. `end_of_fetch` ends what is waited for together. The thread alone may read it, after
// `fetched`, which waits for all but the last LATER of these.
DEVICE void fetch16(void* to, const void* from, bool there) {
    const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(to));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(there ? 16 : 0)
                 : "memory");
}
DEVICE void end_of_fetch() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int LATER>
DEVICE void fetched() {
    asm volatile("cp.async.wait_group %0;" ::"n"(LATER) : "memory");
}
DEVICE float4 load_four(const float* from) { return *reinterpret_cast<const float4*>(from); }

DEVICE float exchange(float value, int offset) { return __shfl_xor_sync(0xffffffffu, value, offset); }
DEVICE float from_lane(float value, int lane) { return __shfl_sync(0xffffffffu, value, lane); }

extern __shared__ float4 dynamic_shared[];
DEVICE float* shared_memory() { return reinterpret_cast<float*>(dynamic_shared); }

// Blocks of a cluster: their rank, a barrier of all their threads, and a float of another block's shared memory.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
DEVICE int cluster_rank() {
    int rank;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}
DEVICE void cluster_barrier() {
    asm volatile("barrier.cluster.arrive.release;\nbarrier.cluster.wait.acquire;" ::: "memory");
}
DEVICE float cluster_read(const float* own, int rank) {
    unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(own)), there;
    float value;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(address), "r"(rank));
    asm volatile("ld.shared::cluster.f32 %0, [%1];" : "=f"(value) : "r"(there) : "memory");
    return value;
}
#else
DEVICE int cluster_rank() { return 0; }
DEVICE void cluster_barrier() { __syncthreads(); }
DEVICE float cluster_read(const float* own, int) { return *own; }
#endif

#endif  // ICS_HOST

constexpr int LANES = 32;
constexpr int MAX_WARPS = 32;

// Vectors that a thread holds at a time, of each tensor that it reads: 64 bytes, or 8 elements where they must be read
// one by one.
DEVICE constexpr int held_vectors(int V) { return V == 1 ? 8 : 4; }

DEVICE int lane_of(int thread) { return thread % LANES; }
DEVICE int smaller(int a, int b) { return a < b ? a : b; }
DEVICE int larger(int a, int b) { return a > b ? a : b; }
DEVICE int ceil_div(int a, int b) { return (a + b - 1) / b; }

// ---- Vectors: V elements in a row, 16 bytes or a single element. Element i is read as a float; all are written at once.

template <typename T, int V>
struct Vector {
    static_assert(V == 1 || sizeof(T) * V == sizeof(uint4));
    static constexpr int WORDS = V == 1 ? 1 : 4;
    unsigned words[WORDS];

    DEVICE float operator[](int i) const {
        if constexpr (sizeof(T) == sizeof(float))
            return as_float(words[i]);
        else
            return i % 2 ? T::high(words[i / 2]) : T::low(words[i / 2]);
    }

    DEVICE static Vector zero() {
        Vector vector;
#pragma unroll
        for (int w = 0; w < WORDS; ++w) vector.words[w] = 0;
        return vector;
    }

    DEVICE static Vector of(const float (&values)[V]) {
        Vector vector;
        if constexpr (sizeof(T) == sizeof(float)) {
#pragma unroll
            for (int i = 0; i < V; ++i) vector.words[i] = as_bits(values[i]);
        } else if constexpr (V == 1) {
            vector.words[0] = T::pair(values[0], 0.0f);
        } else {
#pragma unroll
            for (int w = 0; w < WORDS; ++w) vector.words[w] = T::pair(values[2 * w], values[2 * w + 1]);
        }
        return vector;
    }

    DEVICE static Vector load(const T* from) {
        Vector vector;
        if constexpr (V > 1)
            vector.put(load16(from));
        else if constexpr (sizeof(T) == sizeof(float))
            vector.words[0] = as_bits(*from);
        else
            vector.words[0] = from->bits;
        return vector;
    }

    DEVICE void store(T* to) const {
        if constexpr (V > 1)
            store16(to, {words[0], words[1], words[2], words[3]});
        else if constexpr (sizeof(T) == sizeof(float))
            *to = as_float(words[0]);
        else
            to->bits = static_cast<unsigned short>(words[0]);
    }

    // To and from shared memory.
    DEVICE void keep(T* in) const {
        if constexpr (V > 1)
            *reinterpret_cast<uint4*>(in) = {words[0], words[1], words[2], words[3]};
        else
            store(in);
    }
    DEVICE static Vector kept(const T* in) {
        Vector vector;
        if constexpr (V > 1)
            vector.put(*reinterpret_cast<const uint4*>(in));
        else
            vector = load(in);
        return vector;
    }

  private:
    DEVICE void put(uint4 four) { words[0] = four.x, words[1] = four.y, words[2] = four.z, words[3] = four.w; }
};

// V parameters, or `otherwise` where there are none; 16 bytes a load. If CERTAIN, there are.
template <int V, bool CERTAIN = false>
DEVICE void load_parameters(const float* from, float otherwise, float (&to)[V]) {
    if (!CERTAIN && from == nullptr) {
#pragma unroll
        for (int i = 0; i < V; ++i) to[i] = otherwise;
    } else if constexpr (V == 1) {
        to[0] = *from;
    } else {
#pragma unroll
        for (int i = 0; i < V; i += 4) {
            const float4 four = load_four(from + i);
            to[i] = four.x, to[i + 1] = four.y, to[i + 2] = four.z, to[i + 3] = four.w;
        }
    }
}

// A row's scale: V weights plus `offset`, which is 0, or 1 for zero-centred weights; 1 where there are none. If PLAIN,
// there are, and the offset is 0.
template <int V, bool PLAIN = false>
DEVICE void load_scale(const float* weight, float offset, float (&to)[V]) {
    load_parameters<V, PLAIN>(weight, 1.0f - offset, to);
    if constexpr (!PLAIN) {
#pragma unroll
        for (int i = 0; i < V; ++i) to[i] += offset;
    }
}

// ---- Statistics of W columns side by side, which have as many elements each. m2 sums squared deviations.

template <int W>
struct Moments {
    float count = 0.0f, mean[W] = {}, m2[W] = {};
};

// Chan, Golub and LeVeque 1983, equation 2.1, for unequal counts.
template <int W>
DEVICE void merge(Moments<W>& a, const Moments<W>& b) {
    const float count = a.count + b.count;
    if (count == 0.0f) return;
    const float share = b.count / count, weight = a.count * share;
#pragma unroll
    for (int w = 0; w < W; ++w) {
        const float delta = b.mean[w] - a.mean[w];
        a.mean[w] += delta * share;
        a.m2[w] += b.m2[w] + delta * delta * weight;
    }
    a.count = count;
}

// Merges `lanes` neighbours, a power of two. All get lane 0's result: both sides of an exchange may differ in a bit.
DEVICE void merge_lanes(Moments<1>& own, int lanes) {
    for (int offset = lanes / 2; offset > 0; offset /= 2)
        merge(own, {exchange(own.count, offset), {exchange(own.mean[0], offset)}, {exchange(own.m2[0], offset)}});
    own = {from_lane(own.count, 0), {from_lane(own.mean[0], 0)}, {from_lane(own.m2[0], 0)}};
}

// Of one thread's `valid` first vectors, in two passes over registers. Those beyond are zero: they add nothing to the
// sum, but would add to the deviations. With W = 1 all elements are one column, with W = V each has its own.
template <int W, typename T, int V, int K>
DEVICE Moments<W> moments_held(const Vector<T, V> (&held)[K], int valid) {
    Moments<W> found;
    found.count = valid * (V / W);
    const float share = 1.0f / fmaxf(found.count, 1.0f);
#pragma unroll
    for (int k = 0; k < K; ++k)
#pragma unroll
        for (int i = 0; i < V; ++i) found.mean[i % W] += held[k][i];
#pragma unroll
    for (int w = 0; w < W; ++w) found.mean[w] *= share;
#pragma unroll
    for (int k = 0; k < K; ++k) {
        if (k >= valid) continue;
#pragma unroll
        for (int i = 0; i < V; ++i) {
            const float deviation = held[k][i] - found.mean[i % W];
            found.m2[i % W] += deviation * deviation;
        }
    }
    return found;
}

// ---- Reductions. Every thread of a block calls them together, and every thread gets the result.

template <int S>
DEVICE void add_exchanged(float (&values)[S], int offset) {
#pragma unroll
    for (int s = 0; s < S; ++s) values[s] += exchange(values[s], offset);
}

// `width` neighbours of a warp, a power of two.
struct Lanes {
    int width;

    template <int S>
    DEVICE void sum(float (&values)[S]) const {
        for (int offset = width / 2; offset > 0; offset /= 2) add_exchanged(values, offset);
    }
};

// Room that `Team` needs in shared memory: two turns, so that one barrier a reduction suffices.
constexpr int TEAM_FLOATS = 2 * 3 * MAX_WARPS;

// A whole block, or one warp of it, which needs no room: `warps` is 1 then. Of two reductions one after another, one takes
// `turn` 0 and the other 1.
struct Team {
    float* room;
    int thread, warps;

    DEVICE Team(float* room, int thread, int threads) : room(room), thread(thread), warps(threads / LANES) {}

    template <int S>
    DEVICE void sum(float (&values)[S], unsigned turn = 0) const {
#pragma unroll
        for (int offset = LANES / 2; offset > 0; offset /= 2) add_exchanged(values, offset);
        if (warps == 1) return;
        float* slots = room + turn * 3 * MAX_WARPS;
        const int lane = lane_of(thread);
#pragma unroll
        for (int s = 0; s < S; ++s)
            if (lane == 0) slots[s * MAX_WARPS + thread / LANES] = values[s];
        __syncthreads();
#pragma unroll
        for (int s = 0; s < S; ++s) values[s] = lane < warps ? slots[s * MAX_WARPS + lane] : 0.0f;
#pragma unroll
        for (int offset = MAX_WARPS / 2; offset > 0; offset /= 2) add_exchanged(values, offset);
#pragma unroll
        for (int s = 0; s < S; ++s) values[s] = from_lane(values[s], 0);
    }

    DEVICE void merged(Moments<1>& own, unsigned turn = 0) const {
        merge_lanes(own, LANES);
        if (warps == 1) return;
        float* slots = room + turn * 3 * MAX_WARPS;
        const int lane = lane_of(thread);
        if (lane == 0) {
            slots[thread / LANES] = own.count;
            slots[MAX_WARPS + thread / LANES] = own.mean[0];
            slots[2 * MAX_WARPS + thread / LANES] = own.m2[0];
        }
        __syncthreads();
        own = {};
        if (lane < warps) own = {slots[lane], {slots[MAX_WARPS + lane]}, {slots[2 * MAX_WARPS + lane]}};
        merge_lanes(own, MAX_WARPS);
    }
};

// Room that `Cluster` needs in shared memory, and two floats that keep what follows aligned.
constexpr int CLUSTER_FLOATS = 2 * 3 + 2;

// The C blocks of a cluster; C = 1 is a block alone. Turns as in `Team`. Call `leave` last: a block's memory may still be
// read.
template <int C>
struct Cluster {
    float* room;

    DEVICE explicit Cluster(float* room) : room(room) {}

    template <int S>
    DEVICE void sum(float (&values)[S], int thread, unsigned turn) const {
        if constexpr (C > 1) {
            const float* slots = publish(values, thread, turn);
#pragma unroll
            for (int s = 0; s < S; ++s) {
                values[s] = cluster_read(slots + s, thread % C);
                for (int offset = C / 2; offset > 0; offset /= 2) values[s] += exchange(values[s], offset);
            }
        }
    }

    DEVICE void merged(Moments<1>& own, int thread, unsigned turn = 0) const {
        if constexpr (C > 1) {
            const float values[3] = {own.count, own.mean[0], own.m2[0]};
            const float* slots = publish(values, thread, turn);
            const int rank = thread % C;
            own = {cluster_read(slots, rank), {cluster_read(slots + 1, rank)}, {cluster_read(slots + 2, rank)}};
            merge_lanes(own, C);
        }
    }

    DEVICE void leave() const {
        if constexpr (C > 1) cluster_barrier();
    }

  private:
    template <int S>
    DEVICE const float* publish(const float (&values)[S], int thread, unsigned turn) const {
        float* slots = room + turn * 3;
        if (thread == 0)
            for (int s = 0; s < S; ++s) slots[s] = values[s];
        cluster_barrier();
        return slots;
    }
};

// Adds up, over `blockDim.y` (a power of two) and pairwise, what `combine(own, partner's floats)` combines. N floats a
// thread. Row 0 gets the result. `room` holds N floats for half of the block's threads.
template <int N, typename Combine>
DEVICE void fold_rows(float* room, float (&own)[N], Combine combine) {
    const int slots = blockDim.x * blockDim.y / 2, slot = threadIdx.y * blockDim.x + threadIdx.x;
    for (unsigned half = blockDim.y / 2; half > 0; half /= 2) {
        const int partner = slot - half * blockDim.x;
        __syncthreads();
#pragma unroll
        for (int n = 0; n < N; ++n)
            if (threadIdx.y >= half && threadIdx.y < 2 * half) room[n * slots + partner] = own[n];
        __syncthreads();
        if (threadIdx.y >= half) continue;
        float other[N];
#pragma unroll
        for (int n = 0; n < N; ++n) other[n] = room[n * slots + slot];
        combine(own, other);
    }
}

struct Add {
    template <int N>
    DEVICE void operator()(float (&own)[N], const float (&other)[N]) const {
#pragma unroll
        for (int n = 0; n < N; ++n) own[n] += other[n];
    }
};
