// Messages along the edges of a graph network, summed over the edges into each receiver.
//
// The first layer of a message is the sum of a product with the edge's own features, a row of its
// sender and a row of its receiver. Swish, the second layer, layer norm, sum and modulation follow.
// A block of edges passes through all steps while it is in the cache, so that no array with a row
// for each edge is written to memory. All edges into a receiver are added by one thread in their
// order, so that the result does not depend on the number of threads.
#include <algorithm>
#include <cstdint>

#include "counts.h"
#include "graph/rows.h"
#include "parallel.h"
#include "product/product.h"
#include "vector.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace perfkit {
namespace {

using graph::for_vectors;
using graph::put;
using graph::take;

// Most edges that pass through all steps together: the packed weights are read once for them.
constexpr int64_t kEdges = 128;
// Edges of a piece of work, but for more edges of its last receiver: a little less than four times
// as many, so that these fit in.
constexpr int64_t kEdgesOfPiece = 480;
// Rows of a tile of the products.
constexpr int64_t kTile = 16;

enum Slot { kPackedFirst, kPackedSecond, kProducts, kActivated, kSums };

template <class T>
struct EdgeMessages {
  int64_t edges, receiver_count, sender_count, rank, channels, outputs;
  const T* features;         // [edges, rank]
  const T* feature_weights;  // [rank, channels]
  const T* sent;             // [senders, channels]
  const int32_t* senders;    // [edges]
  const T* received;         // [receivers, channels]
  const int32_t* receivers;  // [edges], ascending
  const T* weights;          // [channels, outputs]
  const float *bias, *scale, *offset;  // [outputs]
  float share;
  T* result;  // [receivers, outputs]
  const T *packed_first, *packed_second;

  bool receivers_ascend() const {
    if (edges > 0 && (receivers[0] < 0 || receivers[edges - 1] >= receiver_count)) return false;
    return std::is_sorted(receivers, receivers + edges);
  }

  // The first receiver of a piece: the one behind that of the last edge of the pieces before it.
  int64_t first_receiver(int64_t piece, int64_t piece_count) const {
    if (piece == 0) return 0;
    return piece == piece_count ? receiver_count : receivers[piece * kEdgesOfPiece - 1] + 1;
  }

  int64_t first_edge(int64_t receiver) const {
    return std::lower_bound(receivers, receivers + edges, receiver) - receivers;
  }

  int64_t stride() const { return padded_stride<float>(std::max(channels, outputs)); }

  // The messages of `count` edges up to the second layer without its bias, with row stride().
  void multiply(int64_t first, int64_t count, float* products, T* activated) const {
    const int64_t ld = padded_stride<T>(channels);
    product<T>(features + first * rank, rank, packed_first, products, stride(), count, channels,
               rank, false);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t sender =
          std::clamp<int64_t>(senders[first + i], 0, std::max<int64_t>(sender_count - 1, 0));
      const T* from = sent + sender * channels;
      const T* to = received + receivers[first + i] * channels;
      const float* row = products + i * stride();
      T* out = activated + i * ld;
      for_vectors(channels, [&](int64_t c, auto lanes) {
        const Floats nodes = take(from + c, lanes) + take(to + c, lanes);
        put(out + c, graph::swish<T>(take(row + c, lanes) + nodes), lanes);
      });
    }
    product<T>(activated, ld, packed_second, products, stride(), count, outputs, channels, false);
  }

  // sums += the normalised message in a row of products.
  void add_message(float* row, float* sums) const {
    for_vectors(outputs, [&](int64_t c, auto lanes) {
      put(row + c, take(row + c, lanes) + take(bias + c, lanes), lanes);
    });
    const graph::Moments at = graph::moments(row, outputs);
    for_vectors(outputs, [&](int64_t c, auto lanes) {
      const Floats centred = take(row + c, lanes) - at.mean;
      put(sums + c, fma(centred, at.inverse, take(sums + c, lanes)), lanes);
    });
  }

  // Writes the modulated sum of the messages into a receiver, and clears the sums.
  void finish(int64_t receiver, int64_t count, float* sums) const {
    const Floats factor = broadcast(share);
    const Floats messages = broadcast(static_cast<float>(count));
    for_vectors(outputs, [&](int64_t c, auto lanes) {
      const Floats offsets = messages * take(offset + c, lanes);
      const Floats modulated = fma(take(sums + c, lanes), take(scale + c, lanes), offsets);
      put(result + receiver * outputs + c, modulated * factor, lanes);
      put(sums + c, zeros(), lanes);
    });
  }

