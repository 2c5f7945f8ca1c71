// What CUDA gives a kernel, for a host: a thread is a fibre, and fibres switch where threads wait for each other.
//
// Blocks run one after the other, those of a cluster together. Shared memory is poisoned before a block, and what lies
// behind it is checked after. Threads that wait for what never comes are an error, and so are clusters cut in two.
#pragma once

#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <memory>
#include <utility>
#include <vector>

#define ICS_HOST
#define DEVICE inline
#define KERNEL(threads, blocks) void
#define CLUSTER(blocks)

struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(16) float4 { float x, y, z, w; };

namespace host {

struct Extent { unsigned x, y, z; };

struct Barrier {
    int expected = 0, arrived = 0;
    unsigned generation = 0;

    void release() {
        if (arrived == 0 || arrived < expected) return;
        arrived = 0;
        ++generation;
    }
};

constexpr int LANES_PER_WARP = 32;
constexpr unsigned char POISON = 0xff;  // a float32 of such bytes is not a number
constexpr size_t GUARD = 64;
constexpr size_t STACK = 64 * 1024;

struct Block {
    Extent index;
    int rank;
    Barrier barrier;
    std::vector<Barrier> warps;
    std::vector<float> lanes;  // two turns a warp
    std::vector<float4> memory;
    char* shared;
};

// 16 bytes on their way into shared memory; from nowhere come zeros.
struct Fetch {
    void* to;
    const void* from;
};

struct Fibre {
    ucontext_t context;
    jmp_buf saved;
    Block* block;
    Extent thread;
    int number;
    bool started = false, done;
    Barrier* waits_for;
    unsigned seen;
    int turn;
    std::vector<std::vector<Fetch>> fetching;  // what is waited for together; the last is not ended yet
};

struct Machine {
    Extent grid, threads;
    size_t shared_bytes;
    std::vector<Block> cluster;
    Barrier cluster_barrier;
    std::vector<std::unique_ptr<Fibre>> fibres;
    size_t count;
    void (*kernel)(void**);
    void** arguments;
    jmp_buf scheduler;
    const char* error;
};

inline Machine machine;
inline Fibre* current;

inline void yield() {
    if (_setjmp(current->saved) == 0) _longjmp(machine.scheduler, 1);
}

inline void wait(Barrier& barrier) {
    const unsigned seen = barrier.generation;
    ++barrier.arrived;
    barrier.release();
    if (barrier.generation != seen) return;
    current->waits_for = &barrier;
    current->seen = seen;
    yield();
}

inline void leave(Barrier& barrier) {
    --barrier.expected;
    barrier.release();
}

// A fibre outlives its thread and becomes another, of a later block: starting one costs system calls.
inline void run_fibre() {
    for (;;) {
        machine.kernel(machine.arguments);
        current->done = true;
        for (const auto& group : current->fetching)
            if (!group.empty()) machine.error = "a thread ends before all that it has fetched has come";
        current->fetching.clear();
        leave(current->block->barrier);
        Barrier& warp = current->block->warps[current->number / LANES_PER_WARP];
        if (warp.arrived > 0) machine.error = "a thread ends while others of its warp exchange values";
        leave(warp);
        leave(machine.cluster_barrier);
        yield();
    }
}

inline void resume(Fibre& fibre) {
    current = &fibre;
    if (_setjmp(machine.scheduler) != 0) return;
    if (fibre.started) _longjmp(fibre.saved, 1);
    fibre.started = true;
    setcontext(&fibre.context);
}

inline bool ready(const Fibre& fibre) {
    return !fibre.done && (fibre.waits_for == nullptr || fibre.waits_for->generation != fibre.seen);
}

// Some threads once, first to last or last to first; tells whether any of them was not waiting.
inline bool sweep(int first, int count, bool backwards, int& left) {
    bool moved = false;
    for (int i = 0; i < count && machine.error == nullptr; ++i) {
        Fibre& fibre = *machine.fibres[first + (backwards ? count - 1 - i : i)];
        if (!ready(fibre)) continue;
        fibre.waits_for = nullptr;
        resume(fibre);
        left -= fibre.done;
        moved = true;
    }
    return moved;
}

// The warps of the blocks at hand in turn, over and over, until all are done. Each goes on as far as it can without the
// others, so that one may write what another has yet to read, and a block end before another has read its memory.
inline void run_cluster(bool backwards) {
    const int blocks = static_cast<int>(machine.cluster.size()), threads = static_cast<int>(machine.count) / blocks;
    const int warps = (threads + LANES_PER_WARP - 1) / LANES_PER_WARP;
    int left = static_cast<int>(machine.count);
    while (left > 0) {
        bool moved = false;
        for (int n = 0; n < blocks * warps; ++n) {
            const int warp = backwards ? blocks * warps - 1 - n : n, first = warp % warps * LANES_PER_WARP;
            const int lanes = threads - first < LANES_PER_WARP ? threads - first : LANES_PER_WARP;
            while (sweep(warp / warps * threads + first, lanes, backwards, left)) moved = true;
        }
        if (machine.error != nullptr) return;
        if (!moved) {
            machine.error = "threads wait for others that never come";
            return;
        }
    }
}

inline void start_block(Block& block, Extent index, int rank) {
    const int threads = machine.threads.x * machine.threads.y * machine.threads.z;
    const int warps = (threads + LANES_PER_WARP - 1) / LANES_PER_WARP;
    block.index = index;
    block.rank = rank;
    block.barrier = {threads};
    block.warps.assign(warps, {});
    block.lanes.assign(static_cast<size_t>(warps) * 2 * LANES_PER_WARP, 0.0f);
    for (int t = 0; t < threads; ++t) ++block.warps[t / LANES_PER_WARP].expected;
    const size_t size = machine.shared_bytes + GUARD;
    block.memory.resize(size / sizeof(float4) + 1);
    block.shared = reinterpret_cast<char*>(block.memory.data());
    memset(block.shared, POISON, size);
}

inline void start_fibres() {
    const size_t threads = machine.threads.x * machine.threads.y * machine.threads.z;
    machine.count = threads * machine.cluster.size();
    while (machine.fibres.size() < machine.count) {
        machine.fibres.push_back(std::make_unique<Fibre>());
        Fibre& fibre = *machine.fibres.back();
        getcontext(&fibre.context);
        fibre.context.uc_stack.ss_sp =
            mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        fibre.context.uc_stack.ss_size = STACK;
        fibre.context.uc_link = nullptr;
        makecontext(&fibre.context, run_fibre, 0);
    }
    machine.cluster_barrier = {static_cast<int>(machine.count)};
    for (size_t n = 0; n < machine.count; ++n) {
        Fibre& fibre = *machine.fibres[n];
        const unsigned number = n % threads, x = machine.threads.x, y = machine.threads.y;
        fibre.block = &machine.cluster[n / threads];
        fibre.thread = {number % x, number / x % y, number / (x * y)};
        fibre.number = number;
        fibre.done = false;
        fibre.waits_for = nullptr;
        fibre.turn = 0;
    }
}

inline void check_guards() {
    for (const Block& block : machine.cluster)
        for (size_t i = 0; i < GUARD; ++i)
            if (static_cast<unsigned char>(block.shared[machine.shared_bytes + i]) != POISON)
                machine.error = "a block wrote beyond its shared memory";
}

inline const char* launch(void (*kernel)(void**), Extent grid, Extent threads, unsigned cluster, size_t shared_bytes,
                          void** arguments, bool backwards) {
    machine.grid = grid, machine.threads = threads, machine.shared_bytes = shared_bytes;
    machine.kernel = kernel, machine.arguments = arguments, machine.error = nullptr;
    if (grid.x % cluster != 0) return "the grid is no multiple of the cluster";
    machine.cluster.resize(cluster);
    const unsigned long clusters = static_cast<unsigned long>(grid.x / cluster) * grid.y * grid.z;
    for (unsigned long i = 0; i < clusters && machine.error == nullptr; ++i) {
        const unsigned long n = backwards ? clusters - 1 - i : i, across = grid.x / cluster;
        for (unsigned rank = 0; rank < cluster; ++rank) {
            const unsigned x = n % across * cluster + rank, y = n / across % grid.y, z = n / across / grid.y;
            start_block(machine.cluster[rank], {x, y, z}, rank);
        }
        start_fibres();
        run_cluster(backwards);
        check_guards();
    }
    if (machine.error != nullptr) machine.fibres.clear();  // stopped half-way
    return machine.error;
}

// A kernel's arguments come as cuLaunchKernel takes them: an array of pointers to each.
template <auto kernel>
struct Adapter;
template <typename... A, void (*kernel)(A...)>
struct Adapter<kernel> {
    static void call(void** arguments) { expand(arguments, std::index_sequence_for<A...>()); }
    template <size_t... I>
    static void expand(void** arguments, std::index_sequence<I...>) {
        kernel(*static_cast<A*>(arguments[I])...);
    }
};

struct Entry {
    const char* name;
    void (*call)(void**);
};

}  // namespace host

