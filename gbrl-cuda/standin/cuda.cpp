// A libcuda.so.1 without a device: the driver calls that gbrl-cuda makes through cudarc, on host memory, with the kernels
// themselves compiled by g++ (fibers.cpp runs them). What the driver would refuse, this refuses too; what the device
// would overlook, such as reads behind a buffer, AddressSanitizer sees.
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "fibers.h"

#include "../kernels/device.cu"
#include "../kernels/math.cu"
#include "../kernels/ceilings.cu"
#include "../kernels/gradients.cu"
#include "../kernels/histogram.cu"
#include "../kernels/nodes.cu"
#include "../kernels/score.cu"
#include "../kernels/level.cu"
#include "../kernels/minibatch.cu"
#include "../kernels/predict.cu"

namespace {

typedef int Result;
enum : Result { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500, NOT_INITIALIZED = 3 };
typedef unsigned long long Pointer;

struct Kernel {
    const char *name;
    void (*run)(void **arguments, Index grid, Index block);
};

template <class... A, size_t... I>
void call(void (*kernel)(A...), void **arguments, Index grid, Index block, std::index_sequence<I...>) {
    // A launch copies its arguments: nothing that happens to them afterwards matters.
    std::tuple<A...> copy(*static_cast<A *>(arguments[I])...);
    standin::run_grid(grid, block, [&] { kernel(std::get<I>(copy)...); });
}

template <class... A>
void call(void (*kernel)(A...), void **arguments, Index grid, Index block) {
    call(kernel, arguments, grid, block, std::index_sequence_for<A...>{});
}

#define KERNEL(name) {#name, [](void **arguments, Index grid, Index block) { call(name, arguments, grid, block); }}
const Kernel KERNELS[] = {
    KERNEL(largest), KERNEL(sum_chunks), KERNEL(quantise), KERNEL(grow_level), KERNEL(choose_smaller),
    KERNEL(histogram), KERNEL(subtract), KERNEL(find_splits), KERNEL(divide_rows), KERNEL(losses), KERNEL(make_keys),
    KERNEL(predict), KERNEL(atomics),
};

// The device does one thing at a time, whoever asks.
std::mutex device;
#define ALONE std::lock_guard<std::mutex> alone(device)

std::map<Pointer, size_t> allocations;
size_t allocated;

// Memory of the device that there is, in bytes: little, so that running out of it can be tested.
size_t capacity() {
    const char *bytes = std::getenv("GBRL_STANDIN_MEMORY");
    return bytes ? std::strtoull(bytes, nullptr, 10) : (size_t)8 << 30;
}

Result allocate(Pointer *pointer, size_t bytes) {
    ALONE;
    if (bytes == 0) return INVALID_VALUE;
    if (allocated + bytes > capacity()) return OUT_OF_MEMORY;
    void *memory = std::malloc(bytes);
    if (!memory) return OUT_OF_MEMORY;
    // Nobody promised zeros.
    std::memset(memory, 0xA5, bytes);
    *pointer = (Pointer)memory;
    allocations[*pointer] = bytes;
    allocated += bytes;
    return SUCCESS;
}

Result release(Pointer pointer) {
    ALONE;
    auto found = allocations.find(pointer);
    if (found == allocations.end()) return INVALID_VALUE;
    allocated -= found->second;
    allocations.erase(found);
    std::free((void *)pointer);
    return SUCCESS;
}

// Whether [pointer, pointer + bytes) lies in one allocation.
bool is_allocated(Pointer pointer, size_t bytes) {
    ALONE;
    auto after = allocations.upper_bound(pointer);
    if (after == allocations.begin()) return false;
    --after;
    return pointer + bytes <= after->first + after->second;
}

int context, stream, module;
thread_local void *current;

}  // namespace

#define API extern "C" __attribute__((visibility("default"))) Result

