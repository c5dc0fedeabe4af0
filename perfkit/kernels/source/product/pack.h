// Packs the right operand of a product into panels of 16 columns.
#ifndef PERFKIT_KERNELS_PACK_H_
#define PERFKIT_KERNELS_PACK_H_

#include <algorithm>
#include <cstdint>

#include "vector.h"

namespace perfkit {

// Columns of a panel of packed B.
constexpr int64_t kPanelColumns = 16;

namespace detail {

// Transposes width x width numbers, whatever the lanes hold.
#if defined(__AVX512F__)
inline void transpose(__m512 (&rows)[16]) {
  __m512 fours[16];
  PERFKIT_UNROLL
  for (int r = 0; r < 16; r += 4) {
    const __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(rows[r], rows[r + 1]));
    const __m512d b = _mm512_castps_pd(_mm512_unpackhi_ps(rows[r], rows[r + 1]));
    const __m512d c = _mm512_castps_pd(_mm512_unpacklo_ps(rows[r + 2], rows[r + 3]));
    const __m512d d = _mm512_castps_pd(_mm512_unpackhi_ps(rows[r + 2], rows[r + 3]));
    // Quarter q of fours[r + i] is column 4 q + i of the rows r to r + 3.
    fours[r] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
    fours[r + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
    fours[r + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
    fours[r + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
  }
  PERFKIT_UNROLL
  for (int i = 0; i < 4; ++i) {
    const __m512 low_even = _mm512_shuffle_f32x4(fours[i], fours[i + 4], 0x88);
    const __m512 low_odd = _mm512_shuffle_f32x4(fours[i], fours[i + 4], 0xdd);
    const __m512 high_even = _mm512_shuffle_f32x4(fours[i + 8], fours[i + 12], 0x88);
    const __m512 high_odd = _mm512_shuffle_f32x4(fours[i + 8], fours[i + 12], 0xdd);
    rows[i] = _mm512_shuffle_f32x4(low_even, high_even, 0x88);
    rows[i + 4] = _mm512_shuffle_f32x4(low_odd, high_odd, 0x88);
    rows[i + 8] = _mm512_shuffle_f32x4(low_even, high_even, 0xdd);
    rows[i + 12] = _mm512_shuffle_f32x4(low_odd, high_odd, 0xdd);
  }
}
#else
inline void transpose(__m256 (&rows)[8]) {
  __m256 fours[8];
  PERFKIT_UNROLL
  for (int r = 0; r < 8; r += 4) {
    const __m256d a = _mm256_castps_pd(_mm256_unpacklo_ps(rows[r], rows[r + 1]));
    const __m256d b = _mm256_castps_pd(_mm256_unpackhi_ps(rows[r], rows[r + 1]));
    const __m256d c = _mm256_castps_pd(_mm256_unpacklo_ps(rows[r + 2], rows[r + 3]));
    const __m256d d = _mm256_castps_pd(_mm256_unpackhi_ps(rows[r + 2], rows[r + 3]));
    // Half h of fours[r + i] is column 4 h + i of the rows r to r + 3.
    fours[r] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, c));
    fours[r + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, c));
    fours[r + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(b, d));
    fours[r + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(b, d));
  }
  PERFKIT_UNROLL
  for (int i = 0; i < 4; ++i) {
    rows[i] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x20);
    rows[i + 4] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x31);
  }
}
#endif

// The rows of a panel as float32 from B with contiguous columns (row stride 1).
template <class T>
void pack_contiguous_columns(const T* b, int64_t column_stride, int64_t k, int64_t columns,
                             float* packed) {
  constexpr int width = static_cast<int>(Floats::width);
  for (int64_t i = 0; i < k; i += width) {
    const int64_t rows = std::min<int64_t>(width, k - i);
    for (int64_t j0 = 0; j0 < kPanelColumns; j0 += width) {
      decltype(Floats::lanes) lanes[width];
      for (int j = 0; j < width; ++j) {
        const T* column = b + (j0 + j) * column_stride + i;
        Floats values = zeros();
        if (j0 + j < columns) values = rows == width ? load(column) : load_partial(column, rows);
        lanes[j] = values.lanes;
      }
      transpose(lanes);
      for (int64_t r = 0; r < rows; ++r) {
        store(packed + (i + r) * kPanelColumns + j0, Floats{lanes[r]});
      }
    }
  }
}

