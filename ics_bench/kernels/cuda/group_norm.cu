// GroupNorm and InstanceNorm of (B, C, H, W), whose groups lie in one piece: a cluster of C blocks for each, which keeps
// the group in its shared memory from the statistics to the result. Larger groups go the way of channel_norm.cu.
#include "common.cuh"

constexpr int GROUP_THREADS = 512;

// Walks over the vectors of a group's planes, `step` vectors at a time.
struct PlaneCursor {
    int plane, at, vectors, plane_step, at_step;

    DEVICE PlaneCursor(int first, int step, int vectors)
        : plane(first / vectors), at(first % vectors), vectors(vectors), plane_step(step / vectors),
          at_step(step % vectors) {}

    DEVICE void advance() {
        plane += plane_step;
        at += at_step;
        if (at >= vectors) {
            at -= vectors;
            ++plane;
        }
    }
};

// y = (x - mean) * rstd * weight + bias over groups of `members` planes; shared memory holds one block's share of x.
template <typename T, int V, int C>
KERNEL(GROUP_THREADS, 2) CLUSTER(C)
group_forward(const T* __restrict__ x, const float* __restrict__ weight, const float* __restrict__ bias,
              T* __restrict__ y, float* __restrict__ mean, float* __restrict__ rstd, int groups, int members,
              int positions, float eps) {
    constexpr int K = held_vectors(V);
    float* room = shared_memory();
    const Team team(room, threadIdx.x, blockDim.x);
    const Cluster<C> cluster(room + TEAM_FLOATS);
    T* cache = reinterpret_cast<T*>(room + TEAM_FLOATS + CLUSTER_FLOATS);
    const long long set = blockIdx.x / C, base = set * members * positions;
    const int plane = positions / V, vectors = members * plane, each = ceil_div(vectors, C), threads = blockDim.x;
    const int begin = smaller(cluster_rank() % C * each, vectors), end = smaller(begin + each, vectors);
    Moments<1> taken;
    for (int v = begin + threadIdx.x; v < end; v += K * threads) {
        Vector<T, V> held[K];
#pragma unroll
        for (int k = 0; k < K; ++k) {
            const int at = v + k * threads;
            held[k] = at < end ? Vector<T, V>::load(x + base + static_cast<long long>(at) * V) : Vector<T, V>::zero();
            if (at < end) held[k].keep(cache + (at - begin) * V);
        }
        merge(taken, moments_held<1>(held, smaller(K, ceil_div(end - v, threads))));
    }
    team.merged(taken);
    cluster.merged(taken, threadIdx.x);
    const float center = taken.mean[0], scale = reciprocal_root(taken.m2[0] / taken.count + eps);
    if (threadIdx.x == 0 && cluster_rank() % C == 0) {
        mean[set] = center;
        rstd[set] = scale;
    }
    const int first_feature = static_cast<int>(set % groups) * members;
    PlaneCursor cursor(begin + threadIdx.x, threads, plane);
    for (int v = begin + threadIdx.x; v < end; v += threads) {
        const int feature = first_feature + cursor.plane;
        const float w = weight == nullptr ? scale : scale * weight[feature], b = bias == nullptr ? 0.0f : bias[feature];
        const Vector<T, V> held = Vector<T, V>::kept(cache + (v - begin) * V);
        float out[V];
#pragma unroll
        for (int i = 0; i < V; ++i) out[i] = (held[i] - center) * w + b;
        Vector<T, V>::of(out).store(y + base + static_cast<long long>(v) * V);
        cursor.advance();
    }
    cluster.leave();
}

