// Right operands of the products of attention: weights, keys and values in the layout of
// attention_products.h.
#ifndef PERFKIT_KERNELS_ATTENTION_PANELS_H_
#define PERFKIT_KERNELS_ATTENTION_PANELS_H_

#include <immintrin.h>

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "attention/attention_products.h"
#include "vector.h"

namespace perfkit {
namespace attention {

inline void convert(const float* x, int64_t count, float* out) {
  std::memcpy(out, x, static_cast<size_t>(count) * sizeof(float));
}
// count is a multiple of 16.
inline void convert(const float* x, int64_t count, bfloat16* out) {
#if defined(__AVX512BF16__)
  // A tile loads 64 bytes at a time, which come sooner from one store than from two.
  for (; count >= 32; count -= 32, x += 32, out += 32)
    _mm512_storeu_si512(out, reinterpret_cast<__m512i>(
                                 _mm512_cvtne2ps_pbh(load(x + 16).lanes, load(x).lanes)));
#endif
  for (int64_t i = 0; i < count; i += Floats::width) store(out + i, load(x + i));
}

// Weights [rows, columns] with row stride ld into a panel of row stride ld_panel, from a column on.
template <class T, class Operand>
inline void pack_weights(const T* weights, int64_t ld, int64_t rows, int64_t columns,
                         Operand* panel, int64_t ld_panel) {
  constexpr int64_t depth = kDepth<Operand>;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column)
      panel[row / depth * ld_panel + column * depth + row % depth] =
          from_float<Operand>(to_float(weights[row * ld + column]));
}

#if defined(__AVX512F__)
// out[c, r] = x[r, c] for 16 x 16 numbers of 4 bytes.
inline void transpose(const float* x, int64_t ld, float* out, int64_t ld_out) {
  __m512i a[16], b[16];
  for (int i = 0; i < 16; ++i) a[i] = _mm512_loadu_si512(x + i * ld);
  for (int i = 0; i < 16; i += 2) {
    b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
    a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
    a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
    a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
  }
  // a[4 q + j] holds column 4 l + j of rows 4 q to 4 q + 3 in its 128-bit lane l.
  for (int j = 0; j < 4; ++j) {
    b[j] = _mm512_shuffle_i32x4(a[j], a[4 + j], 0x88);
    b[4 + j] = _mm512_shuffle_i32x4(a[j], a[4 + j], 0xdd);
    b[8 + j] = _mm512_shuffle_i32x4(a[8 + j], a[12 + j], 0x88);
    b[12 + j] = _mm512_shuffle_i32x4(a[8 + j], a[12 + j], 0xdd);
  }
  for (int j = 0; j < 4; ++j) {
    _mm512_storeu_si512(out + j * ld_out, _mm512_shuffle_i32x4(b[j], b[8 + j], 0x88));
    _mm512_storeu_si512(out + (8 + j) * ld_out, _mm512_shuffle_i32x4(b[j], b[8 + j], 0xdd));
    _mm512_storeu_si512(out + (4 + j) * ld_out, _mm512_shuffle_i32x4(b[4 + j], b[12 + j], 0x88));
    _mm512_storeu_si512(out + (12 + j) * ld_out,
                        _mm512_shuffle_i32x4(b[4 + j], b[12 + j], 0xdd));
  }
}
#else
inline void transpose(const float* x, int64_t ld, float* out, int64_t ld_out) {
  for (int column = 0; column < 16; ++column)
    for (int row = 0; row < 16; ++row) out[column * ld_out + row] = x[row * ld + column];
}
#endif

// 16 keys [16, head_dim] into 16 columns of the panel of the transposed keys.
inline void store_keys(const float* keys, int64_t ld, int64_t head_dim, float* panel,
                       int64_t ld_panel) {
  for (int64_t d = 0; d < head_dim; d += 16)
    transpose(keys + d, ld, panel + d * ld_panel, ld_panel);
}
// head_dim is 16 or 32.
inline void store_keys(const float* keys, int64_t ld, int64_t head_dim, bfloat16* panel,
                       int64_t ld_panel) {
  // A pair of elements moves as one number of 4 bytes. Behind head_dim the pairs are zeros.
  alignas(64) float pairs[16 * 16] = {};
  for (int64_t row = 0; row < 16; ++row)
    convert(keys + row * ld, head_dim, reinterpret_cast<bfloat16*>(pairs + row * 16));
  transpose(pairs, 16, reinterpret_cast<float*>(panel), ld_panel / 2);
}

// 16 values [16, head_dim] into rows of the panel of the values.
inline void store_values(const float* values, int64_t ld, int64_t head_dim, float* panel,
                         int64_t ld_panel) {
  for (int64_t row = 0; row < 16; ++row)
    convert(values + row * ld, head_dim, panel + row * ld_panel);
}
#if defined(__AVX512BF16__)
inline void store_values(const float* values, int64_t ld, int64_t head_dim, bfloat16* panel,
                         int64_t ld_panel) {
  for (int64_t row = 0; row < 16; row += 2)
    for (int64_t d = 0; d < head_dim; d += 16) {
      const float* even = values + row * ld + d;
      const __m512i low = _mm512_cvtepu16_epi32(narrow(load(even).lanes));
      const __m512i high = _mm512_cvtepu16_epi32(narrow(load(even + ld).lanes));
      _mm512_storeu_si512(panel + row / 2 * ld_panel + 2 * d,
                          _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
    }
}
#endif

}  // namespace attention
}  // namespace perfkit

#endif  // PERFKIT_KERNELS_ATTENTION_PANELS_H_
