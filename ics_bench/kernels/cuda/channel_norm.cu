// BatchNorm, and whatever norm has a set of elements that no cluster can hold: statistics by many blocks a set, a small
// kernel that merges them into coefficients, and a kernel that applies those.
//
// A set has a coefficient of its own: a channel, a channel of one sample, or one position of a channel. `blockIdx.y` is
// the slab of it that a block takes. Partial results are (component, slab, set).
#include "common.cuh"

constexpr int CHANNEL_THREADS = 256;
constexpr int GATHERING_THREADS = 256;

// Sets of planes, as in (B, C, H, W): set s is the planes s, s + sets, s + 2 * sets and so on. W sets a thread: one.
template <int V>
struct Planes {
    static constexpr int W = 1, K = held_vectors(V);
    const int vectors, begin, end;

    DEVICE Planes(int planes, int positions, int slabs)
        : vectors(positions / V), begin(blockIdx.y * ceil_div(planes * (positions / V), slabs)),
          end(smaller(begin + ceil_div(planes * (positions / V), slabs), planes * (positions / V))) {}
    DEVICE static int sets(int) { return gridDim.x; }
    DEVICE static int set(int) { return blockIdx.x; }
    DEVICE static bool live(int) { return true; }

    // Calls body(offsets, valid): the first `valid` of K vectors are there.
    template <typename Body>
    DEVICE void chunks(Body body) const {
        const int threads = blockDim.x, at_step = threads % vectors;
        const long long stride = static_cast<long long>(gridDim.x) * vectors;  // from a plane of the set to its next
        const long long step = threads / vectors * stride + at_step;
        int at = (begin + threadIdx.x) % vectors;
        long long offset = (begin + threadIdx.x) / vectors * stride + static_cast<long long>(blockIdx.x) * vectors + at;
        for (int v = begin + threadIdx.x; v < end; v += K * threads) {
            long long offsets[K];
#pragma unroll
            for (int k = 0; k < K; ++k) {
                offsets[k] = offset * V;
                at += at_step;
                offset += step;
                if (at >= vectors) {
                    at -= vectors;
                    offset += stride - vectors;
                }
            }
            body(offsets, smaller(K, ceil_div(end - v, threads)));
        }
    }

    template <int S>
    DEVICE static bool sum(float (&own)[S]) {
        Team(shared_memory(), threadIdx.x, blockDim.x).sum(own);
        return threadIdx.x == 0;
    }
    DEVICE static bool merged(Moments<1>& own) {
        Team(shared_memory(), threadIdx.x, blockDim.x).merged(own);
        return threadIdx.x == 0;
    }
};

// Columns of rows, as in (B, H, W, C): the set is a column of the sample `blockIdx.z`. W sets a thread: one vector.
template <int V>
struct Columns {
    static constexpr int W = V, K = held_vectors(V);
    const int rows, columns, begin, end;

    DEVICE Columns(int rows, int columns, int slabs)
        : rows(rows), columns(columns), begin(blockIdx.y * ceil_div(rows, slabs)),
          end(smaller(begin + ceil_div(rows, slabs), rows)) {}
    DEVICE static int column() { return (blockIdx.x * blockDim.x + threadIdx.x) * V; }
    DEVICE static int sets(int columns) { return gridDim.z * columns; }
    DEVICE static int set(int columns) { return blockIdx.z * columns + column(); }
    DEVICE static bool live(int columns) { return column() < columns; }

    template <typename Body>
    DEVICE void chunks(Body body) const {
        if (!live(columns)) return;
        const int step = blockDim.y;
        for (int row = begin + threadIdx.y; row < end; row += K * step) {
            long long offsets[K];
#pragma unroll
            for (int k = 0; k < K; ++k)
                offsets[k] = (static_cast<long long>(blockIdx.z) * rows + row + k * step) * columns + column();
            body(offsets, smaller(K, ceil_div(end - row, step)));
        }
    }

