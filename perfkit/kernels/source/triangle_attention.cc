// Triangle attention of the Pairformer, along rows or columns of the pair, in one pass over it:
// layer norm, projections to queries, keys, values and gates, attention, gate, output projection
// and residual for a few rows (or columns) of the pair at a time. The bias comes from pair_bias.cc.
//
// Nothing but the pair and the bias is in main memory: the projections of a row and a block of 16
// rows of logits stay in the cache of the core. A column is gathered when it is normalised, so that
// both directions do the same work.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "attention/attention_panels.h"
#include "attention/attention_products.h"
#include "attention/attention_softmax.h"
#include "counts.h"
#include "layer_norm.h"
#include "parallel.h"
#include "product/product.h"
#include "vector.h"
#include "xla/ffi/api/ffi.h"

namespace perfkit {
namespace {

namespace ffi = xla::ffi;
using attention::kBlock;
using attention::kDepth;
using attention::OperandOf;

// Buffers of a thread, see scratch().
enum Slot { kNormed, kRow, kQueries, kKeys, kValues, kGates, kMixed,
            kLogits, kBias, kWeights, kProjected, kMask, kFill, kPacked };

// What a few rows of attention may take of the second-level cache, 1 to 2 MiB in a server's core.
constexpr int64_t kGroupBytes = 1280 << 10;
constexpr int64_t kLargestGroup = 8;
// With so many keys, a block of logits, its bias and its weights fit into the first-level cache.
constexpr int64_t kMostKeys = 320;

template <class T>
struct Attention {
  using Operand = OperandOf<T>;

  const T* x;
  const float *scale, *offset;
  const T* weights;  // [4, channels, heads head_dim]: queries, keys, values, gates
  const T* bias;     // [heads, tokens, tokens]
  const bool* mask;  // [rows, tokens]
  const T* gate_bias;
  const T *output_weights, *output_bias;  // [heads head_dim, channels], [channels]
  const T* residual;                      // nullptr for none
  T* out;
  // Rows of attention and tokens in a row, whatever the direction, and the distance in the pair
  // from one to the next in elements.
  int64_t rows, tokens, row_stride, token_stride;
  int64_t channels, heads, head_dim;
  float softmax_scale;

  // Weights as right operands, shared by all threads.
  Operand* projections;  // for each head: [channels, 4 head_dim]
  Operand* output;

  int64_t width() const { return heads * head_dim; }
  int64_t keys() const { return rounded_up(tokens, 32); }
  // Products of bfloat16 take 32 elements of the inner dimension at a time.
  int64_t query_depth() const {
    return std::is_same_v<Operand, float> ? head_dim : rounded_up(head_dim, 32);
  }
  int64_t panel_size() const { return channels * 4 * head_dim; }
  int64_t panel_stride() const { return 4 * head_dim * kDepth<Operand>; }
  int64_t query_size() const { return keys() * query_depth(); }
  // 64 bytes more than a multiple of 128 bytes, so that the rows of a tile lie in different sets
  // of the cache.
  int64_t key_stride() const { return (keys() + 16) * kDepth<Operand>; }
  int64_t key_size() const { return query_depth() / kDepth<Operand> * key_stride(); }
  int64_t value_stride() const { return head_dim * kDepth<Operand>; }
  int64_t value_size() const { return keys() * head_dim; }

  // Keys that are in the softmax at a time, a multiple of 32.
  int64_t keys_at_once() const {
    const int64_t parts = pieces(keys(), kMostKeys);
    return rounded_up(pieces(keys(), parts), 32);
  }

  int64_t bytes_of_row() const {
    return static_cast<int64_t>(sizeof(Operand)) *
           (keys() * (channels + width()) + query_size() + key_size() + 2 * value_size());
  }

  void pack() {
    for (int64_t head = 0; head < heads; ++head)
      for (int64_t part = 0; part < 4; ++part)
        attention::pack_weights(
            weights + part * channels * width() + head * head_dim, width(), channels, head_dim,
            projections + head * panel_size() + part * head_dim * kDepth<Operand>, panel_stride());
    attention::pack_weights(output_weights, channels, width(), channels, output,
                            channels * kDepth<Operand>);
  }

