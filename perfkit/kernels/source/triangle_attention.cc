// Triangle attention of the Pairformer, along rows or columns of the pair, in two passes over it.
//
// pair_bias: layer norm and the projection to one bias for each head.
// triangle_attention: layer norm, projections to queries, keys, values and gates, attention, gate,
// output projection and residual for a few rows (or columns) of the pair at a time. Nothing but the
// pair and the bias is in main memory: the projections of a row and a block of 16 rows of logits
// stay in the cache of the core. A column is gathered when it is normalised, so that both
// directions do the same work.
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "attention_panels.h"
#include "attention_products.h"
#include "attention_softmax.h"
#include "layer_norm.h"
#include "parallel.h"
#include "vector.h"
#include "xla/ffi/api/ffi.h"

namespace perfkit {
namespace {

namespace ffi = xla::ffi;
using attention::kBlock;
using attention::kDepth;
using attention::OperandOf;

// Buffers of a thread, see scratch().
enum Slot { kNormed, kRow, kKeys, kValues, kMixed, kLogits, kBias, kWeights, kBlockBuffer, kMask, kFill };

constexpr int64_t kGroupBytes = 1 << 20;  // half of the second-level cache of a server core
constexpr int64_t kLargestGroup = 8;

int64_t rounded_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

template <class T>
struct Attention {
  using Operand = OperandOf<T>;

  const T* x;
  const float* scale;
  const float* offset;
  const T* weights;  // [4, channels, heads head_dim]: queries, keys, values, gates
  const T* bias;     // [heads, tokens, tokens]
  const bool* mask;  // [rows, tokens]
  const T* gate_bias;
  const T* output_weights;  // [heads head_dim, channels]
  const T* output_bias;
  const T* residual;  // nullptr for none
  T* out;
  // Rows of attention and tokens in a row, whatever the direction, and the distance in the pair
  // from one to the next in elements.
  int64_t rows, tokens, row_stride, token_stride;
  int64_t channels, heads, head_dim;
  float softmax_scale;

  // Weights as right operands, shared by all threads.
  Operand* query_gate;  // for each head: [channels, 2 head_dim]
  Operand* key_value;
  Operand* output;

  int64_t width() const { return heads * head_dim; }
  int64_t keys() const { return rounded_up(tokens, 32); }
  // Products of bfloat16 take 32 elements of the inner dimension at a time.
  int64_t query_depth() const {
    return std::is_same_v<Operand, float> ? head_dim : rounded_up(head_dim, 32);
  }
  int64_t panel_size() const { return channels * 2 * head_dim; }
  int64_t panel_stride() const { return 2 * head_dim * kDepth<Operand>; }
  // 64 bytes more than a multiple of 128 bytes, so that the rows of a tile lie in different sets
  // of the cache.
  int64_t key_stride() const { return (keys() + 16) * kDepth<Operand>; }
  int64_t key_size() const { return query_depth() / kDepth<Operand> * key_stride(); }
  int64_t value_stride() const { return head_dim * kDepth<Operand>; }
  int64_t value_size() const { return keys() * head_dim; }

  int64_t bytes_of_row() const {
    return static_cast<int64_t>(sizeof(Operand)) *
           (keys() * (channels + width()) + key_size() + value_size());
  }

  void pack() {
    for (int64_t head = 0; head < heads; ++head) {
      const auto panel = [&](int64_t projection, Operand* to) {
        attention::pack_weights(weights + projection * channels * width() + head * head_dim,
                                width(), channels, head_dim, to, panel_stride());
      };
      const int64_t half = head_dim * kDepth<Operand>;
      panel(0, query_gate + head * panel_size());
      panel(3, query_gate + head * panel_size() + half);
      panel(1, key_value + head * panel_size());
      panel(2, key_value + head * panel_size() + half);
    }
    attention::pack_weights(output_weights, channels, width(), channels, output,
                            channels * kDepth<Operand>);
  }

