// Attention of the atoms of AlphaFold 3's diffusion, float32: subsets of queries attend to windows
// of keys, which are atoms too. Adaptive layer norms of both, projections, attention with a bias
// for each pair, gate, output projection and its own gate, for all samples together.
//
// An atom is in the windows of several subsets. Its key and value are computed once, and a window
// that is a run of atoms, as all are in large structures, is read where they are.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "adaptive/columns.h"
#include "adaptive/conditioning.h"
#include "adaptive/heads.h"
#include "attention/attention_panels.h"
#include "attention/attention_softmax.h"
#include "parallel.h"
#include "product/product.h"
#include "vector.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace perfkit {
namespace {

using adaptive::Products;
using attention::kBlock;

struct AtomAttention {
  adaptive::Shape shape;  // tokens are atoms
  int64_t subsets, queries_of_subset, keys_of_subset, heads;
  adaptive::HeadLayout<float> layout;
  const float *query_mask, *key_mask;  // [atoms], [subsets, keys]
  const int32_t* atoms_of_keys;        // [subsets, keys]
  const bool* key_exists;              // [subsets, keys]
  const float* pair;                   // of the layer, in [atoms, pair_heads, keys]
  int64_t pair_heads;
  const float* query_bias;
  adaptive::Weights<float> query_weights, key_weights, value_weights, gate_weights;

  // Queries, values, gates and results: [batch, rows, width]. Keys: [batch, width, key_stride].
  float *queries, *keys, *values, *gates, *mixed;

  int64_t width() const { return heads * layout.head_dim; }
  int64_t key_stride() const { return shape.padded() + 16; }

  void project_queries(ffi::ThreadPool pool, const float* normed, int64_t stride) const {
    const auto use = [&](const Products& products) {
      for (int64_t r = 0; r < products.rows; ++r)
        for (int64_t c = 0; c < products.columns; c += Floats::width) {
          const int64_t count = std::min(Floats::width, products.columns - c);
          const int64_t at = (products.row + r) * width() + products.column + c;
          const Floats bias = load_partial(query_bias + products.column + c, count);
          store_partial(queries + at, load(products.at(0, r) + c) + bias, count);
          store_partial(gates + at, sigmoid(load(products.at(1, r) + c)), count);
        }
    };
    adaptive::multiply_columns<float, 2>(
        pool, normed, stride, shape.rows(), {query_weights, gate_weights}, width(),
        adaptive::fair_columns(pool, shape.rows(), width()), use);
  }

  void project_keys(ffi::ThreadPool pool, const float* normed, int64_t stride) const {
    const auto use = [&](const Products& products) {
      for (int64_t r = 0; r < products.rows; r += kBlock) {
        const int64_t row = products.row + r;
        const int64_t element = row / shape.padded(), atom = row % shape.padded();
        float* panel = keys + (element * width() + products.column) * key_stride() + atom;
        for (int64_t c = 0; c < products.columns; c += 16)
          attention::transpose(products.at(0, r) + c, products.stride, panel + c * key_stride(),
                               key_stride());
        for (int64_t i = 0; i < kBlock; ++i)
          std::memcpy(values + (row + i) * width() + products.column, products.at(1, r + i),
                      static_cast<size_t>(products.columns) * sizeof(float));
      }
    };
    adaptive::multiply_columns<float, 2>(
        pool, normed, stride, shape.rows(), {key_weights, value_weights}, width(),
        adaptive::fair_columns(pool, shape.rows(), width()), use);
  }

  int64_t atom_of(int64_t subset, int64_t key) const {
    const int64_t atom = atoms_of_keys[subset * keys_of_subset + key];
    // As XLA's gather does.
    return std::max<int64_t>(0, std::min(atom, shape.tokens - 1));
  }

  // Whether the window of a subset is a run of existing atoms.
  bool is_run(int64_t subset) const {
    const int64_t first = atom_of(subset, 0);
    for (int64_t key = 0; key < keys_of_subset; ++key)
      if (!key_exists[subset * keys_of_subset + key] || atom_of(subset, key) != first + key)
        return false;
    return true;
  }