// dx, and each plane's sums of dy * xhat and dy: (2, B, features). A block has one stretch of every plane of its group,
// and `warps` of its warps work on one plane at a time; shared memory holds its shares of x and dy, then
// 2 * members * (warps + 1) floats.
template <typename T, int V, int C>
KERNEL(GROUP_THREADS, 2) CLUSTER(C)
group_backward(const T* __restrict__ x, const T* __restrict__ dy, const float* __restrict__ weight,
               const float* __restrict__ mean, const float* __restrict__ rstd, T* __restrict__ dx,
               float* __restrict__ partial, int groups, int members, int positions, int warps) {
    float* room = shared_memory();
    const Team team(room, threadIdx.x, blockDim.x);
    const int plane = positions / V, each = ceil_div(plane, C), rank = cluster_rank() % C;
    const int begin = smaller(rank * each, plane), length = smaller(begin + each, plane) - begin;
    const int threads = warps * LANES, own_team = threadIdx.x / threads, teams = blockDim.x / threads;
    const int own = threadIdx.x % threads;
    T* cache_x = reinterpret_cast<T*>(room + TEAM_FLOATS);
    T* cache_dy = cache_x + members * each * V;
    float* by_warp = reinterpret_cast<float*>(cache_dy + members * each * V);
    float* by_plane = by_warp + 2 * members * warps;
    const long long set = blockIdx.x / C, base = set * members * positions + static_cast<long long>(begin) * V;
    const int first_feature = static_cast<int>(set % groups) * members;
    const float center = mean[set], scale = rstd[set];
    for (int member = own_team; member < members; member += teams) {
        const long long start = base + static_cast<long long>(member) * positions;
        float sums[2] = {};
#pragma unroll 2
        for (int v = own; v < length; v += threads) {
            const Vector<T, V> one_x = Vector<T, V>::load(x + start + static_cast<long long>(v) * V);
            const Vector<T, V> one_dy = Vector<T, V>::load(dy + start + static_cast<long long>(v) * V);
            one_x.keep(cache_x + (member * each + v) * V);
            one_dy.keep(cache_dy + (member * each + v) * V);
            float vector[2] = {};
#pragma unroll
            for (int i = 0; i < V; ++i) {
                vector[0] += one_dy[i] * ((one_x[i] - center) * scale);
                vector[1] += one_dy[i];
            }
            Add()(sums, vector);
        }
        Lanes{LANES}.sum(sums);
        if (lane_of(own) == 0) {
            by_warp[(member * warps + own / LANES) * 2] = sums[0];
            by_warp[(member * warps + own / LANES) * 2 + 1] = sums[1];
        }
    }
    __syncthreads();
    for (int item = threadIdx.x; item < 2 * members; item += blockDim.x) {
        float sum = 0.0f;
        for (int warp = 0; warp < warps; ++warp) sum += by_warp[(item / 2 * warps + warp) * 2 + item % 2];
        by_plane[item] = sum;
    }
    if constexpr (C > 1)
        cluster_barrier();
    else
        __syncthreads();
    float means[2] = {};
    const long long features = static_cast<long long>(groups) * members, samples = gridDim.x / C / groups;
    for (int member = threadIdx.x; member < members; member += blockDim.x) {
        float sums[2] = {};
#pragma unroll
        for (int q = 0; q < C; ++q) {
            sums[0] += C == 1 ? by_plane[2 * member] : cluster_read(by_plane + 2 * member, q);
            sums[1] += C == 1 ? by_plane[2 * member + 1] : cluster_read(by_plane + 2 * member + 1, q);
        }
        const float w = weight == nullptr ? 1.0f : weight[first_feature + member];
        means[0] += w * sums[0];
        means[1] += w * sums[1];
        if (rank == 0) {
            const long long at = set / groups * features + first_feature + member;
            partial[at] = sums[0];
            partial[samples * features + at] = sums[1];
        }
    }
    team.sum(means);
    const float count = static_cast<float>(members) * positions;
    const float shift = scale * (means[1] / count), slope = scale * scale * (means[0] / count);
    for (int member = own_team; member < members; member += teams) {
        const long long start = base + static_cast<long long>(member) * positions;
        const float w = weight == nullptr ? scale : scale * weight[first_feature + member];
        for (int v = own; v < length; v += threads) {
            const Vector<T, V> one_x = Vector<T, V>::kept(cache_x + (member * each + v) * V);
            const Vector<T, V> one_dy = Vector<T, V>::kept(cache_dy + (member * each + v) * V);
            float out[V];
#pragma unroll
            for (int i = 0; i < V; ++i) out[i] = one_dy[i] * w - shift - (one_x[i] - center) * slope;
            Vector<T, V>::of(out).store(dx + start + static_cast<long long>(v) * V);
        }
    }
    if constexpr (C > 1) cluster_barrier();
}
