// Rows of a multilayer perceptron in cache: swish, gelu and layer norm of products in float32.
#ifndef PERFKIT_KERNELS_GRAPH_ROWS_H_
#define PERFKIT_KERNELS_GRAPH_ROWS_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "counts.h"
#include "layer_norm.h"
#include "parallel.h"
#include "product/product.h"
#include "vector.h"
#include "xla/ffi/api/ffi.h"

namespace perfkit {
namespace graph {

// Columns of a right operand that are packed as one piece of work.
constexpr int64_t kPackedColumns = 64;

// Lanes of a vector that belong to a row: all, or those in front.
struct Whole {};
struct Part {
  int64_t count;
};

template <class T>
Floats take(const T* p, Whole) {
  return load(p);
}
template <class T>
Floats take(const T* p, Part part) {
  return load_partial(p, part.count);
}
template <class T>
void put(T* p, Floats v, Whole) {
  store(p, v);
}
template <class T>
void put(T* p, Floats v, Part part) {
  store_partial(p, v, part.count);
}

// Calls body(column, lanes) for the vectors of a row.
template <class Body>
inline void for_vectors(int64_t columns, const Body& body) {
  int64_t column = 0;
  for (; column + Floats::width <= columns; column += Floats::width) body(column, Whole{});
  if (column < columns) body(column, Part{columns - column});
}

// x times its sigmoid.
template <class T>
Floats swish(Floats x) {
  return x * (std::is_same_v<T, float> ? sigmoid(x) : sigmoid_for_bfloat16(x));
}

// The approximation of gelu by tanh (Hendrycks and Gimpel 2016), as jax.nn.gelu has it:
// (1 + tanh y) / 2 is the sigmoid of 2 y.
template <class T>
Floats gelu(Floats x) {
  const Floats cubic = fma(x * x, x * broadcast(0.044715f), x);
  const Floats y = cubic * broadcast(2.0f * 0.7978845608028654f);
  return x * (std::is_same_v<T, float> ? sigmoid(y) : sigmoid_for_bfloat16(y));
}

// The mean of a row, and one over its standard deviation.
struct Moments {
  Floats mean, inverse;
};

// Moments of a row, whose variance is the mean of squared differences. The row may be read and
// written to the end of its last vector.
inline Moments moments(float* row, int64_t channels) {
  const float share = 1.0f / static_cast<float>(channels);
  Floats total = zeros();
  for_vectors(channels, [&](int64_t c, auto lanes) { total = total + take(row + c, lanes); });
  const Floats mean = broadcast(sum(total) * share);
  if (const int64_t tail = channels % Floats::width) {
    // The lanes behind the last channel hold the mean, so that they add no squares.
    const Floats last = load_partial(row + channels - tail, tail);
    store(row + channels - tail, mean);
    store_partial(row + channels - tail, last, tail);
  }
  Floats squares = zeros();
  for (int64_t c = 0; c < channels; c += Floats::width) {
    const Floats difference = load(row + c) - mean;
    squares = fma(difference, difference, squares);
  }
  const float variance = sum(squares) * share;
  return {mean, broadcast(1.0f / std::sqrt(variance + kLayerNormEpsilon))};
}

// Packs B[k, n], whose rows are contiguous, on all threads.
template <class T>
void pack_all(xla::ffi::ThreadPool pool, const T* b, int64_t k, int64_t n, T* packed) {
  parallel_for(pool, pieces(n, kPackedColumns), [&](int64_t piece) {
    const int64_t column = piece * kPackedColumns;
    pack<T>(b + column, n, 1, k, std::min(kPackedColumns, n - column),
            packed + packed_size<T>(k, column));
  });
}

}  // namespace graph
}  // namespace perfkit

#endif  // PERFKIT_KERNELS_GRAPH_ROWS_H_
