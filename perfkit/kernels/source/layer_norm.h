// Layer normalisation of rows, with the arithmetic of Haiku's hk.LayerNorm in float32.
#ifndef PERFKIT_KERNELS_LAYER_NORM_H_
#define PERFKIT_KERNELS_LAYER_NORM_H_

#include <cmath>
#include <cstdint>

#include "vector.h"

namespace perfkit {

// hk.LayerNorm's default.
constexpr float kLayerNormEpsilon = 1e-5f;

constexpr int kLayerNormSlot = kFirstSharedSlot + 3;

// out = (x - mean) * scale / sqrt(variance + epsilon) + offset for every row of x[rows, channels].
//
// The variance is the mean of the squared differences from the mean (two passes), so that it is
// never negative. `out` may be `x`. Rows of x are contiguous, those of out `out_stride` apart.
template <class T>
void layer_norm(const T* x, const float* scale, const float* offset, T* out, int64_t rows,
                int64_t channels, int64_t out_stride) {
  constexpr int64_t width = Floats::width;
  const int64_t whole = channels / width * width;
  const int64_t tail = channels - whole;
  const float share = 1.0f / static_cast<float>(channels);
  // The row in float32, so that it is converted once.
  float* wide = scratch<float>(kLayerNormSlot, whole + width);
  for (int64_t row = 0; row < rows; ++row, x += channels, out += out_stride) {
    Floats total = zeros();
    for (int64_t c = 0; c < whole; c += width) {
      const Floats values = load(x + c);
      store(wide + c, values);
      total = total + values;
    }
    if (tail) total = total + load_partial(x + whole, tail);
    const Floats mean = broadcast(sum(total) * share);
    if (tail) {
      // The lanes behind the tail hold the mean, not zeros, so that they add no squares.
      store(wide + whole, mean);
      store_partial(wide + whole, load_partial(x + whole, tail), tail);
    }
    Floats squares = zeros();
    for (int64_t c = 0; c < channels; c += width) {
      const Floats difference = load(wide + c) - mean;
      squares = fma(difference, difference, squares);
    }
    const Floats inverse = broadcast(1.0f / std::sqrt(sum(squares) * share + kLayerNormEpsilon));
    for (int64_t c = 0; c < whole; c += width) {
      const Floats factor = load(scale + c) * inverse;
      store(out + c, fma(factor, load(wide + c) - mean, load(offset + c)));
    }
    if (tail) {
      const Floats factor = load_partial(scale + whole, tail) * inverse;
      const Floats difference = load(wide + whole) - mean;
      store_partial(out + whole, fma(factor, difference, load_partial(offset + whole, tail)), tail);
    }
  }
}

// The same with contiguous rows of `out`.
template <class T>
void layer_norm(const T* x, const float* scale, const float* offset, T* out, int64_t rows,
                int64_t channels) {
  layer_norm<T>(x, scale, offset, out, rows, channels, channels);
}

}  // namespace perfkit

#endif  // PERFKIT_KERNELS_LAYER_NORM_H_