// Packs B as float32, row after row in each panel.
template <class T>
void pack_rows(const T* b, int64_t row_stride, int64_t column_stride, int64_t k, int64_t n,
               float* packed) {
  for (int64_t j0 = 0; j0 < n; j0 += kPanelColumns, packed += k * kPanelColumns) {
    const int64_t columns = std::min(kPanelColumns, n - j0);
    const T* first = b + j0 * column_stride;
    if (row_stride == 1 && column_stride != 1) {
      pack_contiguous_columns(first, column_stride, k, columns, packed);
      continue;
    }
    for (int64_t i = 0; i < k; ++i) {
      const T* row = first + i * row_stride;
      float* out = packed + i * kPanelColumns;
      if (column_stride == 1 && columns == kPanelColumns) {
        for (int64_t j = 0; j < kPanelColumns; j += Floats::width) store(out + j, load(row + j));
        continue;
      }
      for (int64_t j = 0; j < columns; ++j) out[j] = to_float(row[j * column_stride]);
      for (int64_t j = columns; j < kPanelColumns; ++j) out[j] = 0.0f;
    }
  }
}

#if defined(__AVX512F__)

// 16 neighbouring numbers of a row, with zeros behind the first `columns`.
inline __m512i load_row(const bfloat16* row, int64_t column_stride, int64_t columns) {
  if (column_stride == 1) {
    return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(first_lanes(columns), row));
  }
  alignas(32) bfloat16 gathered[kPanelColumns] = {};
  for (int64_t j = 0; j < columns; ++j) gathered[j] = row[j * column_stride];
  return _mm512_cvtepu16_epi32(_mm256_load_si256(reinterpret_cast<const __m256i*>(gathered)));
}

// Packs B as pairs of rows: (2 i, j) and (2 i + 1, j) are neighbours. Rows from k to `depth`, which
// is even, are 0.
inline void pack_pairs(const bfloat16* b, int64_t row_stride, int64_t column_stride, int64_t k,
                       int64_t depth, int64_t n, bfloat16* packed) {
  for (int64_t j0 = 0; j0 < n; j0 += kPanelColumns, packed += depth * kPanelColumns) {
    const int64_t columns = std::min(kPanelColumns, n - j0);
    const bfloat16* first = b + j0 * column_stride;
    if (row_stride == 1 && column_stride != 1) {
      // A pair of one column is a number of 32 bits.
      for (int64_t i = 0; i < depth; i += 32) {
        const int64_t rows = std::max<int64_t>(0, std::min<int64_t>(32, k - i));
        const auto mask = static_cast<__mmask32>((uint64_t{1} << rows) - 1);
        __m512 lanes[16];
        for (int j = 0; j < 16; ++j) {
          lanes[j] = j < columns ? _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(
                                       mask, first + j * column_stride + i))
                                 : _mm512_setzero_ps();
        }
        transpose(lanes);
        const int64_t pairs = std::min<int64_t>(16, (depth - i) / 2);
        for (int64_t r = 0; r < pairs; ++r) {
          _mm512_storeu_ps(packed + (i + 2 * r) * kPanelColumns, lanes[r]);
        }
      }
      continue;
    }
    for (int64_t i = 0; i < depth; i += 2) {
      const bfloat16* row = first + i * row_stride;
      __m512i pairs = i < k ? load_row(row, column_stride, columns) : _mm512_setzero_si512();
      if (i + 1 < k) {
        const __m512i odd = load_row(row + row_stride, column_stride, columns);
        pairs = _mm512_or_si512(pairs, _mm512_slli_epi32(odd, 16));
      }
      _mm512_storeu_si512(packed + i * kPanelColumns, pairs);
    }
  }
}

#endif

}  // namespace detail
}  // namespace perfkit

#endif  // PERFKIT_KERNELS_PACK_H_
