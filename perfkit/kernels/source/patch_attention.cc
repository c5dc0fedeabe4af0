// Attention of patches: groups of nodes of a mesh attend to the nodes around them.
//
// The keys and values around a patch are gathered once for each head. Logits and softmax of 16
// queries stay in the level-1 cache.
#include <algorithm>
#include <cstdint>
#include <cstring>

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

using attention::kBlock;
using attention::kLog2E;

enum Slot { kKeys, kValues, kQueries, kMixed, kGathered, kBits, kFill, kBias };

// The slots of HeadLayout begin behind those of this file.
static_assert(static_cast<int>(kBias) < static_cast<int>(adaptive::kLogits), "slots overlap");

// Bit i says whether byte i of 16 is not zero.
inline uint16_t bits_of(const uint8_t* bytes) {
  const __m128i zero = _mm_setzero_si128();
  const __m128i loaded = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
  return static_cast<uint16_t>(~_mm_movemask_epi8(_mm_cmpeq_epi8(loaded, zero)));
}

template <class T>
struct PatchAttention {
  using Operand = attention::OperandOf<T>;

  int64_t nodes, heads, head_dim, patches, queries_of_patch, keys_of_patch;
  float masked_logit;
  const T *queries, *keys, *values;  // [nodes, heads, head_dim]
  const int32_t *query_nodes, *key_nodes;  // [patches, queries], [patches, keys]
  const int32_t* places;   // [nodes], in the flattened query_nodes
  const uint8_t* allowed;  // [patches, queries, keys]
  T* result;               // as queries
  adaptive::HeadLayout<Operand> layout;
  const float *fill, *bias;

  int64_t width() const { return heads * head_dim; }
  int64_t words() const { return layout.keys / 16; }

  int64_t node_of(int32_t node) const {
    return std::clamp<int64_t>(node, 0, std::max<int64_t>(nodes - 1, 0));
  }

  // 16 rows of an array from row `first` of a list of `count` nodes on; zeros behind its end.
  void gather(const T* array, const int32_t* list, int64_t first, int64_t count, int64_t head,
              float* out) const {
    for (int64_t i = 0; i < kBlock; ++i, out += layout.columns) {
      if (first + i >= count) {
        std::fill(out, out + layout.columns, 0.0f);
        continue;
      }
      const T* row = array + node_of(list[first + i]) * width() + head * head_dim;
      for (int64_t d = 0; d < layout.columns; d += Floats::width)
        store(out + d, load_partial(row + d, std::clamp<int64_t>(head_dim - d, 0, Floats::width)));
    }
  }

  // A bit for each key that a query of the patch attends to.
  void pack_bits(int64_t patch, uint16_t* bits) const {
    const int64_t whole = keys_of_patch / 16, rest = keys_of_patch % 16;
    for (int64_t query = 0; query < queries_of_patch; ++query, bits += words()) {
      const uint8_t* row = allowed + (patch * queries_of_patch + query) * keys_of_patch;
      std::fill(bits + whole, bits + words(), uint16_t{0});
      for (int64_t word = 0; word < whole; ++word) bits[word] = bits_of(row + 16 * word);
      if (rest) {
        uint8_t last[16] = {};
        std::memcpy(last, row + 16 * whole, static_cast<size_t>(rest));
        bits[whole] = bits_of(last);
      }
    }
  }