  void normalise(int64_t row, Operand* normed) const {
    const T* token = x + row * row_stride;
    for (int64_t i = 0; i < tokens; ++i, token += token_stride, normed += channels) {
      if constexpr (std::is_same_v<Operand, T>) {
        layer_norm(token, scale, offset, normed, 1, channels);
      } else {
        T* rounded = scratch<T>(kRow, channels);
        layer_norm(token, scale, offset, rounded, 1, channels);
        for (int64_t c = 0; c < channels; c += Floats::width) store(normed + c, load(rounded + c));
      }
    }
    std::memset(static_cast<void*>(normed), 0,
                static_cast<size_t>((keys() - tokens) * channels) * sizeof(Operand));
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

  // The keys and values of one head and one row.
  void project_keys(const Operand* normed, int64_t head, Operand* key_panel,
                    Operand* value_panel) const {
    float* block = scratch<float>(kBlockBuffer, kBlock * 2 * head_dim);
    for (int64_t key = 0; key < keys(); key += kBlock) {
      attention::multiply(normed + key * channels, channels, key_value + head * panel_size(),
                          panel_stride(), block, 2 * head_dim, 2 * head_dim, channels);
      attention::store_keys(block, 2 * head_dim, head_dim, key_panel + key * kDepth<Operand>,
                            key_stride());
      attention::store_values(block + head_dim, 2 * head_dim, head_dim,
                              value_panel + key / kDepth<Operand> * value_stride(),
                              value_stride());
    }
  }

  // Gated attention of the first `count` of 16 queries to all keys of the row.
  void attend(const Operand* normed, int64_t head, int64_t count, const Operand* key_panel,
              const Operand* value_panel, const float* block_bias,
              const attention::KeyMask& key_mask, Operand* mixed) const {
    const int64_t stride = keys() + 16, weight_stride = keys() + 32;
    float* block = scratch<float>(kBlockBuffer, kBlock * 2 * head_dim);
    float* logits = scratch<float>(kLogits, kBlock * stride);
    Operand* shares = scratch<Operand>(kWeights, kBlock * weight_stride);
    alignas(64) Operand queries[kBlock * 32] = {};
    alignas(64) float values[kBlock * 32];
    float reciprocals[kBlock];
    attention::multiply(normed, channels, query_gate + head * panel_size(), panel_stride(), block,
                        2 * head_dim, 2 * head_dim, channels);
    for (int64_t query = 0; query < kBlock; ++query)
      attention::convert(block + query * 2 * head_dim, head_dim, queries + query * query_depth());
    attention::multiply(queries, query_depth(), key_panel, key_stride(), logits, stride, keys(),
                        query_depth());
    attention::softmax(logits, stride, block_bias, stride, key_mask,
                       softmax_scale * attention::kLog2E, count, keys(), shares, weight_stride,
                       reciprocals);
    attention::multiply(shares, weight_stride, value_panel, value_stride(), values, head_dim,
                        head_dim, keys());
    for (int64_t query = 0; query < count; ++query) {
      const Floats factor = broadcast(reciprocals[query]);
      for (int64_t d = 0; d < head_dim; d += Floats::width) {
        const Floats gate = load(block + query * 2 * head_dim + head_dim + d) +
                            load(gate_bias + head * head_dim + d);
        const Floats mean = load(values + query * head_dim + d) * factor;
        store(mixed + query * width() + d, mean * sigmoid(gate));
      }
    }
  }

  // The output projection of a row, with its bias and the residual.
  void project_output(const Operand* mixed, int64_t row) const {
    float* block = scratch<float>(kBlockBuffer, kBlock * channels);
    for (int64_t first = 0; first < tokens; first += kBlock) {
      attention::multiply(mixed + first * width(), width(), output, channels * kDepth<Operand>,
                          block, channels, channels, width());
      const int64_t count = std::min(kBlock, tokens - first);
      for (int64_t i = 0; i < count; ++i) {
        const int64_t at = row * row_stride + (first + i) * token_stride;
        for (int64_t c = 0; c < channels; c += Floats::width) {
          Floats sum = load(block + i * channels + c) + load(output_bias + c);
          if (residual != nullptr) sum = sum + load(residual + at + c);
          store(out + at + c, sum);
        }
      }
    }
  }

  // Rows `first` ... `last` - 1. They share the bias of each block of queries while it is in cache.
  void run(int64_t first, int64_t last) const {
    attention::TileScope tiles;
    const int64_t count = last - first, normed_size = keys() * channels;
    const int64_t mixed_size = keys() * width(), stride = keys() + 16;
    Operand* normed = scratch<Operand>(kNormed, count * normed_size);
    Operand* key_panels = scratch<Operand>(kKeys, count * key_size());
    Operand* value_panels = scratch<Operand>(kValues, count * value_size());
    Operand* mixed = scratch<Operand>(kMixed, count * mixed_size);
    float* block_bias = scratch<float>(kBias, kBlock * stride);
    uint16_t* keep = scratch<uint16_t>(kMask, count * keys() / 16);
    float* fill = scratch<float>(kFill, count * keys());
    attention::KeyMask masks[kLargestGroup];
    for (int64_t i = 0; i < count; ++i) {
      normalise(first + i, normed + i * normed_size);
      masks[i] = key_mask(first + i, keep + i * keys() / 16, fill + i * keys());
    }
    for (int64_t head = 0; head < heads; ++head) {
      for (int64_t i = 0; i < count; ++i)
        project_keys(normed + i * normed_size, head, key_panels + i * key_size(),
                     value_panels + i * value_size());
      for (int64_t query = 0; query < tokens; query += kBlock) {
        const int64_t queries = std::min(kBlock, tokens - query);
        attention::scaled_bias(bias + (head * tokens + query) * tokens, tokens, queries, tokens,
                               keys(), block_bias, stride);
        for (int64_t i = 0; i < count; ++i)
          attend(normed + i * normed_size + query * channels, head, queries,
                 key_panels + i * key_size(), value_panels + i * value_size(), block_bias,
                 masks[i], mixed + i * mixed_size + query * width() + head * head_dim);
      }
    }
    for (int64_t i = 0; i < count; ++i) project_output(mixed + i * mixed_size, first + i);
  }

  void run_all(ffi::ThreadPool pool) {
    // At least four pieces for each thread, so that none waits long for the last.
    const int64_t fair = rows / (4 * std::max<int64_t>(pool.num_threads(), 1));
    const int64_t fitting = kGroupBytes / bytes_of_row();
    const int64_t group =
        std::max<int64_t>(1, std::min(kLargestGroup, std::min(fair, fitting)));
    parallel_for(pool, (rows + group - 1) / group, [&](int64_t index) {
      run(index * group, std::min(rows, (index + 1) * group));
    });
  }
};

template <class T>
const T* data(const ffi::AnyBuffer& buffer) {
  return static_cast<const T*>(buffer.untyped_data());
}

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
  Operand* packed = scratch<Operand>(kFill + 1, 2 * panels + work.width() * work.channels);
  work.query_gate = packed;
  work.key_value = packed + panels;
  work.output = packed + 2 * panels;
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

// bias[heads, rows] = layer_norm(x[rows, channels]) weights[channels, heads].
template <class T>
void bias_all(ffi::ThreadPool pool, const ffi::AnyBuffer& x, const ffi::AnyBuffer& scale,
              const ffi::AnyBuffer& offset, const ffi::AnyBuffer& weights, T* bias) {
  using Operand = OperandOf<T>;
  constexpr int64_t piece = 1024;
  const int64_t channels = x.dimensions()[1], rows = x.dimensions()[0];
  const int64_t heads = weights.dimensions()[1], columns = rounded_up(heads, 16);
  const int64_t stride = columns * kDepth<Operand>;
  Operand* panel = scratch<Operand>(kFill + 1, channels * columns);
  std::memset(static_cast<void*>(panel), 0,
              static_cast<size_t>(channels * columns) * sizeof(Operand));
  attention::pack_weights(data<T>(weights), heads, channels, heads, panel, stride);
  parallel_for(pool, (rows + piece - 1) / piece, [&](int64_t index) {
    attention::TileScope tiles;
    Operand* normed = scratch<Operand>(kNormed, kBlock * channels);
    T* rounded = scratch<T>(kRow, kBlock * channels);
    float* block = scratch<float>(kBlockBuffer, kBlock * columns);
    const int64_t last = std::min(rows, (index + 1) * piece);
    for (int64_t row = index * piece; row < last; row += kBlock) {
      const int64_t count = std::min(kBlock, last - row);
      const T* first = data<T>(x) + row * channels;
      layer_norm(first, data<float>(scale), data<float>(offset), rounded, count, channels);
      const Operand* operand = normed;
      if constexpr (std::is_same_v<Operand, T>) {
        operand = rounded;
      } else {
        for (int64_t i = 0; i < count * channels; i += Floats::width)
          store(normed + i, load(rounded + i));
      }
      attention::multiply(operand, channels, panel, stride, block, columns, columns, channels);
      for (int64_t head = 0; head < heads; ++head)
        for (int64_t i = 0; i < count; ++i)
          bias[head * rows + row + i] = from_float<T>(block[i * columns + head]);
    }
  });
}

ffi::Error pair_bias(ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::AnyBuffer scale,
                     ffi::AnyBuffer offset, ffi::AnyBuffer weights,
                     ffi::Result<ffi::AnyBuffer> bias) {
  if (x.element_type() == ffi::F32)
    bias_all(pool, x, scale, offset, weights, static_cast<float*>(bias->untyped_data()));
  else
    bias_all(pool, x, scale, offset, weights, static_cast<bfloat16*>(bias->untyped_data()));
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

XLA_FFI_DEFINE_HANDLER_SYMBOL(PairBias, perfkit::pair_bias,
                              xla::ffi::Ffi::Bind()
                                  .Ctx<xla::ffi::ThreadPool>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Ret<xla::ffi::AnyBuffer>());
