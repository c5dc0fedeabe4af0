// Products of a block of rows with weights that no other rows use.
//
// Threads share out the columns of the weights. Each packs those of its columns and multiplies all
// rows with them, so that weights are read from memory once and their packed form is never written
// to it. This suits few rows and many weights, as in the diffusion transformer. Where the weights
// are packed before the call, it also saves the packing.
#ifndef PERFKIT_KERNELS_ADAPTIVE_COLUMNS_H_
#define PERFKIT_KERNELS_ADAPTIVE_COLUMNS_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "counts.h"
#include "parallel.h"
#include "product/product.h"
#include "vector.h"
#include "xla/ffi/api/ffi.h"

namespace perfkit {
namespace adaptive {

// Buffers of a thread, see scratch(): of the kernels in this folder, and of columns.h. A call's own
// buffers belong to the thread that calls, which also computes pieces: no two share a slot.
enum Slot {
  kActivations, kCondition, kOnes, kZeros, kZeroGates, kHidden, kQueries, kKeys, kValues, kGates,
  kMixed, kMaskBias, kRowBias, kLogits, kShares, kMeans, kGathered, kPackedColumns,
  kProducts,
};

// Rows of a piece of work: with packed weights, they fit the level-2 cache.
constexpr int64_t kMostRows = 512;
// Rows whose products are computed before they are used, a multiple of 16.
constexpr int64_t kRowsAtOnce = 128;
// Columns of a matrix that a piece of work has at most.
constexpr int64_t kMostColumns = 64;
// Rows that a piece without products has at most.
constexpr int64_t kRowsOfPiece = 64;

// Products of `rows` rows from `row` on with `columns` columns from `column` on of some matrices.
struct Products {
  int64_t row, rows, column, columns;
  const float* data;
  int64_t stride;   // from one row to the next
  int64_t between;  // from one matrix to the next; columns behind `columns` may be read

  const float* at(int64_t matrix, int64_t r) const { return data + r * stride + matrix * between; }
};

// Fewer columns than kMostColumns for a piece if threads would otherwise have nothing to do.
inline int64_t fair_columns(xla::ffi::ThreadPool pool, int64_t rows, int64_t n) {
  const int64_t wanted = 4 * std::max<int64_t>(pool.num_threads(), 1);
  int64_t columns = kMostColumns;
  while (columns > kPanelColumns && pieces(n, columns) * pieces(rows, kMostRows) < wanted)
    columns /= 2;
  return columns;
}

// Some of the columns of weights [k, ld], which lie row after row or, if `packed`, as pack() lays
// out the whole matrix.
template <class T>
struct Weights {
  const T* data;
  int64_t k, ld;
  bool packed;

  // The weights from `column` on; of packed ones, a multiple of 16.
  const T* from(int64_t column) const {
    return data + (packed ? packed_size<T>(k, column) : column);
  }

  Weights behind(int64_t column) const { return {from(column), k, ld, packed}; }
};

// Whether weights [k, n] may be packed before the call: in pairs of bfloat16, without padding.
template <class T>
bool is_packable(int64_t k, int64_t n) {
  return std::is_same_v<T, bfloat16> && packed_size<T>(k, n) == k * n;
}

// Calls use(Products) for all of A[rows, k] W[k, n], for several matrices W at once.
//
// A has row stride lda. The matrices have equal shapes and layouts. A piece has `group` columns of
// each matrix, of packed ones a multiple of 16, and up to kRowsAtOnce rows; it starts at a multiple
// of 16 rows.
template <class T, size_t kCount, class Use>
void multiply_columns(xla::ffi::ThreadPool pool, const T* a, int64_t lda, int64_t rows,
                      const std::array<Weights<T>, kCount>& weights, int64_t n, int64_t group,
                      const Use& use) {
  const int64_t k = weights[0].k;
  const bool packed_before = weights[0].packed;
  const int64_t groups = pieces(n, group);
  parallel_for(pool, groups * pieces(rows, kMostRows), [&](int64_t piece) {
    const ProductSession session;
    const int64_t column = piece % groups * group, columns = std::min(group, n - column);
    const int64_t width = rounded_up(columns, kPanelColumns), size = packed_size<T>(k, width);
    const int64_t matrices = static_cast<int64_t>(kCount);
    T* packed = scratch<T>(kPackedColumns, packed_before ? 0 : matrices * size);
    for (int64_t i = 0; i < matrices && !packed_before; ++i) {
      const Weights<T>& each = weights[static_cast<size_t>(i)];
      pack<T>(each.from(column), each.ld, 1, k, columns, packed + i * size);
    }
    const int64_t stride = padded_stride<float>(matrices * width);
    float* products = scratch<float>(kProducts, kRowsAtOnce * stride);
    const int64_t first = piece / groups * kMostRows, last = std::min(rows, first + kMostRows);
    for (int64_t row = first; row < last; row += kRowsAtOnce) {
      const int64_t count = std::min(kRowsAtOnce, last - row);
      const T* from = a + row * lda;
      if (packed_before) {
        for (int64_t i = 0; i < matrices; ++i)
          product<T>(from, lda, weights[static_cast<size_t>(i)].from(column), products + i * width,
                     stride, count, columns, k, false);
      } else {
        product<T>(from, lda, packed, products, stride, count, matrices * width, k, false);
      }
      use(Products{row, count, column, columns, products, stride, width});
    }
  });
}

}  // namespace adaptive
}  // namespace perfkit

#endif  // PERFKIT_KERNELS_ADAPTIVE_COLUMNS_H_