  void attend(int64_t patch, int64_t head) const {
    const ProductSession session;
    Operand* key_panel = scratch<Operand>(kKeys, layout.key_size());
    Operand* value_panel = scratch<Operand>(kValues, layout.value_size());
    float* gathered = scratch<float>(kGathered, kBlock * layout.columns);
    const int32_t* around = key_nodes + patch * keys_of_patch;
    for (int64_t key = 0; key < layout.keys; key += kBlock) {
      gather(keys, around, key, keys_of_patch, head, gathered);
      layout.store_keys(gathered, layout.columns, key, key_panel);
      gather(values, around, key, keys_of_patch, head, gathered);
      layout.store_values(gathered, layout.columns, key, value_panel);
    }
    uint16_t* bits = scratch<uint16_t>(kBits, queries_of_patch * words());
    pack_bits(patch, bits);
    Operand* rows = scratch<Operand>(kQueries, kBlock * layout.query_depth);
    T* mixed = scratch<T>(kMixed, kBlock * head_dim);
    const int32_t* inside = query_nodes + patch * queries_of_patch;
    for (int64_t query = 0; query < queries_of_patch; query += kBlock) {
      const int64_t count = std::min(kBlock, queries_of_patch - query);
      gather(queries, inside, query, queries_of_patch, head, gathered);
      for (int64_t i = 0; i < kBlock; ++i)
        for (int64_t d = 0; d < layout.query_depth; d += Floats::width)
          store(rows + i * layout.query_depth + d,
                d < layout.columns ? load(gathered + i * layout.columns + d) : zeros());
      layout.attend(rows, layout.query_depth, key_panel, value_panel,
                    static_cast<const Operand*>(nullptr), 0, bias, 0, count, mixed, head_dim,
                    {bits + query * words(), fill, false, words()});
      for (int64_t i = 0; i < count; ++i) {
        const int64_t node = node_of(inside[query + i]);
        // Short patches are filled with nodes that belong elsewhere.
        if (places[node] != patch * queries_of_patch + query + i) continue;
        std::memcpy(static_cast<void*>(result + node * width() + head * head_dim),
                    mixed + i * head_dim, static_cast<size_t>(head_dim) * sizeof(T));
      }
    }
  }

  void run(ffi::ThreadPool pool, float scale) {
    layout = adaptive::HeadLayout<Operand>(head_dim, 0, keys_of_patch, scale);
    float* of_masked = scratch<float>(kFill, layout.keys);
    std::fill(of_masked, of_masked + keys_of_patch, masked_logit * kLog2E);
    std::fill(of_masked + keys_of_patch, of_masked + layout.keys, -attention::kInfinity);
    float* none = scratch<float>(kBias, layout.keys);
    std::fill(none, none + layout.keys, 0.0f);
    fill = of_masked;
    bias = none;
    parallel_for(pool, patches * heads,
                 [&](int64_t piece) { attend(piece / heads, piece % heads); });
  }
};

template <class T>
ffi::Error run_attention(ffi::ThreadPool pool, ffi::AnyBuffer queries, ffi::AnyBuffer keys,
                         ffi::AnyBuffer values, ffi::Buffer<ffi::S32> query_nodes,
                         ffi::Buffer<ffi::S32> key_nodes, ffi::Buffer<ffi::S32> places,
                         ffi::Buffer<ffi::PRED> allowed, ffi::Result<ffi::AnyBuffer> result,
                         double softmax_scale, double masked_logit) {
  PatchAttention<T> work{};
  work.nodes = queries.dimensions()[0];
  work.heads = queries.dimensions()[1];
  work.head_dim = queries.dimensions()[2];
  work.patches = allowed.dimensions()[0];
  work.queries_of_patch = allowed.dimensions()[1];
  work.keys_of_patch = allowed.dimensions()[2];
  work.masked_logit = static_cast<float>(masked_logit);
  work.queries = static_cast<const T*>(queries.untyped_data());
  work.keys = static_cast<const T*>(keys.untyped_data());
  work.values = static_cast<const T*>(values.untyped_data());
  work.query_nodes = query_nodes.typed_data();
  work.key_nodes = key_nodes.typed_data();
  work.places = places.typed_data();
  work.allowed = reinterpret_cast<const uint8_t*>(allowed.typed_data());
  work.result = static_cast<T*>(result->untyped_data());
  work.run(pool, static_cast<float>(softmax_scale));
  return ffi::Error::Success();
}

// Queries, keys, values and the result have the dtype of the queries: float32 or bfloat16.
ffi::Error patch_attention(ffi::ThreadPool pool, ffi::AnyBuffer queries, ffi::AnyBuffer keys,
                           ffi::AnyBuffer values, ffi::Buffer<ffi::S32> query_nodes,
                           ffi::Buffer<ffi::S32> key_nodes, ffi::Buffer<ffi::S32> places,
                           ffi::Buffer<ffi::PRED> allowed, ffi::Result<ffi::AnyBuffer> result,
                           double softmax_scale, double masked_logit) {
  const auto run =
      queries.element_type() == ffi::BF16 ? run_attention<bfloat16> : run_attention<float>;
  return run(pool, queries, keys, values, query_nodes, key_nodes, places, allowed, result,
             softmax_scale, masked_logit);
}

}  // namespace
}  // namespace perfkit

XLA_FFI_DEFINE_HANDLER_SYMBOL(PatchAttention, perfkit::patch_attention,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::PRED>>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<double>("softmax_scale")
                                  .Attr<double>("masked_logit"));