    template <int S>
    DEVICE static bool sum(float (&own)[S]) {
        fold_rows(shared_memory(), own, Add());
        return threadIdx.y == 0;
    }
    DEVICE static bool merged(Moments<V>& own) {
        float flat[2 * V + 1] = {own.count};
#pragma unroll
        for (int i = 0; i < V; ++i) flat[1 + i] = own.mean[i], flat[1 + V + i] = own.m2[i];
        fold_rows(shared_memory(), flat, [](float (&mine)[2 * V + 1], const float (&other)[2 * V + 1]) {
            Moments<V> a = unflat(mine);
            merge(a, unflat(other));
            mine[0] = a.count;
#pragma unroll
            for (int i = 0; i < V; ++i) mine[1 + i] = a.mean[i], mine[1 + V + i] = a.m2[i];
        });
        own = unflat(flat);
        return threadIdx.y == 0;
    }
    DEVICE static Moments<V> unflat(const float (&flat)[2 * V + 1]) {
        Moments<V> moments;
        moments.count = flat[0];
#pragma unroll
        for (int i = 0; i < V; ++i) moments.mean[i] = flat[1 + i], moments.m2[i] = flat[1 + V + i];
        return moments;
    }
};

template <typename T, int V, int K>
DEVICE void read(const T* from, const long long (&offsets)[K], int valid, Vector<T, V> (&held)[K]) {
#pragma unroll
    for (int k = 0; k < K; ++k) held[k] = k < valid ? Vector<T, V>::load(from + offsets[k]) : Vector<T, V>::zero();
}

// To (3, slabs, sets): count, mean and sum of squared deviations.
template <typename T, int V, template <int> class Layout>
KERNEL(CHANNEL_THREADS, 2)
channel_moments(const T* __restrict__ x, float* __restrict__ partial, int outer, int inner, int slabs) {
    using L = Layout<V>;
    const L layout(outer, inner, slabs);
    Moments<L::W> own;
    layout.chunks([&](const long long (&offsets)[L::K], int valid) {
        Vector<T, V> held[L::K];
        read(x, offsets, valid, held);
        merge(own, moments_held<L::W>(held, valid));
    });
    const bool leads = L::merged(own);
    if (!leads || !L::live(inner)) return;
    const long long sets = L::sets(inner), at = blockIdx.y * sets + L::set(inner);
#pragma unroll
    for (int w = 0; w < L::W; ++w) {
        partial[at + w] = own.count;
        partial[slabs * sets + at + w] = own.mean[w];
        partial[2 * slabs * sets + at + w] = own.m2[w];
    }
}

// To (2, slabs, sets): sums of dy * xhat and of dy. `members` neighbouring sets have one mean.
template <typename T, int V, template <int> class Layout>
KERNEL(CHANNEL_THREADS, 2)
channel_sums(const T* __restrict__ x, const T* __restrict__ dy, const float* __restrict__ mean,
             const float* __restrict__ rstd, float* __restrict__ partial, int outer, int inner, int slabs,
             int members) {
    using L = Layout<V>;
    const L layout(outer, inner, slabs);
    float center[L::W], scale[L::W], own[2 * L::W] = {};
#pragma unroll
    for (int w = 0; w < L::W; ++w) {
        center[w] = L::live(inner) ? mean[(L::set(inner) + w) / members] : 0.0f;
        scale[w] = L::live(inner) ? rstd[(L::set(inner) + w) / members] : 0.0f;
    }
    layout.chunks([&](const long long (&offsets)[L::K], int valid) {
        Vector<T, V> held_x[L::K], held_dy[L::K];
        read(x, offsets, valid, held_x);
        read(dy, offsets, valid, held_dy);
        float chunk[2 * L::W] = {};
#pragma unroll
        for (int k = 0; k < L::K; ++k)
#pragma unroll
            for (int i = 0; i < V; ++i) {
                const int w = i % L::W;
                chunk[w] += held_dy[k][i] * ((held_x[k][i] - center[w]) * scale[w]);
                chunk[L::W + w] += held_dy[k][i];
            }
        Add()(own, chunk);
    });
    const bool leads = L::sum(own);
    if (!leads || !L::live(inner)) return;
    const long long sets = L::sets(inner), at = blockIdx.y * sets + L::set(inner);
#pragma unroll
    for (int w = 0; w < L::W; ++w) {
        partial[at + w] = own[w];
        partial[slabs * sets + at + w] = own[L::W + w];
    }
}

