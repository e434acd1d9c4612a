// Work whose only purpose is to be timed.

// `rounds` additions to shared memory by every thread, as histograms do them; those of a moment go to different cells.
extern "C" __global__ void atomics(u32 rounds, i64 *sink) {
    __shared__ i64 cells[THREADS];
    cells[threadIdx.x] = 0;
    __syncthreads();
    for (u32 i = 0; i < rounds; i++) add_near(&cells[(threadIdx.x + i) % THREADS], i);
    __syncthreads();
    // Never so, but the compiler cannot know: all of the work is needed.
    if (cells[threadIdx.x] == -1) add_to(sink, 1);
}