  // Keys and values of one head in the window of a subset, as panels.
  struct Window {
    const float *keys, *values;
    int64_t key_stride, value_stride;
  };

  Window run_of_atoms(int64_t subset, int64_t head, int64_t element) const {
    const int64_t atom = atom_of(subset, 0), column = head * layout.head_dim;
    return {keys + (element * width() + column) * key_stride() + atom,
            values + (element * shape.padded() + atom) * width() + column, key_stride(), width()};
  }

  // Copies atoms one by one; a key that does not exist is zeros.
  Window gathered(int64_t subset, int64_t head, int64_t element) const {
    const int64_t size = layout.head_dim * keys_of_subset;
    float* key_panel = scratch<float>(adaptive::kGathered, 2 * size);
    float* value_panel = key_panel + size;
    const int64_t column = head * layout.head_dim;
    const float* from = keys + (element * width() + column) * key_stride();
    for (int64_t key = 0; key < keys_of_subset; ++key) {
      const int64_t atom = atom_of(subset, key);
      const bool exists = key_exists[subset * keys_of_subset + key];
      const float* value = values + (element * shape.padded() + atom) * width() + column;
      for (int64_t d = 0; d < layout.head_dim; ++d) {
        key_panel[d * keys_of_subset + key] = exists ? from[d * key_stride() + atom] : 0.0f;
        value_panel[key * layout.head_dim + d] = exists ? value[d] : 0.0f;
      }
    }
    return {key_panel, value_panel, keys_of_subset, layout.head_dim};
  }

  // The bias of a block of queries, with the factor log2(e).
  void fill_bias(int64_t subset, int64_t head, int64_t query, float* bias) const {
    const Floats log2e = broadcast(attention::kLog2E);
    const float* key_masks = key_mask + subset * keys_of_subset;
    for (int64_t i = 0; i < kBlock; ++i) {
      const int64_t atom = subset * queries_of_subset + query + i;
      const float* row = pair + (atom * pair_heads + head) * keys_of_subset;
      // What upstream adds: it differs from 0 only where query and key are masked.
      const Floats factor = broadcast(1e9f * (query_mask[atom] - 1.0f));
      for (int64_t key = 0; key < keys_of_subset; key += Floats::width) {
        const Floats masked = factor * (load(key_masks + key) - broadcast(1.0f));
        store(bias + i * keys_of_subset + key, (masked + load(row + key)) * log2e);
      }
    }
  }

  void attend(int64_t subset, int64_t head) const {
    const bool run = is_run(subset);
    float* bias = scratch<float>(adaptive::kRowBias, kBlock * keys_of_subset);
    for (int64_t query = 0; query < queries_of_subset; query += kBlock) {
      fill_bias(subset, head, query, bias);
      for (int64_t element = 0; element < shape.batch; ++element) {
        const Window window =
            run ? run_of_atoms(subset, head, element) : gathered(subset, head, element);
        adaptive::HeadLayout<float> here = layout;
        here.key_stride = window.key_stride;
        here.value_stride = window.value_stride;
        const int64_t at =
            (element * shape.padded() + subset * queries_of_subset + query) * width() +
            head * layout.head_dim;
        here.attend(queries + at, width(), window.keys, window.values, gates + at, width(), bias,
                    keys_of_subset, kBlock, mixed + at, width());
      }
    }
  }