// y = (x - center) * scale + shift, with (3, sets) coefficients.
template <typename T, int V, template <int> class Layout>
KERNEL(CHANNEL_THREADS, 2)
channel_forward(const T* __restrict__ x, const float* __restrict__ coefficients, T* __restrict__ y, int outer,
                int inner, int slabs) {
    using L = Layout<V>;
    if (!L::live(inner)) return;
    const L layout(outer, inner, slabs);
    const long long sets = L::sets(inner);
    float center[L::W], scale[L::W], shift[L::W];
#pragma unroll
    for (int w = 0; w < L::W; ++w) {
        center[w] = coefficients[L::set(inner) + w];
        scale[w] = coefficients[sets + L::set(inner) + w];
        shift[w] = coefficients[2 * sets + L::set(inner) + w];
    }
    layout.chunks([&](const long long (&offsets)[L::K], int valid) {
        Vector<T, V> held[L::K];
        read(x, offsets, valid, held);
#pragma unroll
        for (int k = 0; k < L::K; ++k) {
            if (k >= valid) continue;
            float out[V];
#pragma unroll
            for (int i = 0; i < V; ++i) {
                const int w = i % L::W;
                out[i] = (held[k][i] - center[w]) * scale[w] + shift[w];
            }
            Vector<T, V>::of(out).store(y + offsets[k]);
        }
    });
}

// dx = dy * scale - shift - (x - center) * slope, with (4, sets) coefficients.
template <typename T, int V, template <int> class Layout>
KERNEL(CHANNEL_THREADS, 2)
channel_backward(const T* __restrict__ x, const T* __restrict__ dy, const float* __restrict__ coefficients,
                 T* __restrict__ dx, int outer, int inner, int slabs) {
    using L = Layout<V>;
    if (!L::live(inner)) return;
    const L layout(outer, inner, slabs);
    const long long sets = L::sets(inner);
    float center[L::W], scale[L::W], shift[L::W], slope[L::W];
#pragma unroll
    for (int w = 0; w < L::W; ++w) {
        center[w] = coefficients[L::set(inner) + w];
        scale[w] = coefficients[sets + L::set(inner) + w];
        shift[w] = coefficients[2 * sets + L::set(inner) + w];
        slope[w] = coefficients[3 * sets + L::set(inner) + w];
    }
    layout.chunks([&](const long long (&offsets)[L::K], int valid) {
        Vector<T, V> held_x[L::K], held_dy[L::K];
        read(x, offsets, valid, held_x);
        read(dy, offsets, valid, held_dy);
#pragma unroll
        for (int k = 0; k < L::K; ++k) {
            if (k >= valid) continue;
            float out[V];
#pragma unroll
            for (int i = 0; i < V; ++i) {
                const int w = i % L::W;
                out[i] = held_dy[k][i] * scale[w] - shift[w] - (held_x[k][i] - center[w]) * slope[w];
            }
            Vector<T, V>::of(out).store(dx + offsets[k]);
        }
    });
}

// ---- From partial results to coefficients: `blockDim.x` threads for each mean, which `members` neighbouring sets have in
// common. They are a warp, of which a block then has `blockDim.y`, or a block.

struct Gathering {
    int thread, threads, group, first, members, sets, items;
    Team team;

    DEVICE Gathering(int members, int sets, int slabs)
        : thread(threadIdx.x), threads(blockDim.x), group(blockIdx.x * blockDim.y + threadIdx.y), first(group * members),
          members(members), sets(sets), items(slabs * members), team(shared_memory(), threadIdx.x, blockDim.x) {}
    DEVICE bool live() const { return first < sets; }
    DEVICE int set(int item) const { return first + item % members; }
    DEVICE long long at(int item) const { return static_cast<long long>(item / members) * sets + set(item); }
};

// One of a set's coefficients, which are (components, sets).
DEVICE float& coefficient(float* coefficients, int component, int sets, int set) {
    return coefficients[static_cast<long long>(component) * sets + set];
}