#define threadIdx (host::current->thread)
#define blockIdx (host::current->block->index)
#define blockDim (host::machine.threads)
#define gridDim (host::machine.grid)

inline void __syncthreads() { host::wait(host::current->block->barrier); }

inline float* shared_memory() { return reinterpret_cast<float*>(host::current->block->shared); }

inline float from_lane(float value, int lane) {
    host::Fibre& self = *host::current;
    const int warp = self.number / host::LANES_PER_WARP;
    if (self.block->warps[warp].expected != host::LANES_PER_WARP)
        host::machine.error = "values are exchanged in a warp that is not full";
    self.turn ^= 1;
    float* slots = self.block->lanes.data() + (2 * warp + self.turn) * host::LANES_PER_WARP;
    slots[self.number % host::LANES_PER_WARP] = value;
    host::wait(self.block->warps[warp]);
    return slots[lane];
}
inline float exchange(float value, int offset) {
    return from_lane(value, (host::current->number % host::LANES_PER_WARP) ^ offset);
}

inline int cluster_rank() { return host::current->block->rank; }
inline void cluster_barrier() { host::wait(host::machine.cluster_barrier); }
inline float cluster_read(const float* own, int rank) {
    if (host::machine.cluster[rank].barrier.expected == 0)
        host::machine.error = "shared memory is read of a block that has ended";
    const auto offset = reinterpret_cast<const char*>(own) - host::current->block->shared;
    return *reinterpret_cast<const float*>(host::machine.cluster[rank].shared + offset);
}

