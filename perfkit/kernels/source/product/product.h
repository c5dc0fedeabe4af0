// Matrix products of one thread: C[m, n] (+)= A[m, k] B[k, n], accumulated in float32.
//
// B is packed once and used with many blocks of A. Packed B consists of panels of 16 columns, in
// which the rows follow each other. With products of bfloat16 pairs (AVX-512 BF16, AMX) two rows
// are interleaved. Levels without them keep B in float32 and convert blocks of A. The blocks of A
// and B that are in use fit the level-1 and level-2 caches; C does if the caller multiplies blocks
// of rows and uses each result before the next.
//
//     pack<T>(b, row_stride, column_stride, k, n, packed);
//     const ProductSession session;  // worthwhile around several small products
//     product<T>(a, lda, packed, c, ldc, m, n, k, false);
#ifndef PERFKIT_KERNELS_PRODUCT_H_
#define PERFKIT_KERNELS_PRODUCT_H_

#include <algorithm>
#include <cstdint>

#include "product/pack.h"
#include "product/product_fma.h"
#include "vector.h"

#if defined(__AVX512BF16__)
#include "product/product_bf16.h"
#endif
#if defined(__AMX_BF16__)
#include "product/product_amx.h"
#endif

namespace perfkit {
namespace detail {

// Rows of a panel of packed B: k, padded with zero rows to what one instruction takes.
template <class T>
int64_t panel_depth(int64_t k) {
#if defined(__AMX_BF16__)
  if (sizeof(T) == 2) return (k + 31) / 32 * 32;
#elif defined(__AVX512BF16__)
  if (sizeof(T) == 2) return (k + 1) / 2 * 2;
#endif
  return k;
}

inline int64_t panel_count(int64_t n) { return (n + kPanelColumns - 1) / kPanelColumns; }

}  // namespace detail

// Elements that pack() writes for B of k x n (padded to the panel width and depth).
template <class T>
int64_t packed_size(int64_t k, int64_t n) {
#if defined(__AVX512BF16__)
  constexpr int64_t elements = 1;
#else
  constexpr int64_t elements = sizeof(float) / sizeof(T);
#endif
  return elements * detail::panel_count(n) * kPanelColumns * detail::panel_depth<T>(k);
}

// A row stride for A or C with `columns` columns, in elements: an odd number of cache lines.
//
// With a stride of a power of two, the rows of a tile would share sets of the level-1 cache. Measured
// with AMX on one thread, a product of 256 x 256 x 256 took 1.8 times as long with such a stride.
template <class T>
int64_t padded_stride(int64_t columns) {
  constexpr int64_t line = 64 / sizeof(T);
  return (columns + line - 1) / line / 2 * 2 * line + line;
}

// Packs B[k, n], whose element (i, j) is b[i * row_stride + j * column_stride], for product().
//
// `packed` should be aligned to 64 bytes, as scratch() is. Blocks of columns whose first column is
// a multiple of 16 may be packed one by one: that of column j starts at packed_size<T>(k, j).
template <class T>
void pack(const T* b, int64_t row_stride, int64_t column_stride, int64_t k, int64_t n, T* packed);

// C[m, n] (+)= A[m, k] B[k, n] with B from pack().
//
// A has unit column stride and row stride `lda`, C has row stride `ldc` (both in elements), at
// least n rounded up to 16: the columns of C behind n are overwritten with unspecified numbers.
template <class T>
void product(const T* a, int64_t lda, const T* packed, float* c, int64_t ldc, int64_t m, int64_t n,
             int64_t k, bool accumulate);

// Prepares this thread for products; product() inside of its lifetime saves the preparation.
//
// AMX needs its tiles configured. Other code that uses AMX must not run on this thread during the
// lifetime. Sessions may be nested.
#if defined(__AMX_BF16__)
using ProductSession = detail::TileSession;
#else
struct ProductSession {
  ProductSession() {}
};
#endif

template <>
inline void pack<float>(const float* b, int64_t row_stride, int64_t column_stride, int64_t k,
                        int64_t n, float* packed) {
  detail::pack_rows(b, row_stride, column_stride, k, n, packed);
}

template <>
inline void product<float>(const float* a, int64_t lda, const float* packed, float* c, int64_t ldc,
                           int64_t m, int64_t n, int64_t k, bool accumulate) {
  detail::blocked<detail::FmaKernel<float>>(a, lda, packed, k, c, ldc, m, n, k, accumulate);
}

template <>
inline void pack<bfloat16>(const bfloat16* b, int64_t row_stride, int64_t column_stride, int64_t k,
                           int64_t n, bfloat16* packed) {
#if defined(__AVX512BF16__)
  detail::pack_pairs(b, row_stride, column_stride, k, detail::panel_depth<bfloat16>(k), n, packed);
#else
  detail::pack_rows(b, row_stride, column_stride, k, n, reinterpret_cast<float*>(packed));
#endif
}

template <>
inline void product<bfloat16>(const bfloat16* a, int64_t lda, const bfloat16* packed, float* c,
                              int64_t ldc, int64_t m, int64_t n, int64_t k, bool accumulate) {
#if defined(__AMX_BF16__)
  if (detail::tiles_permitted()) {
    detail::tile_product(a, lda, packed, c, ldc, m, n, k, accumulate);
    return;
  }
#endif
#if defined(__AVX512BF16__)
  const int64_t depth = detail::panel_depth<bfloat16>(k);
  detail::blocked<detail::PairKernel>(a, lda, packed, depth, c, ldc, m, n, k, accumulate);
#else
  const float* panels = reinterpret_cast<const float*>(packed);
  detail::blocked<detail::FmaKernel<bfloat16>>(a, lda, panels, k, c, ldc, m, n, k, accumulate);
#endif
}

}  // namespace perfkit

#endif  // PERFKIT_KERNELS_PRODUCT_H_
