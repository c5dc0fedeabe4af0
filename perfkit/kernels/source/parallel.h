// Runs independent pieces of work on XLA's own threads.
#ifndef PERFKIT_PARALLEL_H_
#define PERFKIT_PARALLEL_H_

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <type_traits>

#include "xla/ffi/api/ffi.h"

namespace perfkit {

namespace internal {

// Shared by the caller and the scheduled tasks. A task may start after the caller has returned: it
// then finds no index left, and touches nothing but this state, which it owns together with others.
struct ParallelState {
  explicit ParallelState(int64_t count) : count(count) {}

  const int64_t count;
  std::atomic<int64_t> next{0};
  std::atomic<int64_t> finished{0};
  std::mutex mutex;
  std::condition_variable all_finished;
};

template <class Body>
void take_indices(ParallelState& state, Body& body) {
  while (true) {
    const int64_t index = state.next.fetch_add(1, std::memory_order_relaxed);
    if (index >= state.count) return;
    body(index);
    // The last piece wakes the caller. acq_rel publishes the results of all pieces to it.
    if (state.finished.fetch_add(1, std::memory_order_acq_rel) + 1 == state.count) {
      std::lock_guard<std::mutex> lock(state.mutex);
      state.all_finished.notify_all();
    }
  }
}

}  // namespace internal

// Calls body(index) once for every index in [0, count) and returns when all calls have returned.
//
// The calling thread works too, so that this never waits for a free thread of the pool. Threads
// take the next index when they finish one; make a piece of work large enough (20 microseconds and
// more) and the pieces several times as many as threads. The body must not throw, because an
// exception ends the process.
template <class Body>
void parallel_for(xla::ffi::ThreadPool pool, int64_t count, Body&& body) {
  if (count <= 0) return;
  const int64_t helpers = std::min<int64_t>(pool.num_threads(), count) - 1;
  if (helpers <= 0) {
    for (int64_t index = 0; index < count; ++index) body(index);
    return;
  }
  auto state = std::make_shared<internal::ParallelState>(count);
  // The body lives in the caller's frame. It is used only for an index below count, and the caller
  // stays here until these are finished.
  std::remove_reference_t<Body>* work = &body;
  for (int64_t helper = 0; helper < helpers; ++helper) {
    pool.Schedule([state, work] { internal::take_indices(*state, *work); });
  }
  internal::take_indices(*state, *work);
  std::unique_lock<std::mutex> lock(state->mutex);
  state->all_finished.wait(lock, [&] {
    return state->finished.load(std::memory_order_acquire) == state->count;
  });
}

}  // namespace perfkit

#endif  // PERFKIT_PARALLEL_H_