inline uint4 load16(const void* from) {
    if (reinterpret_cast<uintptr_t>(from) % 16 != 0) host::machine.error = "a 16-byte load is not aligned";
    uint4 words;
    memcpy(&words, from, sizeof(words));
    return words;
}
inline float4 load_four(const float* from) {
    const uint4 words = load16(from);
    float4 four;
    memcpy(&four, &words, sizeof(four));
    return four;
}
inline void store16(void* to, uint4 words) {
    if (reinterpret_cast<uintptr_t>(to) % 16 != 0) host::machine.error = "a 16-byte store is not aligned";
    memcpy(to, &words, sizeof(words));
}

// What is on its way has not come before it is waited for, and what was there before is gone.
inline void fetch16(void* to, const void* from, bool there) {
    if (reinterpret_cast<uintptr_t>(to) % 16 != 0 || (there && reinterpret_cast<uintptr_t>(from) % 16 != 0))
        host::machine.error = "a 16-byte fetch is not aligned";
    memset(to, host::POISON, 16);
    if (host::current->fetching.empty()) host::current->fetching.emplace_back();
    host::current->fetching.back().push_back({to, there ? from : nullptr});
}
inline void end_of_fetch() { host::current->fetching.emplace_back(); }
template <int LATER>
void fetched() {
    auto& groups = host::current->fetching;
    while (groups.size() > 1 + LATER) {
        for (const host::Fetch& one : groups.front()) {
            if (one.from == nullptr)
                memset(one.to, 0, 16);
            else
                memcpy(one.to, one.from, 16);
        }
        groups.erase(groups.begin());
    }
}

// ---- Number types, rounded to nearest, ties to even, in integer arithmetic.

template <typename T>
struct Narrow {
    uint16_t bits;
    static float low(unsigned pair);
    static float high(unsigned pair);
    static unsigned pair(float low, float high);
};
struct bf16 : Narrow<bf16> {};
struct f16 : Narrow<f16> {};

inline uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}
inline float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

inline float as_float(unsigned bits) { return float_of(bits); }
inline unsigned as_bits(float value) { return bits_of(value); }
inline float reciprocal_root(float value) { return 1.0f / sqrtf(value); }

inline float widened(bf16 value) { return float_of(static_cast<uint32_t>(value.bits) << 16); }
inline float widened(f16 value) {
    const int exponent = value.bits >> 10 & 31, fraction = value.bits & 1023;
    float magnitude = ldexp(static_cast<float>(exponent ? 1024 + fraction : fraction), (exponent ? exponent : 1) - 25);
    if (exponent == 31) magnitude = fraction ? NAN : INFINITY;
    return value.bits >> 15 ? -magnitude : magnitude;
}

inline void narrow(float value, bf16& to) {
    const uint32_t bits = bits_of(value);
    to.bits = isnan(value) ? 0x7fff : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
inline void narrow(float value, f16& to) {
    const uint32_t bits = bits_of(value), sign = bits >> 16 & 0x8000;
    const float magnitude = fabs(value);
    uint32_t rounded;
    if (isnan(value))
        rounded = 0x7fff;
    else if (magnitude >= 65520.0f)
        rounded = 0x7c00;
    else if (magnitude < ldexp(1.0f, -14))
        rounded = static_cast<uint32_t>(nearbyint(ldexp(magnitude, 24)));
    else
        rounded = ((bits & 0x7fffffff) - (112u << 23) + 0xfff + (bits >> 13 & 1)) >> 13;
    to.bits = static_cast<uint16_t>(sign | rounded);
}

template <typename T>
T narrowed(unsigned bits) {
    T value;
    value.bits = static_cast<uint16_t>(bits);
    return value;
}
template <typename T>
float Narrow<T>::low(unsigned pair) { return widened(narrowed<T>(pair)); }
template <typename T>
float Narrow<T>::high(unsigned pair) { return widened(narrowed<T>(pair >> 16)); }
template <typename T>
unsigned Narrow<T>::pair(float low, float high) {
    T first, second;
    narrow(low, first);
    narrow(high, second);
    return first.bits | static_cast<unsigned>(second.bits) << 16;
}
