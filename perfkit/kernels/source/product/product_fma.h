// Products with float32 fused multiply-add, and the loops over cache blocks of every level.
#ifndef PERFKIT_KERNELS_PRODUCT_FMA_H_
#define PERFKIT_KERNELS_PRODUCT_FMA_H_

#include <algorithm>
#include <cstdint>

#include "product/pack.h"
#include "vector.h"

namespace perfkit {

namespace detail {

constexpr int kBlockSlot = kFirstSharedSlot;

// A block of A as a kernel reads it.
template <class T>
struct Block {
  const T* data;
  int64_t stride;
};

// The loops around a kernel's register block.
//
// `depth` is the number of rows of a panel of B. The block of A is used with all panels before the
// next one is read; a group of panels stays in the level-1 cache while the rows of the block pass.
template <class Kernel>
void blocked(const typename Kernel::Left* a, int64_t lda, const typename Kernel::Right* packed,
             int64_t depth, float* c, int64_t ldc, int64_t m, int64_t n, int64_t k,
             bool accumulate) {
  const int64_t panels = (n + kPanelColumns - 1) / kPanelColumns;
  const int64_t panel_stride = depth * kPanelColumns;
  int64_t k0 = 0;
  do {
    const int64_t inner = std::min(Kernel::inner, k - k0);
    for (int64_t m0 = 0; m0 < m; m0 += Kernel::outer) {
      const int64_t rows = std::min(Kernel::outer, m - m0);
      const auto block = Kernel::read(a + m0 * lda + k0, lda, rows, inner);
      for (int64_t p0 = 0; p0 < panels; p0 += Kernel::panels) {
        const auto* b = packed + p0 * panel_stride + k0 * kPanelColumns;
        const int64_t group = std::min(Kernel::panels, panels - p0);
        for (int64_t r = 0; r < rows; r += Kernel::rows) {
          Kernel::run(std::min(Kernel::rows, rows - r), group, block.data + r * block.stride,
                      block.stride, b, panel_stride, c + (m0 + r) * ldc + p0 * kPanelColumns, ldc,
                      inner, accumulate || k0 > 0);
        }
      }
    }
    k0 += Kernel::inner;
  } while (k0 < k);
}

// A block of row_count x panel_count panels of C in registers.
template <int row_count, int panel_count>
void fma_block(const float* a, int64_t lda, const float* b, int64_t panel_stride, float* c,
               int64_t ldc, int64_t k, bool accumulate) {
  constexpr int width = static_cast<int>(Floats::width);
  constexpr int per_panel = static_cast<int>(kPanelColumns) / width;
  constexpr int vectors = panel_count * per_panel;
  Floats total[row_count][vectors];
  PERFKIT_UNROLL
  for (int r = 0; r < row_count; ++r) {
    PERFKIT_UNROLL
    for (int v = 0; v < vectors; ++v) {
      total[r][v] = accumulate ? load(c + r * ldc + v * width) : zeros();
    }
  }
  for (int64_t i = 0; i < k; ++i) {
    Floats right[vectors];
    PERFKIT_UNROLL
    for (int v = 0; v < vectors; ++v) {
      right[v] = load(b + v / per_panel * panel_stride + i * kPanelColumns + v % per_panel * width);
    }
    PERFKIT_UNROLL
    for (int r = 0; r < row_count; ++r) {
      const Floats left = broadcast(a[r * lda + i]);
      PERFKIT_UNROLL
      for (int v = 0; v < vectors; ++v) total[r][v] = fma(left, right[v], total[r][v]);
    }
  }
  PERFKIT_UNROLL
  for (int r = 0; r < row_count; ++r) {
    PERFKIT_UNROLL
    for (int v = 0; v < vectors; ++v) store(c + r * ldc + v * width, total[r][v]);
  }
}

inline Block<float> read_block(const float* a, int64_t lda, int64_t, int64_t) { return {a, lda}; }

// Converts a block of A to float32.
inline Block<float> read_block(const bfloat16* a, int64_t lda, int64_t rows, int64_t inner) {
  constexpr int64_t width = Floats::width;
  const int64_t stride = (inner + width - 1) / width * width;
  float* block = scratch<float>(kBlockSlot, rows * stride);
  for (int64_t r = 0; r < rows; ++r) {
    const bfloat16* row = a + r * lda;
    float* out = block + r * stride;
    int64_t i = 0;
    for (; i + width <= inner; i += width) store(out + i, load(row + i));
    if (i < inner) store(out + i, load_partial(row + i, inner - i));
  }
  return {block, stride};
}

template <class T>
struct FmaKernel {
  using Left = T;
  using Right = float;
  // 24 (AVX-512) or 12 (AVX2) registers of sums.
  static constexpr int64_t rows = 6;
  static constexpr int64_t panels = Floats::width == 16 ? 4 : 1;
  static constexpr int64_t inner = 256;
  static constexpr int64_t outer = 96;

  static Block<float> read(const T* a, int64_t lda, int64_t block_rows, int64_t block_inner) {
    return read_block(a, lda, block_rows, block_inner);
  }

  template <int group>
  static void run_rows(int64_t row_count, const float* a, int64_t lda, const float* b,
                       int64_t panel_stride, float* c, int64_t ldc, int64_t k, bool accumulate) {
    switch (row_count) {
      case 1: return fma_block<1, group>(a, lda, b, panel_stride, c, ldc, k, accumulate);
      case 2: return fma_block<2, group>(a, lda, b, panel_stride, c, ldc, k, accumulate);
      case 3: return fma_block<3, group>(a, lda, b, panel_stride, c, ldc, k, accumulate);
      case 4: return fma_block<4, group>(a, lda, b, panel_stride, c, ldc, k, accumulate);
      case 5: return fma_block<5, group>(a, lda, b, panel_stride, c, ldc, k, accumulate);
      default: return fma_block<6, group>(a, lda, b, panel_stride, c, ldc, k, accumulate);
    }
  }

  static void run(int64_t row_count, int64_t group, const float* a, int64_t lda, const float* b,
                  int64_t panel_stride, float* c, int64_t ldc, int64_t k, bool accumulate) {
    if constexpr (panels == 4) {
      switch (group) {
        case 2: return run_rows<2>(row_count, a, lda, b, panel_stride, c, ldc, k, accumulate);
        case 3: return run_rows<3>(row_count, a, lda, b, panel_stride, c, ldc, k, accumulate);
        case 4: return run_rows<4>(row_count, a, lda, b, panel_stride, c, ldc, k, accumulate);
        default: break;
      }
    }
    run_rows<1>(row_count, a, lda, b, panel_stride, c, ldc, k, accumulate);
  }
};

}  // namespace detail
}  // namespace perfkit

#endif  // PERFKIT_KERNELS_PRODUCT_FMA_H_