  // The layer norm of rows of attention. The rows take turns, because in columns of the pair they
  // are neighbours in memory, while the tokens of a column lie in different pages.
  void normalise(int64_t first, int64_t count, Operand* normed) const {
    const int64_t size = keys() * channels;
    for (int64_t block = 0; block < tokens; block += kBlock)
      for (int64_t i = 0; i < count; ++i)
        for (int64_t token = block; token < std::min(block + kBlock, tokens); ++token) {
          const T* from = x + (first + i) * row_stride + token * token_stride;
          if (token + kBlock < tokens) prefetch(from + kBlock * token_stride);
          normalise_token(from, normed + i * size + token * channels);
        }
    for (int64_t i = 0; i < count; ++i)
      std::memset(static_cast<void*>(normed + i * size + tokens * channels), 0,
                  static_cast<size_t>((keys() - tokens) * channels) * sizeof(Operand));
  }

  void prefetch(const T* token) const {
    for (int64_t c = 0; c < channels; c += 64 / static_cast<int64_t>(sizeof(T)))
      __builtin_prefetch(token + c);
  }

  void normalise_token(const T* token, Operand* normed) const {
    if constexpr (std::is_same_v<Operand, T>) {
      layer_norm(token, scale, offset, normed, 1, channels);
    } else {
      T* rounded = scratch<T>(kRow, channels);
      layer_norm(token, scale, offset, rounded, 1, channels);
      for (int64_t c = 0; c < channels; c += Floats::width) store(normed + c, load(rounded + c));
    }
  }

  attention::KeyMask key_mask(int64_t row, uint16_t* keep, float* fill) const {
    bool all = tokens == keys();
    const bool* kept = mask + row * tokens;
    std::memset(keep, 0, static_cast<size_t>(keys() / 16) * sizeof(uint16_t));
    for (int64_t key = 0; key < tokens; ++key) {
      all = all && kept[key];
      keep[key / 16] |= static_cast<uint16_t>(kept[key] << key % 16);
      fill[key] = -attention::kLargest;
    }
    for (int64_t key = tokens; key < keys(); ++key) fill[key] = -attention::kInfinity;
    return {keep, fill, all};
  }

  // Where the projections of a head are, for one row of attention.
  struct Projected {
    Operand* queries;  // [keys, query_depth]
    Operand* keys;     // panel of the transposed keys
    Operand* values;   // panel
    Operand* gates;    // [keys, head_dim], after the sigmoid
  };

  void project(const Operand* normed, int64_t head, const Projected& to) const {
    const int64_t columns = 4 * head_dim;
    float* products = scratch<float>(kProjected, 2 * kBlock * columns);
    float* next = products + kBlock * columns;
    const auto multiply_block = [&](int64_t token, float* out) {
      attention::multiply(normed + token * channels, channels, projections + head * panel_size(),
                          panel_stride(), out, columns, columns, channels);
    };
    multiply_block(0, products);
    for (int64_t token = 0; token < keys(); token += kBlock, std::swap(products, next)) {
      // Tiles compute the next products while vectors store these.
      if (token + kBlock < keys()) multiply_block(token + kBlock, next);
      store_projections(products, head, token, to);
    }
  }

  void store_projections(const float* products, int64_t head, int64_t token,
                         const Projected& to) const {
    const int64_t columns = 4 * head_dim;
    attention::store_keys(products + head_dim, columns, head_dim, to.keys + token * kDepth<Operand>,
                          key_stride());
    attention::store_values(products + 2 * head_dim, columns, head_dim,
                            to.values + token / kDepth<Operand> * value_stride(), value_stride());
    for (int64_t i = 0; i < kBlock; ++i) {
      const float* row = products + i * columns;
      attention::convert(row, head_dim, to.queries + (token + i) * query_depth());
      for (int64_t d = 0; d < head_dim; d += Floats::width) {
        const Floats gate = load(row + 3 * head_dim + d) + load(gate_bias + head * head_dim + d);
        store(to.gates + (token + i) * head_dim + d, attention::opened<Operand>(gate));
      }
    }
  }

