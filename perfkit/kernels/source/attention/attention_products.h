// Products of attention: small matrices whose right operand changes with each row of the pair.
//
// product.h packs its right operand into panels of its own, which pays when the operand is used for
// many rows. Keys and values are used by one row of the pair only, so the epilogue of their
// projection writes them in the layout that the products here read: a row of a panel holds kDepth
// consecutive elements of the inner dimension, as a group of 4 bytes, for each column.
#ifndef PERFKIT_KERNELS_ATTENTION_PRODUCTS_H_
#define PERFKIT_KERNELS_ATTENTION_PRODUCTS_H_

#include <immintrin.h>

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "vector.h"

namespace perfkit {
namespace attention {

// Elements of the inner dimension in one group of 4 bytes.
template <class Operand>
constexpr int64_t kDepth = 4 / static_cast<int64_t>(sizeof(Operand));

// Rows of the left operand of a product.
constexpr int64_t kBlock = 16;

#if defined(__AVX512BF16__)
template <class T>
using OperandOf = T;
#else
// Without products of bfloat16, the operands are float32.
template <class T>
using OperandOf = float;
#endif

inline Floats multiply_add(Floats sums, const float* element, Floats columns) {
  return fma(broadcast(*element), columns, sums);
}
inline Floats load_columns(const float* row) { return load(row); }

#if defined(__AVX512BF16__)
// Adds the products of two consecutive elements with the two rows of a group.
inline Floats multiply_add(Floats sums, const bfloat16* elements, Floats columns) {
  int32_t pair;
  std::memcpy(&pair, elements, sizeof(pair));
  return {_mm512_dpbf16_ps(sums.lanes, reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair)),
                           reinterpret_cast<__m512bh>(columns.lanes))};
}
inline Floats load_columns(const bfloat16* row) {
  return load(reinterpret_cast<const float*>(row));
}
#endif

// C = A B for a block of kRows rows and kVectors vectors of columns.
template <class Operand, int kRows, int kVectors>
inline void multiply_block(const Operand* a, int64_t lda, const Operand* b, int64_t ldb, float* c,
                           int64_t ldc, int64_t k) {
  Floats sums[kRows][kVectors];
  PERFKIT_UNROLL
  for (int r = 0; r < kRows; ++r) {
    PERFKIT_UNROLL
    for (int v = 0; v < kVectors; ++v) sums[r][v] = zeros();
  }
  for (int64_t depth = 0; depth < k; depth += kDepth<Operand>, b += ldb) {
    Floats columns[kVectors];
    PERFKIT_UNROLL
    for (int v = 0; v < kVectors; ++v)
      columns[v] = load_columns(b + v * Floats::width * kDepth<Operand>);
    PERFKIT_UNROLL
    for (int r = 0; r < kRows; ++r) {
      PERFKIT_UNROLL
      for (int v = 0; v < kVectors; ++v)
        sums[r][v] = multiply_add(sums[r][v], a + r * lda + depth, columns[v]);
    }
  }
  PERFKIT_UNROLL
  for (int r = 0; r < kRows; ++r) {
    PERFKIT_UNROLL
    for (int v = 0; v < kVectors; ++v) store(c + r * ldc + v * Floats::width, sums[r][v]);
  }
}

#if defined(__AMX_BF16__)
// 16 rows and 4 tiles of columns: the loads of one product hide behind the products of the others.
inline void multiply_four_tiles(const bfloat16* a, int64_t lda, const bfloat16* b, int64_t ldb,
                                float* c, int64_t ldc, int64_t k) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t depth = 0; depth < k; depth += 32) {
    const bfloat16* rows = b + depth / 2 * ldb;
    _tile_loadd(4, a + depth, lda * 2);
    _tile_loadd(5, rows, ldb * 2);
    _tile_dpbf16ps(0, 4, 5);
    _tile_loadd(6, rows + 32, ldb * 2);
    _tile_dpbf16ps(1, 4, 6);
    _tile_loadd(7, rows + 64, ldb * 2);
    _tile_dpbf16ps(2, 4, 7);
    _tile_loadd(5, rows + 96, ldb * 2);
    _tile_dpbf16ps(3, 4, 5);
  }
  _tile_stored(0, c, ldc * 4);
  _tile_stored(1, c + 16, ldc * 4);
  _tile_stored(2, c + 32, ldc * 4);
  _tile_stored(3, c + 48, ldc * 4);
}

