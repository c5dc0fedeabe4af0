// Attention of one head within the caches: where its queries, keys, values and gates are, and the
// softmax over them.
#ifndef PERFKIT_KERNELS_ADAPTIVE_HEADS_H_
#define PERFKIT_KERNELS_ADAPTIVE_HEADS_H_

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "adaptive/columns.h"
#include "attention/attention_panels.h"
#include "attention/attention_products.h"
#include "attention/attention_softmax.h"
#include "counts.h"
#include "vector.h"

namespace perfkit {
namespace adaptive {

using attention::kBlock;
using attention::kDepth;

// With so many keys, a block of logits, its bias and its weights fit into the first-level cache.
constexpr int64_t kMostKeys = 320;

// Layout of the operands of one head, for any head_dim.
//
// Queries [rows, query_depth] and gates [rows, columns] are left operands; keys and values are
// panels as attention_products.h reads them. What is behind head_dim is zeros.
template <class Operand>
struct HeadLayout {
  int64_t head_dim = 0, columns = 0, query_depth = 0;
  int64_t rows = 0;  // of queries, a multiple of 16
  int64_t keys = 0;  // a multiple of 32
  int64_t key_stride = 0, value_stride = 0;
  int64_t keys_at_once = 0;  // that are in the softmax at a time, a multiple of 32
  float softmax_scale = 0;   // with the factor log2(e)

  HeadLayout() = default;
  HeadLayout(int64_t head_dim, int64_t rows, int64_t tokens, float scale)
      : head_dim(head_dim), columns(rounded_up(head_dim, 16)), rows(rows),
        keys(rounded_up(tokens, 32)), softmax_scale(scale * attention::kLog2E) {
    // Products of bfloat16 take 32 elements of the inner dimension at a time.
    query_depth = std::is_same_v<Operand, float> ? columns : rounded_up(head_dim, 32);
    // 64 bytes more than a multiple of 128 bytes, so that the rows of a tile lie in different sets
    // of the cache.
    key_stride = (keys + 16) * kDepth<Operand>;
    value_stride = columns * kDepth<Operand>;
    const int64_t parts = pieces(keys, kMostKeys);
    keys_at_once = rounded_up(pieces(keys, parts), 32);
  }

  int64_t query_size() const { return rows * query_depth; }
  int64_t gate_size() const { return rows * columns; }
  int64_t key_size() const { return query_depth / kDepth<Operand> * key_stride; }
  int64_t value_size() const { return keys * columns; }

  // 16 rows of products [16, columns] plus a bias [head_dim].
  template <class T>
  void store_queries(const float* products, int64_t ld, const T* bias, Operand* to) const {
    for (int64_t i = 0; i < kBlock; ++i, products += ld, to += query_depth)
      for (int64_t d = 0; d < query_depth; d += Floats::width) {
        const int64_t here = std::max<int64_t>(0, std::min(Floats::width, head_dim - d));
        store(to + d,
              d < columns ? load(products + d) + load_partial(bias + d, here) : zeros());
      }
  }

  void store_keys(const float* products, int64_t ld, int64_t token, Operand* panel) const {
    panel += token * kDepth<Operand>;
    // The pairs of 32 channels are transposed at a time, and those behind the columns are zeros.
    for (int64_t d = 0; d < columns; d += 32)
      attention::store_keys(products + d, ld, std::min<int64_t>(32, columns - d),
                            panel + d / kDepth<Operand> * key_stride, key_stride);
  }

  void store_values(const float* products, int64_t ld, int64_t token, Operand* panel) const {
    attention::store_values(products, ld, columns, panel + token / kDepth<Operand> * value_stride,
                            value_stride);
  }

  void store_gates(const float* products, int64_t ld, Operand* to) const {
    for (int64_t i = 0; i < kBlock; ++i, products += ld, to += columns)
      for (int64_t d = 0; d < columns; d += Floats::width)
        store(to + d, attention::opened<Operand>(load(products + d)));
  }

  // Zeros for the keys and values from `token`, a multiple of 16, on.
  void clear_behind(int64_t token, Operand* key_panel, Operand* value_panel) const {
    const int64_t count = keys - token;
    if (count <= 0) return;
    for (int64_t row = 0; row < query_depth / kDepth<Operand>; ++row)
      std::memset(static_cast<void*>(key_panel + row * key_stride + token * kDepth<Operand>), 0,
                  static_cast<size_t>(count * kDepth<Operand>) * sizeof(Operand));
    std::memset(static_cast<void*>(value_panel + token / kDepth<Operand> * value_stride), 0,
                static_cast<size_t>(count * columns) * sizeof(Operand));
  }

  // out[count, head_dim] = gates softmax(queries keys + bias) values for up to 16 queries.
  //
  // bias [count, keys] holds the factor log2(e); behind the last key it is minus infinity, unless
  // the mask is. Each ld_ is a row stride; all of 16 queries can be read. Gates of nullptr are 1.
  template <class T>
  void attend(const Operand* queries, int64_t ld_queries, const Operand* key_panel,
              const Operand* value_panel, const Operand* gates, int64_t ld_gates,
              const float* bias, int64_t ld_bias, int64_t count, T* out, int64_t ld_out,
              const attention::KeyMask& mask = {nullptr, nullptr, true}) const {
    const int64_t step = keys_at_once, ld_logits = step + 16, ld_shares = step + 32;
    float* logits = scratch<float>(kLogits, kBlock * ld_logits);
    Operand* shares = scratch<Operand>(kShares, kBlock * ld_shares);
    float* means = scratch<float>(kMeans, 2 * kBlock * columns);
    float* added = means + kBlock * columns;
    attention::SoftmaxState state;
    for (int64_t key = 0; key < keys; key += step) {
      const int64_t here = std::min(step, keys - key);
      attention::multiply(queries, ld_queries, key_panel + key * kDepth<Operand>, key_stride,
                          logits, ld_logits, here, query_depth);
      attention::softmax(logits, ld_logits, bias + key, ld_bias, mask.from_key(key),
                         softmax_scale, count, here, key == 0, shares, ld_shares, state);
      attention::multiply(shares, ld_shares, value_panel + key / kDepth<Operand> * value_stride,
                          value_stride, key == 0 ? means : added, columns, columns, here);
      if (key != 0) add(added, state, count, means);
    }
    for (int64_t i = 0; i < count; ++i) {
      const Floats factor = broadcast(1.0f / state.sums[i]);
      for (int64_t d = 0; d < head_dim; d += Floats::width) {
        Floats mean = load(means + i * columns + d) * factor;
        if (gates != nullptr) mean = mean * load(gates + i * ld_gates + d);
        store_partial(out + i * ld_out + d, mean, std::min(Floats::width, head_dim - d));
      }
    }
  }

 private:
  void add(const float* added, const attention::SoftmaxState& state, int64_t count,
           float* means) const {
    for (int64_t i = 0; i < count; ++i) {
      const Floats factor = broadcast(state.factors[i]);
      for (int64_t at = i * columns; at < (i + 1) * columns; at += Floats::width)
        store(means + at, fma(load(means + at), factor, load(added + at)));
    }
  }
};

}  // namespace adaptive
}  // namespace perfkit

#endif  // PERFKIT_KERNELS_ADAPTIVE_HEADS_H_