  void run(ffi::ThreadPool pool, const float* query_normed, const float* key_normed,
           int64_t stride) {
    const int64_t size = shape.rows() * width();
    queries = scratch<float>(adaptive::kQueries, size);
    keys = scratch<float>(adaptive::kKeys, shape.batch * width() * key_stride());
    values = scratch<float>(adaptive::kValues, size);
    gates = scratch<float>(adaptive::kGates, size);
    mixed = scratch<float>(adaptive::kMixed, size);
    project_queries(pool, query_normed, stride);
    project_keys(pool, key_normed, stride);
    parallel_for(pool, subsets * heads,
                 [&](int64_t piece) { attend(piece / heads, piece % heads); });
  }
};

// Operands: x [batch, atoms, channels]; the layer; masks of queries [atoms] and keys [subsets,
// keys]; the atom of each key, int32, and whether it exists, both [subsets, keys]; the bias
// [atoms, some layers, heads, keys]; parameters of the projections as for SelfAttention; Conditioning of
// the queries; of the keys, what is used for the adaptive layer norm. The condition of a key is
// that of its atom.
ffi::Error atom_attention(ffi::ThreadPool pool, ffi::RemainingArgs operands,
                          ffi::ResultBuffer<ffi::F32> result, double softmax_scale) {
  if (operands.size() != 13 + adaptive::kConditioningOperands + 4)
    return ffi::Error::InvalidArgument("the attention of atoms has 24 operands");
  adaptive::Operands next(operands);
  AtomAttention work{};
  const ffi::AnyBuffer x = next.buffer();
  work.shape = adaptive::shape_of(x);
  const int64_t layer = *next.whole<int32_t>();
  work.query_mask = next.whole<float>();
  const ffi::AnyBuffer key_mask = next.buffer();
  work.key_mask = static_cast<const float*>(key_mask.untyped_data());
  work.subsets = key_mask.dimensions()[0];
  work.keys_of_subset = key_mask.dimensions()[1];
  work.queries_of_subset = work.shape.tokens / work.subsets;
  work.atoms_of_keys = next.whole<int32_t>();
  work.key_exists = next.whole<bool>();
  const ffi::AnyBuffer pair = next.buffer();
  const int64_t group = pair.dimensions()[1];
  work.heads = pair.dimensions()[2];
  work.pair_heads = group * work.heads;
  work.pair = static_cast<const float*>(pair.untyped_data()) +
              layer % group * work.heads * work.keys_of_subset;
  work.query_weights = next.weights<float>(layer, false);
  const int64_t width = work.query_weights.ld, head_dim = width / work.heads;
  if (work.queries_of_subset % 16 || work.keys_of_subset % 32 || head_dim % 16)
    return ffi::Error::InvalidArgument("a subset has multiples of 16 queries and 32 keys");
  work.query_bias = next.of_layer<float>(layer);
  work.key_weights = next.weights<float>(layer, false);
  work.value_weights = next.weights<float>(layer, false);
  work.gate_weights = next.weights<float>(layer, false);
  const auto out_weights = next.weights<float>(layer, false);
  const auto by = next.conditioning<float>(layer);
  adaptive::Conditioning<float> of_keys = by;
  of_keys.norm_scale = next.of_layer<float>(layer);
  of_keys.scale_weights = next.of_layer<float>(layer);
  of_keys.scale_bias = next.of_layer<float>(layer);
  of_keys.shift_weights = next.of_layer<float>(layer);
  work.layout = adaptive::HeadLayout<float>(head_dim, 0, work.keys_of_subset,
                                            static_cast<float>(softmax_scale));

  const int64_t stride = padded_stride<float>(work.shape.channels);
  const float* from = static_cast<const float*>(x.untyped_data());
  const auto normed = [&](adaptive::Slot slot, const adaptive::Conditioning<float>& conditioning) {
    float* out = scratch<float>(slot, work.shape.rows() * stride);
    adaptive::normalise<float>(pool, work.shape, from, nullptr, nullptr, out, stride);
    adaptive::modulate<float>(pool, work.shape, conditioning, out, stride);
    return out;
  };
  const float* query_normed = normed(adaptive::kActivations, by);
  const float* key_normed = normed(adaptive::kHidden, of_keys);
  work.run(pool, query_normed, key_normed, stride);
  const float* gates = adaptive::zero_gates<float>(pool, work.shape, by);
  adaptive::project_output<float>(pool, work.shape, work.mixed, width, out_weights, gates,
                                  result->typed_data());
  return ffi::Error::Success();
}

}  // namespace
}  // namespace perfkit

XLA_FFI_DEFINE_HANDLER_SYMBOL(AtomAttention, perfkit::atom_attention,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .RemainingArgs()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Attr<double>("softmax_scale"));
