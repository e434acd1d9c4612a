// One block at a time, its threads as fibers on this operating-system thread.
#include "fibers.h"

#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define SWITCHING(save, stack, size) __sanitizer_start_switch_fiber(save, stack, size)
#define SWITCHED(saved) __sanitizer_finish_switch_fiber(saved, nullptr, nullptr)
#else
#define SWITCHING(save, stack, size) (void)0
#define SWITCHED(saved) (void)0
#endif

extern "C" char __start_gbrl_shared[], __stop_gbrl_shared[];

namespace standin {

Index thread, block, block_size, grid_size;

namespace {

constexpr u32 WARP_SIZE = 32;
constexpr size_t STACK = 256 * 1024;

enum class At { Start, Running, Barrier, Exchange, Done };

struct Fiber {
    ucontext_t context;
    std::unique_ptr<char[]> stack{new char[STACK]};
    Index index;
    At at;
    i64 brought;
    u32 wanted;
    void *fake_stack;
};

std::vector<std::unique_ptr<Fiber>> fibers;
u32 n_threads;
Fiber *current;
ucontext_t scheduler;
void *scheduler_fake_stack;
const void *scheduler_stack;
size_t scheduler_stack_size;
std::function<void()> const *body;

void leave(At at) {
    current->at = at;
    SWITCHING(at == At::Done ? nullptr : &current->fake_stack, scheduler_stack, scheduler_stack_size);
    swapcontext(&current->context, &scheduler);
    SWITCHED(current->fake_stack);
}

void enter() {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack, &scheduler_stack_size);
#endif
    (*body)();
    leave(At::Done);
}

void resume(Fiber &fiber) {
    current = &fiber;
    thread = fiber.index;
    fiber.at = At::Running;
    SWITCHING(&scheduler_fake_stack, fiber.stack.get(), STACK);
    swapcontext(&scheduler, &fiber.context);
    SWITCHED(scheduler_fake_stack);
}

[[noreturn]] void misuse(const char *what) {
    std::fprintf(stderr, "stand-in device: %s in block (%u, %u)\n", what, block.x, block.y);
    std::abort();
}

// Lets go of what waits, if everything that it waits for has come.
void release() {
    u32 at_barrier = 0, done = 0;
    for (u32 i = 0; i < n_threads; i++) {
        at_barrier += fibers[i]->at == At::Barrier;
        done += fibers[i]->at == At::Done;
    }
    if (at_barrier == n_threads) {
        for (u32 i = 0; i < n_threads; i++) fibers[i]->at = At::Running;
        return;
    }
    bool released = false;
    for (u32 first = 0; first < n_threads; first += WARP_SIZE) {
        u32 size = n_threads - first < WARP_SIZE ? n_threads - first : WARP_SIZE;
        u32 waiting = 0;
        for (u32 i = first; i < first + size; i++) waiting += fibers[i]->at == At::Exchange;
        if (waiting < size) continue;
        i64 brought[WARP_SIZE];
        for (u32 i = 0; i < size; i++) brought[i] = fibers[first + i]->brought;
        for (u32 i = first; i < first + size; i++) {
            fibers[i]->brought = brought[fibers[i]->wanted];
            fibers[i]->at = At::Running;
        }
        released = true;
    }
    if (!released) misuse(at_barrier + done == n_threads ? "a barrier that some threads never reach" : "a deadlock");
}

}  // namespace

void barrier() { leave(At::Barrier); }

u32 lane() { return current->index.x % WARP_SIZE; }

i64 exchange(i64 own, u32 lane) {
    current->brought = own;
    current->wanted = lane;
    leave(At::Exchange);
    return current->brought;
}

void run_grid(Index grid, Index size, std::function<void()> const &kernel) {
    static std::mt19937 shuffler([] {
        const char *seed = std::getenv("GBRL_STANDIN_SEED");
        return seed ? (u32)std::strtoul(seed, nullptr, 10) : 1u;
    }());
    grid_size = grid;
    block_size = size;
    n_threads = size.x * size.y * size.z;
    body = &kernel;
    while (fibers.size() < n_threads) fibers.push_back(std::make_unique<Fiber>());
    std::vector<u32> order(n_threads);
    for (u32 i = 0; i < n_threads; i++) order[i] = i;
    for (u64 b = 0; b < (u64)grid.x * grid.y * grid.z; b++) {
        block = {(u32)(b % grid.x), (u32)(b / grid.x % grid.y), (u32)(b / grid.x / grid.y)};
        std::memset(__start_gbrl_shared, 0xA5, __stop_gbrl_shared - __start_gbrl_shared);
        for (u32 i = 0; i < n_threads; i++) {
            Fiber &fiber = *fibers[i];
            fiber.index = {i % size.x, i / size.x % size.y, i / size.x / size.y};
            fiber.at = At::Start;
            getcontext(&fiber.context);
            fiber.context.uc_stack.ss_sp = fiber.stack.get();
            fiber.context.uc_stack.ss_size = STACK;
            fiber.context.uc_link = nullptr;
            makecontext(&fiber.context, enter, 0);
        }
        for (;;) {
            std::shuffle(order.begin(), order.end(), shuffler);
            bool any = false, all_done = true;
            for (u32 i : order) {
                Fiber &fiber = *fibers[i];
                if (fiber.at == At::Start || fiber.at == At::Running) {
                    resume(fiber);
                    any = true;
                }
                all_done = all_done && fiber.at == At::Done;
            }
            if (all_done) break;
            if (!any) release();
        }
    }
}

}  // namespace standin