// 16 rows and 1 or 2 tiles of columns; even and odd steps have their own sums, because a product
// waits for the one before it into the same tile.
template <int kColumnTiles>
inline void multiply_narrow_tiles(const bfloat16* a, int64_t lda, const bfloat16* b, int64_t ldb,
                                  float* c, int64_t ldc, int64_t k) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t depth = 0; depth < k; depth += 64) {
    const bfloat16* rows = b + depth / 2 * ldb;
    _tile_loadd(4, a + depth, lda * 2);
    _tile_loadd(5, rows, ldb * 2);
    _tile_dpbf16ps(0, 4, 5);
    if (kColumnTiles == 2) {
      _tile_loadd(6, rows + 32, ldb * 2);
      _tile_dpbf16ps(1, 4, 6);
    }
    if (depth + 32 >= k) break;
    rows += 16 * ldb;
    _tile_loadd(7, a + depth + 32, lda * 2);
    _tile_loadd(5, rows, ldb * 2);
    _tile_dpbf16ps(2, 7, 5);
    if (kColumnTiles == 2) {
      _tile_loadd(6, rows + 32, ldb * 2);
      _tile_dpbf16ps(3, 7, 6);
    }
  }
  _tile_stored(0, c, ldc * 4);
  if (kColumnTiles == 2) _tile_stored(1, c + 16, ldc * 4);
  if (k <= 32) return;
  alignas(64) float odd[16 * 16 * kColumnTiles];
  _tile_stored(2, odd, 64 * kColumnTiles);
  if (kColumnTiles == 2) _tile_stored(3, odd + 16, 64 * kColumnTiles);
  for (int r = 0; r < 16; ++r)
    for (int v = 0; v < kColumnTiles; ++v) {
      float* sums = c + r * ldc + v * 16;
      store(sums, load(sums) + load(odd + (r * kColumnTiles + v) * 16));
    }
}
#endif

// C[16, n] = A[16, k] B[k, n].
//
// A has unit column stride and row stride lda; row g of B holds the elements g kDepth ... of the
// inner dimension, kDepth of them for each column, and ldb elements lie between its rows. n is a
// multiple of 16; k is a multiple of 32 for bfloat16. The caller holds a ProductSession.
template <class Operand>
inline void multiply(const Operand* a, int64_t lda, const Operand* b, int64_t ldb, float* c,
                     int64_t ldc, int64_t n, int64_t k) {
#if defined(__AMX_BF16__)
  if constexpr (std::is_same_v<Operand, bfloat16>) {
    int64_t column = 0;
    for (; column + 64 <= n; column += 64)
      multiply_four_tiles(a, lda, b + column * 2, ldb, c + column, ldc, k);
    for (; column + 32 <= n; column += 32)
      multiply_narrow_tiles<2>(a, lda, b + column * 2, ldb, c + column, ldc, k);
    for (; column < n; column += 16)
      multiply_narrow_tiles<1>(a, lda, b + column * 2, ldb, c + column, ldc, k);
    return;
  }
#endif
  constexpr int kRows = Floats::width == 16 ? 8 : 4;
  constexpr int64_t kWide = 2 * Floats::width;
  int64_t column = 0;
  for (; column + kWide <= n; column += kWide)
    for (int row = 0; row < 16; row += kRows)
      multiply_block<Operand, kRows, 2>(a + row * lda, lda, b + column * kDepth<Operand>, ldb,
                                        c + row * ldc + column, ldc, k);
  for (; column < n; column += Floats::width)
    for (int row = 0; row < 16; row += kRows)
      multiply_block<Operand, kRows, 1>(a + row * lda, lda, b + column * kDepth<Operand>, ldb,
                                        c + row * ldc + column, ldc, k);
}

}  // namespace attention
}  // namespace perfkit

#endif  // PERFKIT_KERNELS_ATTENTION_PRODUCTS_H_