  // Attention of one head in `count` rows, which share the bias of each block of queries.
  void attend(int64_t head, int64_t count, const Projected* projected,
              const attention::KeyMask* masks, Operand* mixed) const {
    const int64_t stride = keys() + 16, step = keys_at_once(), weight_stride = step + 32;
    const int64_t parts = pieces(keys(), step), in_block = count * parts;
    const int64_t blocks = pieces(tokens, kBlock);
    float* block_bias = scratch<float>(kBias, kBlock * stride);
    float* logits = scratch<float>(kLogits, kBlock * (step + 16));
    Operand* weights = scratch<Operand>(kWeights, kBlock * weight_stride);
    alignas(64) float means[kBlock * 32], added[kBlock * 32];
    attention::SoftmaxState state;
    // The products of queries and keys of one piece: a block of queries, a row, a part of its keys.
    const auto multiply_queries = [&](int64_t piece) {
      const Projected& row = projected[piece % in_block / parts];
      const int64_t key = piece % parts * step;
      attention::multiply(row.queries + piece / in_block * kBlock * query_depth(), query_depth(),
                          row.keys + key * kDepth<Operand>, key_stride(), logits, step + 16,
                          std::min(step, keys() - key), query_depth());
    };
    multiply_queries(0);
    for (int64_t piece = 0; piece < blocks * in_block; ++piece) {
      const int64_t query = piece / in_block * kBlock, i = piece % in_block / parts;
      const int64_t key = piece % parts * step, here = std::min(step, keys() - key);
      const int64_t queries = std::min(kBlock, tokens - query);
      if (piece % in_block == 0)
        attention::scaled_bias(bias + (head * tokens + query) * tokens, tokens, queries, tokens,
                               keys(), block_bias, stride);
      const attention::KeyMask mask = {masks[i].keep + key / 16, masks[i].fill + key, masks[i].all};
      attention::softmax(logits, step + 16, block_bias + key, stride, mask,
                         softmax_scale * attention::kLog2E, queries, here, key == 0, weights,
                         weight_stride, state);
      // The next products come first, because the softmax waits for them and not for the means.
      if (piece + 1 < blocks * in_block) multiply_queries(piece + 1);
      attention::multiply(weights, weight_stride,
                          projected[i].values + key / kDepth<Operand> * value_stride(),
                          value_stride(), key == 0 ? means : added, head_dim, head_dim, here);
      if (key != 0) add_means(queries, added, state, means);
      if (key + here == keys())
        store_gated(queries, means, state, projected[i].gates + query * head_dim,
                    mixed + (i * keys() + query) * width() + head * head_dim);
    }
  }

  void add_means(int64_t count, const float* added, const attention::SoftmaxState& state,
                 float* means) const {
    for (int64_t query = 0; query < count; ++query) {
      const Floats factor = broadcast(state.factors[query]);
      for (int64_t at = query * head_dim; at < (query + 1) * head_dim; at += Floats::width)
        store(means + at, fma(load(means + at), factor, load(added + at)));
    }
  }

  void store_gated(int64_t count, const float* means, const attention::SoftmaxState& state,
                   const Operand* gates, Operand* mixed) const {
    for (int64_t query = 0; query < count; ++query) {
      const Floats factor = broadcast(1.0f / state.sums[query]);
      for (int64_t d = 0; d < head_dim; d += Floats::width) {
        const int64_t at = query * head_dim + d;
        store(mixed + query * width() + d, load(means + at) * factor * load(gates + at));
      }
    }
  }

  // The output projection of rows of attention, with its bias and the residual.
  void project_output(const Operand* mixed, int64_t first, int64_t count) const {
    float* products = scratch<float>(kProjected, kBlock * channels);
    for (int64_t block = 0; block < tokens; block += kBlock)
      for (int64_t i = 0; i < count; ++i) {
        attention::multiply(mixed + (i * keys() + block) * width(), width(), output,
                            channels * kDepth<Operand>, products, channels, channels, width());
        for (int64_t token = block; token < std::min(block + kBlock, tokens); ++token) {
          const int64_t at = (first + i) * row_stride + token * token_stride;
          const int64_t next = at + (token + kBlock < tokens ? kBlock * token_stride : 0);
          prefetch(out + next);
          if (residual != nullptr) prefetch(residual + next);
          store_output(at, products + (token - block) * channels);
        }
      }
  }

  void store_output(int64_t at, const float* products) const {
    for (int64_t c = 0; c < channels; c += Floats::width) {
      Floats sum = load(products + c) + load(output_bias + c);
      if (residual != nullptr) sum = sum + load(residual + at + c);
      store(out + at + c, sum);
    }
  }

  // Rows `first` ... `last` - 1 of attention.
  void run(int64_t first, int64_t last) const {
    const ProductSession session;
    const int64_t count = last - first, normed_size = keys() * channels;
    Operand* normed = scratch<Operand>(kNormed, count * normed_size);
    Operand* queries = scratch<Operand>(kQueries, count * query_size());
    Operand* key_panels = scratch<Operand>(kKeys, count * key_size());
    Operand* values = scratch<Operand>(kValues, count * value_size());
    Operand* gates = scratch<Operand>(kGates, count * value_size());
    Operand* mixed = scratch<Operand>(kMixed, count * keys() * width());
    uint16_t* keep = scratch<uint16_t>(kMask, count * keys() / 16);
    float* fill = scratch<float>(kFill, count * keys());
    attention::KeyMask masks[kLargestGroup];
    Projected projected[kLargestGroup];
    // Behind head_dim, queries are zeros.
    std::memset(static_cast<void*>(queries), 0,
                static_cast<size_t>(count * query_size()) * sizeof(Operand));
    normalise(first, count, normed);
    for (int64_t i = 0; i < count; ++i) {
      masks[i] = key_mask(first + i, keep + i * keys() / 16, fill + i * keys());
      projected[i] = {queries + i * query_size(), key_panels + i * key_size(),
                      values + i * value_size(), gates + i * value_size()};
    }
    for (int64_t head = 0; head < heads; ++head) {
      for (int64_t i = 0; i < count; ++i) project(normed + i * normed_size, head, projected[i]);
      attend(head, count, projected, masks, mixed);
    }
    project_output(mixed, first, count);
  }

