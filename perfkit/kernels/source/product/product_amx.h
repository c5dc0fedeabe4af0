// Products of bfloat16 tiles with AMX (tdpbf16ps): 16 rows x 32 columns of A, 16 columns of B.
#ifndef PERFKIT_KERNELS_PRODUCT_AMX_H_
#define PERFKIT_KERNELS_PRODUCT_AMX_H_

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "product/pack.h"
#include "product/product_fma.h"
#include "vector.h"

namespace perfkit {
namespace detail {

constexpr int kTileBlockSlot = kFirstSharedSlot + 1;
constexpr int kTileSumSlot = kFirstSharedSlot + 2;
constexpr int64_t kTileRows = 16;
// Columns of A, rows of B.
constexpr int64_t kTileInner = 32;

// Linux gives a process the tile registers when it asks for them (arch_prctl(2)).
inline bool tiles_permitted() {
  static const bool permitted = [] {
    constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
    constexpr int kTileData = 18;               // XFEATURE_XTILEDATA
    return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  }();
  return permitted;
}

// Configures the tiles of this thread for the outermost session.
//
// XLA's own products configure the tiles of the same threads, so that no configuration outlives a
// session.
class TileSession {
 public:
  TileSession() {
    if (depth()++ == 0 && tiles_permitted()) configure();
  }
  ~TileSession() {
    if (--depth() == 0 && tiles_permitted()) _tile_release();
  }
  TileSession(const TileSession&) = delete;
  TileSession& operator=(const TileSession&) = delete;

 private:
  // The memory operand of ldtilecfg, palette 1.
  struct alignas(64) Configuration {
    uint8_t palette = 1;
    uint8_t start_row = 0;
    uint8_t reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  };

  static int& depth() {
    static thread_local int value = 0;
    return value;
  }