// The parameters of a set are those of the feature set / spread % features.
KERNEL(GATHERING_THREADS, 1)
channel_statistics(const float* __restrict__ partial, const float* __restrict__ weight, const float* __restrict__ bias,
                   float* running_mean, float* running_var, float* __restrict__ mean, float* __restrict__ rstd,
                   float* __restrict__ coefficients, int members, int spread, int features, int sets, int slabs,
                   float momentum, float eps) {
    const Gathering from(members, sets, slabs);
    if (!from.live()) return;
    const long long component = static_cast<long long>(slabs) * sets;
    Moments<1> taken;
#pragma unroll 4
    for (int item = from.thread; item < from.items; item += from.threads) {
        const long long at = from.at(item);
        merge(taken, {partial[at], {partial[component + at]}, {partial[2 * component + at]}});
    }
    from.team.merged(taken);
    const float center = taken.mean[0], scale = reciprocal_root(taken.m2[0] / taken.count + eps);
    if (from.thread == 0) {
        mean[from.group] = center;
        rstd[from.group] = scale;
        if (running_mean != nullptr) {
            float& keeps_mean = running_mean[from.group];
            float& keeps_var = running_var[from.group];
            keeps_mean += momentum * (center - keeps_mean);
            keeps_var += momentum * (taken.m2[0] / (taken.count - 1.0f) - keeps_var);
        }
    }
    for (int set = from.first + from.thread; set < from.first + members; set += from.threads) {
        const int feature = set / spread % features;
        coefficient(coefficients, 0, sets, set) = center;
        coefficient(coefficients, 1, sets, set) = weight == nullptr ? scale : scale * weight[feature];
        coefficient(coefficients, 2, sets, set) = bias == nullptr ? 0.0f : bias[feature];
    }
}

// Coefficients for evaluation. Without `running_mean` and `bias`, those of the backward pass: dx = dy * scale.
KERNEL(GATHERING_THREADS, 1)
channel_evaluation(const float* __restrict__ weight, const float* __restrict__ bias,
                   const float* __restrict__ running_mean, const float* __restrict__ running_var,
                   float* __restrict__ coefficients, int spread, int sets, float eps) {
    const int set = blockIdx.x * blockDim.x + threadIdx.x, feature = set / spread;
    if (set >= sets) return;
    const float scale = reciprocal_root(running_var[feature] + eps);
    coefficient(coefficients, 0, sets, set) = running_mean == nullptr ? 0.0f : running_mean[feature];
    coefficient(coefficients, 1, sets, set) = weight == nullptr ? scale : scale * weight[feature];
    coefficient(coefficients, 2, sets, set) = bias == nullptr ? 0.0f : bias[feature];
}

// `count` is how many elements one mean is taken over.
KERNEL(GATHERING_THREADS, 1)
channel_gradients(const float* __restrict__ partial, const float* __restrict__ weight, const float* __restrict__ mean,
                  const float* __restrict__ rstd, float* __restrict__ dweight, float* __restrict__ dbias,
                  float* __restrict__ coefficients, int members, int spread, int features, int sets, int slabs,
                  float count) {
    const Gathering from(members, sets, slabs);
    if (!from.live()) return;
    const long long component = static_cast<long long>(slabs) * sets;
    float plain[2] = {}, sums[2] = {};
#pragma unroll 4
    for (int item = from.thread; item < from.items; item += from.threads) {
        const long long at = from.at(item);
        const float w = weight == nullptr ? 1.0f : weight[from.set(item) / spread % features];
        const float products = partial[at], gradients = partial[component + at];
        plain[0] += products, plain[1] += gradients;
        sums[0] += w * products, sums[1] += w * gradients;
    }
    from.team.sum(plain, 0);
    from.team.sum(sums, 1);
    if (dweight != nullptr && from.thread == 0) {
        dweight[from.group] = plain[0];
        dbias[from.group] = plain[1];
    }
    const float scale = rstd[from.group];
    for (int set = from.first + from.thread; set < from.first + members; set += from.threads) {
        coefficient(coefficients, 0, sets, set) = mean[from.group];
        coefficient(coefficients, 1, sets, set) = weight == nullptr ? scale : scale * weight[set / spread % features];
        coefficient(coefficients, 2, sets, set) = scale * (sums[1] / count);
        coefficient(coefficients, 3, sets, set) = scale * scale * (sums[0] / count);
    }
}
