// Products of pairs of bfloat16 numbers with AVX-512 BF16 (vdpbf16ps).
#ifndef PERFKIT_KERNELS_PRODUCT_BF16_H_
#define PERFKIT_KERNELS_PRODUCT_BF16_H_

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "product/pack.h"
#include "product/product_fma.h"
#include "vector.h"

namespace perfkit {
namespace detail {

// Adds the products of one pair of rows of B to a block of sums.
template <int row_count, int panel_count>
inline void add_pair(const uint32_t (&left)[row_count], const bfloat16* b, int64_t panel_stride,
                     __m512 (&total)[row_count][panel_count]) {
  __m512bh right[panel_count];
  PERFKIT_UNROLL
  for (int p = 0; p < panel_count; ++p) {
    right[p] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b + p * panel_stride));
  }
  PERFKIT_UNROLL
  for (int r = 0; r < row_count; ++r) {
    const auto pair = reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(left[r])));
    PERFKIT_UNROLL
    for (int p = 0; p < panel_count; ++p) {
      total[r][p] = _mm512_dpbf16_ps(total[r][p], pair, right[p]);
    }
  }
}

// A block of row_count x panel_count panels of C in registers.
template <int row_count, int panel_count>
void pair_block(const bfloat16* a, int64_t lda, const bfloat16* b, int64_t panel_stride, float* c,
                int64_t ldc, int64_t k, bool accumulate) {
  __m512 total[row_count][panel_count];
  PERFKIT_UNROLL
  for (int r = 0; r < row_count; ++r) {
    PERFKIT_UNROLL
    for (int p = 0; p < panel_count; ++p) {
      total[r][p] = accumulate ? _mm512_loadu_ps(c + r * ldc + p * kPanelColumns)
                               : _mm512_setzero_ps();
    }
  }
  uint32_t left[row_count];
  const int64_t pairs = k / 2;
  for (int64_t i = 0; i < pairs; ++i) {
    PERFKIT_UNROLL
    for (int r = 0; r < row_count; ++r) std::memcpy(&left[r], a + r * lda + 2 * i, 4);
    add_pair<row_count, panel_count>(left, b + 2 * i * kPanelColumns, panel_stride, total);
  }
  if (k % 2) {
    // What follows the last column of A may be NaN, which 0 in B would not remove.
    for (int r = 0; r < row_count; ++r) left[r] = a[r * lda + k - 1].bits;
    add_pair<row_count, panel_count>(left, b + 2 * pairs * kPanelColumns, panel_stride, total);
  }
  PERFKIT_UNROLL
  for (int r = 0; r < row_count; ++r) {
    PERFKIT_UNROLL
    for (int p = 0; p < panel_count; ++p) {
      _mm512_storeu_ps(c + r * ldc + p * kPanelColumns, total[r][p]);
    }
  }
}

struct PairKernel {
  using Left = bfloat16;
  using Right = bfloat16;
  static constexpr int64_t rows = 6;
  static constexpr int64_t panels = 4;
  static constexpr int64_t inner = 512;
  static constexpr int64_t outer = 96;

  static Block<bfloat16> read(const bfloat16* a, int64_t lda, int64_t, int64_t) {
    return {a, lda};
  }

  template <int group>
  static void run_rows(int64_t row_count, const bfloat16* a, int64_t lda, const bfloat16* b,
                       int64_t panel_stride, float* c, int64_t ldc, int64_t k, bool accumulate) {
    switch (row_count) {
      case 1: return pair_block<1, group>(a, lda, b, panel_stride, c, ldc, k, accumulate);
      case 2: return pair_block<2, group>(a, lda, b, panel_stride, c, ldc, k, accumulate);
      case 3: return pair_block<3, group>(a, lda, b, panel_stride, c, ldc, k, accumulate);
      case 4: return pair_block<4, group>(a, lda, b, panel_stride, c, ldc, k, accumulate);
      case 5: return pair_block<5, group>(a, lda, b, panel_stride, c, ldc, k, accumulate);
      default: return pair_block<6, group>(a, lda, b, panel_stride, c, ldc, k, accumulate);
    }
  }

  static void run(int64_t row_count, int64_t group, const bfloat16* a, int64_t lda,
                  const bfloat16* b, int64_t panel_stride, float* c, int64_t ldc, int64_t k,
                  bool accumulate) {
    switch (group) {
      case 1: return run_rows<1>(row_count, a, lda, b, panel_stride, c, ldc, k, accumulate);
      case 2: return run_rows<2>(row_count, a, lda, b, panel_stride, c, ldc, k, accumulate);
      case 3: return run_rows<3>(row_count, a, lda, b, panel_stride, c, ldc, k, accumulate);
      default: return run_rows<4>(row_count, a, lda, b, panel_stride, c, ldc, k, accumulate);
    }
  }
};

}  // namespace detail
}  // namespace perfkit

#endif  // PERFKIT_KERNELS_PRODUCT_BF16_H_