  static void configure() {
    const Configuration configuration;
    // The compiler must not move the stores that fill the structure behind the instruction.
    __asm__ volatile("" ::"r"(&configuration) : "memory");
    _tile_loadconfig(&configuration);
  }
};

// A block of row_tiles x panel_count tiles of C: tiles 0 to 3 hold sums, 4 and 5 A, 6 and 7 B.
template <int row_tiles, int panel_count>
void tile_block(const bfloat16* a, int64_t lda, const bfloat16* b, int64_t panel_stride, float* c,
                int64_t ldc, int64_t k, bool accumulate) {
  constexpr int64_t kPanelRowBytes = 2 * kPanelColumns * sizeof(bfloat16);
  const int64_t a_bytes = lda * static_cast<int64_t>(sizeof(bfloat16));
  const int64_t c_bytes = ldc * static_cast<int64_t>(sizeof(float));
  if (accumulate) {
    _tile_loadd(0, c, c_bytes);
    if (panel_count > 1) _tile_loadd(1, c + kPanelColumns, c_bytes);
    if (row_tiles > 1) _tile_loadd(2, c + kTileRows * ldc, c_bytes);
    if (row_tiles > 1 && panel_count > 1) {
      _tile_loadd(3, c + kTileRows * ldc + kPanelColumns, c_bytes);
    }
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int64_t i = 0; i < k; i += kTileInner) {
    _tile_loadd(4, a + i, a_bytes);
    _tile_loadd(6, b + i * kPanelColumns, kPanelRowBytes);
    _tile_dpbf16ps(0, 4, 6);
    if (panel_count > 1) {
      _tile_loadd(7, b + panel_stride + i * kPanelColumns, kPanelRowBytes);
      _tile_dpbf16ps(1, 4, 7);
    }
    if (row_tiles > 1) {
      _tile_loadd(5, a + kTileRows * lda + i, a_bytes);
      _tile_dpbf16ps(2, 5, 6);
      if (panel_count > 1) _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, c, c_bytes);
  if (panel_count > 1) _tile_stored(1, c + kPanelColumns, c_bytes);
  if (row_tiles > 1) _tile_stored(2, c + kTileRows * ldc, c_bytes);
  if (row_tiles > 1 && panel_count > 1) {
    _tile_stored(3, c + kTileRows * ldc + kPanelColumns, c_bytes);
  }
}

// Takes whole tiles only: rows by 16, inner dimension by 32.
struct TileKernel {
  using Left = bfloat16;
  using Right = bfloat16;
  static constexpr int64_t rows = 2 * kTileRows;
  static constexpr int64_t panels = 2;
  // 64 rows of A, of C and two panels of B stay in the level-2 cache together.
  static constexpr int64_t inner = 1024;
  static constexpr int64_t outer = 64;

  static Block<bfloat16> read(const bfloat16* a, int64_t lda, int64_t, int64_t) {
    return {a, lda};
  }

  static void run(int64_t row_count, int64_t group, const bfloat16* a, int64_t lda,
                  const bfloat16* b, int64_t panel_stride, float* c, int64_t ldc, int64_t k,
                  bool accumulate) {
    if (row_count > kTileRows) {
      if (group > 1) return tile_block<2, 2>(a, lda, b, panel_stride, c, ldc, k, accumulate);
      return tile_block<2, 1>(a, lda, b, panel_stride, c, ldc, k, accumulate);
    }
    if (group > 1) return tile_block<1, 2>(a, lda, b, panel_stride, c, ldc, k, accumulate);
    tile_block<1, 1>(a, lda, b, panel_stride, c, ldc, k, accumulate);
  }
};

// Copies rows of A and fills what is missing to whole tiles with zeros.
inline Block<bfloat16> copy_whole_tiles(const bfloat16* a, int64_t lda, int64_t rows,
                                        int64_t padded_rows, int64_t k, int64_t depth) {
  bfloat16* copy = scratch<bfloat16>(kTileBlockSlot, padded_rows * depth);
  for (int64_t r = 0; r < rows; ++r) {
    std::memcpy(copy + r * depth, a + r * lda, static_cast<size_t>(k) * sizeof(bfloat16));
    std::memset(copy + r * depth + k, 0, static_cast<size_t>(depth - k) * sizeof(bfloat16));
  }
  std::memset(copy + rows * depth, 0,
              static_cast<size_t>((padded_rows - rows) * depth) * sizeof(bfloat16));
  return {copy, depth};
}

inline void tile_product(const bfloat16* a, int64_t lda, const bfloat16* packed, float* c,
                         int64_t ldc, int64_t m, int64_t n, int64_t k, bool accumulate) {
  const TileSession session;
  const int64_t depth = (k + kTileInner - 1) / kTileInner * kTileInner;
  const int64_t columns = (n + kPanelColumns - 1) / kPanelColumns * kPanelColumns;
  const size_t row_bytes = static_cast<size_t>(columns) * sizeof(float);
  // Tiles are loaded by instructions whose reads the compiler does not see.
  __asm__ volatile("" ::: "memory");
  const int64_t direct = depth == k ? m / kTileRows * kTileRows : 0;
  if (direct > 0) {
    blocked<TileKernel>(a, lda, packed, depth, c, ldc, direct, n, depth, accumulate);
  }
  for (int64_t row = direct; row < m; row += TileKernel::outer) {
    const int64_t rows = std::min(TileKernel::outer, m - row);
    const int64_t padded_rows = (rows + kTileRows - 1) / kTileRows * kTileRows;
    const auto block = copy_whole_tiles(a + row * lda, lda, rows, padded_rows, k, depth);
    float* out = c + row * ldc;
    float* sums = out;
    int64_t stride = ldc;
    if (padded_rows > rows) {
      sums = scratch<float>(kTileSumSlot, padded_rows * columns);
      stride = columns;
      for (int64_t r = 0; accumulate && r < rows; ++r) {
        std::memcpy(sums + r * columns, out + r * ldc, row_bytes);
      }
    }
    __asm__ volatile("" ::: "memory");
    blocked<TileKernel>(block.data, depth, packed, depth, sums, stride, padded_rows, n, depth,
                        accumulate);
    for (int64_t r = 0; sums != out && r < rows; ++r) {
      std::memcpy(out + r * ldc, sums + r * columns, row_bytes);
    }
  }
}

}  // namespace detail
}  // namespace perfkit

#endif  // PERFKIT_KERNELS_PRODUCT_AMX_H_
