// Panels: sixteen positions of an activation with the channels along the rows.
//
// Row w of a panel holds word w of each position, so that a panel is a column block of right tiles
// (tiles.h), sums over channels need no sums across lanes, and channel-major arrays are written
// and read without a transposed copy in memory.
#ifndef PERFKIT_KERNELS_PANELS_H_
#define PERFKIT_KERNELS_PANELS_H_

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "layer_norm.h"
#include "vector.h"
#include "triangle/words.h"

namespace perfkit {

// The most channels that the helpers serve: zero_row() has as many.
constexpr int64_t kMostChannels = 1024;

inline const uint32_t* zero_row() {
  alignas(64) static const uint32_t zeros[kMostChannels] = {};
  return zeros;
}

// Reads `count` (1 to 16) rows of `words` words at a distance of `stride` words. The positions
// that are missing are zero.
inline void panel_from_rows(const uint32_t* rows, int64_t stride, int64_t count, int64_t words,
                            uint32_t* panel) {
  for (int64_t block = 0; block < words; block += kSide) {
    const uint32_t* from[kSide];
    for (int64_t i = 0; i < kSide; ++i) from[i] = (i < count ? rows + i * stride : zero_row()) + block;
    transpose_tile(from, panel + block * kSide, kSide);
  }
}

// The inverse of panel_from_rows().
inline void rows_from_panel(const uint32_t* panel, int64_t words, int64_t stride, int64_t count,
                            uint32_t* rows) {
  for (int64_t block = 0; block < words; block += kSide) {
    if (count == kSide) {
      const uint32_t* from[kSide];
      for (int64_t i = 0; i < kSide; ++i) from[i] = panel + (block + i) * kSide;
      transpose_tile(from, rows + block, stride);
    } else {
      alignas(64) uint32_t tile[kTile];
      transpose_tile(panel + block * kSide, tile);
      for (int64_t i = 0; i < count; ++i) {
        std::memcpy(rows + i * stride + block, tile + i * kSide, kSide * sizeof(uint32_t));
      }
    }
  }
}

// Reads `count` (1 to 16) positions of a channel-major array; `stride` is the distance of its
// channels in elements. The positions that are missing are zero.
template <class T>
inline void panel_from_channels(const T* from, int64_t stride, int64_t count, int64_t channels,
                                uint32_t* panel) {
  for (int64_t channel = 0; channel < channels; channel += kValues<T>) {
    for (int64_t lane = 0; lane < kSide; lane += Floats::width) {
      Floats values[kValues<T>];
      for (int64_t v = 0; v < kValues<T>; ++v) {
        const T* p = from + (channel + v) * stride + lane;
        const int64_t present = std::min(Floats::width, std::max<int64_t>(count - lane, 0));
        values[v] = present == Floats::width ? load(p) : load_partial(p, present);
      }
      pack<T>(panel + channel / kValues<T> * kSide + lane, values);
    }
  }
}

inline Floats inverse_root(Floats a) {
#if defined(__AVX512F__)
  return broadcast(1.0f) / Floats{_mm512_sqrt_ps(a.lanes)};
#else
  return broadcast(1.0f) / Floats{_mm256_sqrt_ps(a.lanes)};
#endif
}

// Layer norm over the channels of each position, as layer_norm() computes it. `out` may be `panel`.
template <class T>
inline void normalize_panel(const uint32_t* panel, int64_t channels, const float* scale,
                            const float* offset, uint32_t* out) {
  const int64_t words = channels / kValues<T>;
  const Floats share = broadcast(1.0f / static_cast<float>(channels));
  for (int64_t lane = 0; lane < kSide; lane += Floats::width) {
    const uint32_t* in = panel + lane;
    Floats sums[4] = {zeros(), zeros(), zeros(), zeros()};
    for (int64_t w = 0; w < words; w += 2) {
      PERFKIT_UNROLL
      for (int i = 0; i < 2; ++i) {
        Floats values[2];
        unpack<T>(in + (w + i) * kSide, values);
        PERFKIT_UNROLL
        for (int v = 0; v < kValues<T>; ++v) sums[2 * i + v] = sums[2 * i + v] + values[v];
      }
    }
    const Floats mean = ((sums[0] + sums[1]) + (sums[2] + sums[3])) * share;
    Floats squares[4] = {zeros(), zeros(), zeros(), zeros()};
    for (int64_t w = 0; w < words; w += 2) {
      PERFKIT_UNROLL
      for (int i = 0; i < 2; ++i) {
        Floats values[2];
        unpack<T>(in + (w + i) * kSide, values);
        PERFKIT_UNROLL
        for (int v = 0; v < kValues<T>; ++v) {
          const Floats centred = values[v] - mean;
          squares[2 * i + v] = fma(centred, centred, squares[2 * i + v]);
        }
      }
    }
    const Floats variance = ((squares[0] + squares[1]) + (squares[2] + squares[3])) * share;
    const Floats inverse = inverse_root(variance + broadcast(kLayerNormEpsilon));
    for (int64_t w = 0; w < words; ++w) {
      Floats values[2];
      unpack<T>(in + w * kSide, values);
      PERFKIT_UNROLL
      for (int v = 0; v < kValues<T>; ++v) {
        const int64_t channel = w * kValues<T> + v;
        values[v] = fma((values[v] - mean) * inverse, broadcast(scale[channel]),
                        broadcast(offset[channel]));
      }
      pack<T>(out + w * kSide + lane, values);
    }
  }
}

// value * sigmoid(gate). For bfloat16 results the error is up to 1.4e-4 of the result,
// a fourteenth of their rounding.
template <class T>
inline Floats gated(Floats value, Floats gate) {
#if defined(__AVX512F__)
  if constexpr (kValues<T> == 2) {
    // e^-gate = 2^(whole + fraction); the polynomial is 2^fraction on [0, 1) with the smallest
    // largest relative error, 7.5e-5. Powers below the normal numbers make no difference, but cost
    // hundreds of cycles.
    const __m512 power = _mm512_max_ps(
        _mm512_set1_ps(-126.0f), _mm512_mul_ps(gate.lanes, _mm512_set1_ps(-1.44269504088896341f)));
    const Floats fraction = {_mm512_reduce_ps(power, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)};
    Floats p = broadcast(0.0780245450f);
    p = fma(p, fraction, broadcast(0.226067138f));
    p = fma(p, fraction, broadcast(0.695833539f));
    p = fma(p, fraction, broadcast(0.999925218f));
    const __m512 e = _mm512_scalef_ps(p.lanes, power);
    return value * Floats{_mm512_rcp14_ps(_mm512_add_ps(e, _mm512_set1_ps(1.0f)))};
  }
#endif
  return value * sigmoid(gate);
}

// Packs columns first to first + 15 of w[inputs, columns] into a row block of left tiles.
template <class T>
inline void pack_weights(const T* w, int64_t inputs, int64_t columns, int64_t first,
                         uint32_t* tiles) {
  constexpr int64_t depth = kSide * kValues<T>;
  for (int64_t input = 0; input < inputs; input += depth) {
    alignas(64) uint32_t right[kTile];
    panel_from_channels<T>(w + input * columns + first, columns, kSide, depth, right);
    transpose_tile(right, tiles + input / kValues<T> * kSide);
  }
}

}  // namespace perfkit

#endif  // PERFKIT_KERNELS_PANELS_H_
