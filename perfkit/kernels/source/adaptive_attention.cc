// Self-attention of AlphaFold 3's diffusion transformer, and of the single representation in its
// trunk: (adaptive) layer norm, projections, attention with a mask of keys and a bias for each
// pair, gate, output projection and its own gate, for all samples together.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <limits>

#include "adaptive/columns.h"
#include "adaptive/conditioning.h"
#include "adaptive/heads.h"
#include "attention/attention_products.h"
#include "attention/attention_softmax.h"
#include "counts.h"
#include "parallel.h"
#include "product/product.h"
#include "vector.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace perfkit {
namespace {

using adaptive::Products;
using attention::kBlock;
using attention::OperandOf;

// Queries of a piece of work.
constexpr int64_t kQueriesOfPiece = 32;

template <class T>
struct SelfAttention {
  using Operand = OperandOf<T>;

  adaptive::Shape shape;
  int64_t heads;
  adaptive::HeadLayout<Operand> layout;
  const float* mask;  // [tokens]
  const T* pair;      // of the layer, in [tokens, pair_heads, tokens]
  int64_t pair_heads;
  adaptive::Weights<T> query_weights, key_weights, value_weights, gate_weights;
  const T* query_bias;  // [width]

  // Each [batch, heads] of what HeadLayout describes, and the results [rows, mixed_stride].
  Operand *queries, *keys, *values, *gates;
  T* mixed;
  int64_t mixed_stride;
  float* mask_bias;  // [layout.keys]; minus infinity behind the tokens

  int64_t width() const { return heads * layout.head_dim; }

  // The logit that upstream adds for a key that is masked.
  void fill_mask_bias() const {
    for (int64_t key = 0; key < layout.keys; ++key)
      mask_bias[key] = key < shape.tokens ? 1e9f * (mask[key] - 1.0f)
                                          : -std::numeric_limits<float>::infinity();
  }

  // A piece of project() is the projection to one head.
  void store_projections(const Products& products) const {
    const int64_t head = products.column / layout.head_dim;
    const T* bias = query_bias + products.column;
    for (int64_t r = 0; r < products.rows; r += kBlock) {
      const int64_t row = products.row + r;
      const int64_t element = row / shape.padded(), token = row % shape.padded();
      const int64_t at = element * heads + head;
      layout.store_queries(products.at(0, r), products.stride, bias,
                           queries + at * layout.query_size() + token * layout.query_depth);
      layout.store_keys(products.at(1, r), products.stride, token, keys + at * layout.key_size());
      layout.store_values(products.at(2, r), products.stride, token,
                          values + at * layout.value_size());
      layout.store_gates(products.at(3, r), products.stride,
                         gates + at * layout.gate_size() + token * layout.columns);
      if (token + kBlock == shape.padded())
        layout.clear_behind(shape.padded(), keys + at * layout.key_size(),
                            values + at * layout.value_size());
    }
  }

  void project(ffi::ThreadPool pool, const T* normed, int64_t stride) const {
    adaptive::multiply_columns<T, 4>(
        pool, normed, stride, shape.rows(),
        {query_weights, key_weights, value_weights, gate_weights}, width(), layout.head_dim,
        [&](const Products& products) { store_projections(products); });
  }

  // The bias of a block of queries of one head, with the factor log2(e).
  void fill_bias(int64_t head, int64_t query, int64_t count, float* bias, int64_t stride) const {
    const Floats log2e = broadcast(attention::kLog2E);
    for (int64_t i = 0; i < count; ++i) {
      const T* row = pair + ((query + i) * pair_heads + head) * shape.tokens;
      for (int64_t key = 0; key < layout.keys; key += Floats::width) {
        const int64_t here =
            std::min(Floats::width, std::max<int64_t>(0, shape.tokens - key));
        const Floats sum = load(mask_bias + key) + load_partial(row + key, here);
        store(bias + i * stride + key, sum * log2e);
      }
    }
  }

  // Attention of one head for a few queries of all elements of the batch, which share the bias.
  void attend(int64_t head, int64_t first, int64_t last) const {
    const ProductSession session;
    const int64_t bias_stride = layout.keys + 16;
    float* bias = scratch<float>(adaptive::kRowBias, kBlock * bias_stride);
    for (int64_t query = first; query < last; query += kBlock) {
      const int64_t count = std::min(kBlock, last - query);
      fill_bias(head, query, count, bias, bias_stride);
      for (int64_t element = 0; element < shape.batch; ++element) {
        const int64_t at = element * heads + head;
        layout.attend(queries + at * layout.query_size() + query * layout.query_depth,
                      layout.query_depth, keys + at * layout.key_size(),
                      values + at * layout.value_size(),
                      gates + at * layout.gate_size() + query * layout.columns, layout.columns,
                      bias, bias_stride, count,
                      mixed + (element * shape.padded() + query) * mixed_stride +
                          head * layout.head_dim,
                      mixed_stride);
      }
    }
  }