  void run_all(ffi::ThreadPool pool) {
    // At least four pieces for each thread, so that none waits long for the last.
    const int64_t fair = rows / (4 * std::max<int64_t>(pool.num_threads(), 1));
    const int64_t fitting = kGroupBytes / bytes_of_row();
    const int64_t group =
        std::max<int64_t>(1, std::min(kLargestGroup, std::min(fair, fitting)));
    parallel_for(pool, pieces(rows, group), [&](int64_t index) {
      run(index * group, std::min(rows, (index + 1) * group));
    });
  }
};

template <class T>
const T* data(const ffi::AnyBuffer& buffer) { return static_cast<const T*>(buffer.untyped_data()); }

template <class T>
void attend_all(ffi::ThreadPool pool, const ffi::AnyBuffer& x, const ffi::AnyBuffer& scale,
                const ffi::AnyBuffer& offset, const ffi::AnyBuffer& weights,
                const ffi::AnyBuffer& bias, const ffi::AnyBuffer& mask,
                const ffi::AnyBuffer& gate_bias, const ffi::AnyBuffer& output_weights,
                const ffi::AnyBuffer& output_bias, const ffi::AnyBuffer& residual, T* out,
                bool column, bool add_residual, double softmax_scale) {
  using Operand = OperandOf<T>;
  const auto shape = x.dimensions();
  const auto gates = gate_bias.dimensions();
  Attention<T> work;
  work.x = data<T>(x);
  work.scale = data<float>(scale);
  work.offset = data<float>(offset);
  work.weights = data<T>(weights);
  work.bias = data<T>(bias);
  work.mask = data<bool>(mask);
  work.gate_bias = data<T>(gate_bias);
  work.output_weights = data<T>(output_weights);
  work.output_bias = data<T>(output_bias);
  work.residual = add_residual ? data<T>(residual) : nullptr;
  work.out = out;
  work.channels = shape[2];
  work.heads = gates[0];
  work.head_dim = gates[1];
  work.rows = shape[column ? 1 : 0];
  work.tokens = shape[column ? 0 : 1];
  work.row_stride = column ? shape[2] : shape[1] * shape[2];
  work.token_stride = column ? shape[1] * shape[2] : shape[2];
  work.softmax_scale = static_cast<float>(softmax_scale);
  const int64_t panels = work.heads * work.panel_size();
  // The memory belongs to this thread, which waits for the others.
  Operand* packed = scratch<Operand>(kPacked, panels + work.width() * work.channels);
  work.projections = packed;
  work.output = packed + panels;
  work.pack();
  work.run_all(pool);
}

ffi::Error triangle_attention(ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::AnyBuffer scale,
                              ffi::AnyBuffer offset, ffi::AnyBuffer weights, ffi::AnyBuffer bias,
                              ffi::AnyBuffer mask, ffi::AnyBuffer gate_bias,
                              ffi::AnyBuffer output_weights, ffi::AnyBuffer output_bias,
                              ffi::AnyBuffer residual, ffi::Result<ffi::AnyBuffer> out,
                              bool column, bool add_residual, double softmax_scale) {
  const auto attend = [&](auto* result) {
    attend_all(pool, x, scale, offset, weights, bias, mask, gate_bias, output_weights, output_bias,
               residual, result, column, add_residual, softmax_scale);
  };
  if (x.element_type() == ffi::F32)
    attend(static_cast<float*>(out->untyped_data()));
  else
    attend(static_cast<bfloat16*>(out->untyped_data()));
  return ffi::Error::Success();
}

}  // namespace
}  // namespace perfkit

XLA_FFI_DEFINE_HANDLER_SYMBOL(TriangleAttention, perfkit::triangle_attention,
                              xla::ffi::Ffi::Bind()
                                  .Ctx<xla::ffi::ThreadPool>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Ret<xla::ffi::AnyBuffer>()
                                  .Attr<bool>("column")
                                  .Attr<bool>("add_residual")
                                  .Attr<double>("softmax_scale"));