API cuInit(unsigned) { return SUCCESS; }
API cuDriverGetVersion(int *version) { return *version = 13000, SUCCESS; }
API cuDeviceGetCount(int *count) { return *count = 1, SUCCESS; }
API cuDeviceGet(int *device, int ordinal) { return ordinal == 0 ? (*device = 0, SUCCESS) : 101; }
API cuDeviceGetName(char *name, int size, int) { return std::snprintf(name, size, "stand-in"), SUCCESS; }
API cuDeviceTotalMem_v2(size_t *bytes, int) { return *bytes = capacity(), SUCCESS; }
API cuDeviceGetAttribute(int *value, int attribute, int) {
    // 16: multiprocessors; 75, 76: compute capability; 1: threads of a block.
    *value = attribute == 16 ? 2 : attribute == 75 ? 9 : attribute == 1 ? 1024 : 0;
    return SUCCESS;
}
API cuDevicePrimaryCtxRetain(void **out, int) { return *out = &context, SUCCESS; }
API cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
API cuCtxGetCurrent(void **out) { return *out = current, SUCCESS; }
API cuCtxSetCurrent(void *to) { return current = to, SUCCESS; }
API cuCtxSynchronize() { return SUCCESS; }
API cuStreamCreate(void **out, unsigned) { return *out = &stream, SUCCESS; }
API cuStreamDestroy_v2(void *) { return SUCCESS; }
API cuStreamSynchronize(void *) { return SUCCESS; }
API cuMemGetInfo_v2(size_t *free, size_t *total) {
    *total = capacity();
    *free = *total - allocated;
    return SUCCESS;
}
API cuMemAlloc_v2(Pointer *out, size_t bytes) { return allocate(out, bytes); }
API cuMemAllocAsync(Pointer *out, size_t bytes, void *) { return allocate(out, bytes); }
API cuMemFree_v2(Pointer pointer) { return release(pointer); }
API cuMemFreeAsync(Pointer pointer, void *) { return release(pointer); }
API cuMemsetD8Async(Pointer to, unsigned char value, size_t bytes, void *) {
    if (!is_allocated(to, bytes)) return INVALID_VALUE;
    return std::memset((void *)to, value, bytes), SUCCESS;
}
API cuMemcpyHtoDAsync_v2(Pointer to, const void *from, size_t bytes, void *) {
    if (!is_allocated(to, bytes)) return INVALID_VALUE;
    return std::memcpy((void *)to, from, bytes), SUCCESS;
}
API cuMemcpyDtoHAsync_v2(void *to, Pointer from, size_t bytes, void *) {
    if (!is_allocated(from, bytes)) return INVALID_VALUE;
    return std::memcpy(to, (void *)from, bytes), SUCCESS;
}
API cuMemcpyDtoDAsync_v2(Pointer to, Pointer from, size_t bytes, void *) {
    if (!is_allocated(to, bytes) || !is_allocated(from, bytes)) return INVALID_VALUE;
    return std::memcpy((void *)to, (void *)from, bytes), SUCCESS;
}
API cuModuleLoadData(void **out, const void *) { return *out = &module, SUCCESS; }
API cuModuleUnload(void *) { return SUCCESS; }
API cuModuleGetFunction(void **out, void *, const char *name) {
    for (const Kernel &kernel : KERNELS) {
        if (std::string(kernel.name) == name) return *out = (void *)&kernel, SUCCESS;
    }
    return NOT_FOUND;
}
API cuLaunchKernel(
    void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned, void *,
    void **arguments, void **
) {
    // The limits of every device.
    if (gx == 0 || gy == 0 || gz == 0 || gx > 0x7FFFFFFFu || gy > 65535 || gz > 65535) return INVALID_VALUE;
    if (bx == 0 || (u64)bx * by * bz > 1024) return INVALID_VALUE;
    ALONE;
    static_cast<const Kernel *>(function)->run(arguments, {gx, gy, gz}, {bx, by, bz});
    return SUCCESS;
}
API cuGetErrorName(Result error, const char **name) {
    *name = error == SUCCESS         ? "CUDA_SUCCESS"
            : error == INVALID_VALUE ? "CUDA_ERROR_INVALID_VALUE"
            : error == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY"
            : error == NOT_FOUND     ? "CUDA_ERROR_NOT_FOUND"
            : error == 101           ? "CUDA_ERROR_INVALID_DEVICE"
                                     : "CUDA_ERROR_UNKNOWN";
    return SUCCESS;
}
API cuGetErrorString(Result error, const char **text) {
    *text = error == OUT_OF_MEMORY ? "out of memory" : error == 101 ? "invalid device ordinal" : "stand-in's refusal";
    return SUCCESS;
}