  void run(ffi::ThreadPool pool, const T* normed, int64_t stride) {
    const int64_t all = shape.batch * heads;
    queries = scratch<Operand>(adaptive::kQueries, all * layout.query_size());
    keys = scratch<Operand>(adaptive::kKeys, all * layout.key_size());
    values = scratch<Operand>(adaptive::kValues, all * layout.value_size());
    gates = scratch<Operand>(adaptive::kGates, all * layout.gate_size());
    mixed_stride = padded_stride<T>(width());
    mixed = scratch<T>(adaptive::kMixed, shape.rows() * mixed_stride);
    mask_bias = scratch<float>(adaptive::kMaskBias, layout.keys);
    fill_mask_bias();
    project(pool, normed, stride);
    const int64_t in_head = pieces(shape.tokens, kQueriesOfPiece);
    parallel_for(pool, heads * in_head, [&](int64_t piece) {
      const int64_t first = piece % in_head * kQueriesOfPiece;
      attend(piece / in_head, first, std::min(shape.tokens, first + kQueriesOfPiece));
    });
  }
};

template <class T>
ffi::Error run_attention(ffi::ThreadPool pool, const ffi::RemainingArgs& operands,
                         bool conditioned, double softmax_scale, bool packed, T* result) {
  adaptive::Operands next(operands);
  SelfAttention<T> work{};
  const ffi::AnyBuffer x = next.buffer();
  work.shape = adaptive::shape_of(x);
  const int64_t layer = *next.whole<int32_t>();
  work.mask = next.whole<float>();
  const ffi::AnyBuffer pair = next.buffer();
  const int64_t group = pair.dimensions()[1];
  work.heads = pair.dimensions()[2];
  work.pair_heads = group * work.heads;
  work.pair = static_cast<const T*>(pair.untyped_data()) +
              layer % group * work.heads * work.shape.tokens;
  work.query_weights = next.weights<T>(layer, packed);
  const int64_t width = work.query_weights.ld;
  work.query_bias = next.of_layer<T>(layer);
  work.key_weights = next.weights<T>(layer, packed);
  work.value_weights = next.weights<T>(layer, packed);
  work.gate_weights = next.weights<T>(layer, packed);
  const auto out_weights = next.weights<T>(layer, packed);
  work.layout = adaptive::HeadLayout<OperandOf<T>>(
      width / work.heads, work.shape.padded(), work.shape.tokens,
      static_cast<float>(softmax_scale));
  const int64_t channels = work.shape.channels;
  if (packed && !(work.layout.head_dim % kPanelColumns == 0 &&
                  adaptive::is_packable<T>(channels, width) &&
                  adaptive::is_packable<T>(width, channels)))
    return ffi::Error::InvalidArgument("weights of these shapes cannot be packed");

  const int64_t stride = padded_stride<T>(channels);
  T* normed = scratch<T>(adaptive::kActivations, work.shape.rows() * stride);
  const T* from = static_cast<const T*>(x.untyped_data());
  const float* gates = nullptr;
  if (conditioned) {
    const auto by = next.conditioning<T>(layer, packed);
    if (packed && !adaptive::is_packable<T>(by.depth, channels))
      return ffi::Error::InvalidArgument("weights of this condition cannot be packed");
    adaptive::normalise<T>(pool, work.shape, from, nullptr, nullptr, normed, stride);
    adaptive::modulate<T>(pool, work.shape, by, normed, stride);
    gates = adaptive::zero_gates<T>(pool, work.shape, by);
  } else {
    const float* scale = next.of_layer<float>(layer);
    const float* offset = next.of_layer<float>(layer);
    adaptive::normalise<T>(pool, work.shape, from, scale, offset, normed, stride);
  }
  work.run(pool, normed, stride);
  adaptive::project_output<T>(pool, work.shape, work.mixed, work.mixed_stride, out_weights, gates,
                              result);
  return ffi::Error::Success();
}

// Operands: x [batch, tokens, channels]; the layer; the mask of keys [tokens]; the bias
// [tokens, some layers, heads, tokens]; parameters of the projections: weights and bias of queries,
// weights of keys, values, gates [layers, channels, width] and output [layers, width, channels];
// Conditioning, or scale and offset of the layer norm. All arrays have the dtype of x, except the
// layer, int32, and the mask and the parameters of layer norms, float32. `packed`: each layer of all
// weights lies as pack() lays it out.
ffi::Error self_attention(ffi::ThreadPool pool, ffi::RemainingArgs operands,
                          ffi::Result<ffi::AnyBuffer> result, bool conditioned, bool packed,
                          double softmax_scale) {
  if (operands.size() != 10 + (conditioned ? adaptive::kConditioningOperands : 2))
    return ffi::Error::InvalidArgument("self-attention has 12 operands, 17 with a condition");
  if (result->element_type() == ffi::BF16)
    return run_attention(pool, operands, conditioned, softmax_scale, packed,
                         static_cast<bfloat16*>(result->untyped_data()));
  return run_attention(pool, operands, conditioned, softmax_scale, packed,
                       static_cast<float*>(result->untyped_data()));
}

}  // namespace
}  // namespace perfkit

XLA_FFI_DEFINE_HANDLER_SYMBOL(SelfAttention, perfkit::self_attention,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .RemainingArgs()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<bool>("conditioned")
                                  .Attr<bool>("packed")
                                  .Attr<double>("softmax_scale"));