  void run_receivers(int64_t receiver, int64_t end) const {
    if (receiver >= end) return;
    const ProductSession session;
    float* products = scratch<float>(kProducts, kEdges * stride());
    T* activated = scratch<T>(kActivated, kEdges * padded_stride<T>(channels));
    float* sums = scratch<float>(kSums, outputs);
    std::fill(sums, sums + outputs, 0.0f);
    int64_t count = 0;
    const int64_t first = first_edge(receiver), last = first_edge(end);
    const int64_t blocks = std::max<int64_t>(1, pieces(last - first, kEdges));
    const int64_t even = pieces(last - first, blocks * kTile) * kTile;
    for (int64_t edge = first; edge < last; edge += even) {
      const int64_t here = std::min(even, last - edge);
      multiply(edge, here, products, activated);
      for (int64_t i = 0; i < here; ++i, ++count) {
        for (; receiver < receivers[edge + i]; ++receiver, count = 0) finish(receiver, count, sums);
        add_message(products + i * stride(), sums);
      }
    }
    for (; receiver < end; ++receiver, count = 0) finish(receiver, count, sums);
  }

  void run(ffi::ThreadPool pool) {
    T* first = scratch<T>(kPackedFirst, packed_size<T>(rank, channels));
    T* second = scratch<T>(kPackedSecond, packed_size<T>(channels, outputs));
    graph::pack_all<T>(pool, feature_weights, rank, channels, first);
    graph::pack_all<T>(pool, weights, channels, outputs, second);
    packed_first = first;
    packed_second = second;
    const int64_t count = std::max<int64_t>(1, pieces(edges, kEdgesOfPiece));
    parallel_for(pool, count, [&](int64_t piece) {
      run_receivers(first_receiver(piece, count), first_receiver(piece + 1, count));
    });
  }
};

template <class T>
ffi::Error run_messages(ffi::ThreadPool pool, ffi::AnyBuffer features,
                        ffi::AnyBuffer feature_weights, ffi::AnyBuffer sent,
                        ffi::Buffer<ffi::S32> senders, ffi::AnyBuffer received,
                        ffi::Buffer<ffi::S32> receivers, ffi::AnyBuffer weights,
                        ffi::Buffer<ffi::F32> bias, ffi::Buffer<ffi::F32> scale,
                        ffi::Buffer<ffi::F32> offset, ffi::Result<ffi::AnyBuffer> result,
                        double share) {
  const auto data = [](ffi::AnyBuffer buffer) {
    return static_cast<const T*>(buffer.untyped_data());
  };
  EdgeMessages<T> work{};
  work.edges = features.dimensions()[0];
  work.rank = features.dimensions()[1];
  work.sender_count = sent.dimensions()[0];
  work.receiver_count = received.dimensions()[0];
  work.channels = weights.dimensions()[0];
  work.outputs = weights.dimensions()[1];
  work.features = data(features);
  work.feature_weights = data(feature_weights);
  work.sent = data(sent);
  work.senders = senders.typed_data();
  work.received = data(received);
  work.receivers = receivers.typed_data();
  work.weights = data(weights);
  work.bias = bias.typed_data();
  work.scale = scale.typed_data();
  work.offset = offset.typed_data();
  work.share = static_cast<float>(share);
  work.result = static_cast<T*>(result->untyped_data());
  if (!work.receivers_ascend())
    return ffi::Error::InvalidArgument("the receivers of the edges must exist and ascend");
  work.run(pool);
  return ffi::Error::Success();
}

// Arrays without a stated type have the dtype of the features: float32 or bfloat16.
ffi::Error edge_messages(ffi::ThreadPool pool, ffi::AnyBuffer features,
                         ffi::AnyBuffer feature_weights, ffi::AnyBuffer sent,
                         ffi::Buffer<ffi::S32> senders, ffi::AnyBuffer received,
                         ffi::Buffer<ffi::S32> receivers, ffi::AnyBuffer weights,
                         ffi::Buffer<ffi::F32> bias, ffi::Buffer<ffi::F32> scale,
                         ffi::Buffer<ffi::F32> offset, ffi::Result<ffi::AnyBuffer> result,
                         double share) {
  const auto run =
      features.element_type() == ffi::BF16 ? run_messages<bfloat16> : run_messages<float>;
  return run(pool, features, feature_weights, sent, senders, received, receivers, weights, bias,
             scale, offset, result, share);
}

}  // namespace
}  // namespace perfkit

XLA_FFI_DEFINE_HANDLER_SYMBOL(EdgeMessages, perfkit::edge_messages,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<double>("share"));
