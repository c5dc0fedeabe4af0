// Layer norm of the pair and its projection to one bias for each head of triangle attention.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "attention/attention_panels.h"
#include "attention/attention_products.h"
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
enum Slot { kNormed, kRounded, kProducts, kPacked };

// bias[heads, rows] = layer_norm(x[rows, channels]) weights[channels, heads].
template <class T>
void bias_all(ffi::ThreadPool pool, const ffi::AnyBuffer& x, const ffi::AnyBuffer& scale,
              const ffi::AnyBuffer& offset, const ffi::AnyBuffer& weights, T* bias) {
  using Operand = OperandOf<T>;
  constexpr int64_t piece = 1024;
  const int64_t channels = x.dimensions()[1], rows = x.dimensions()[0];
  const int64_t heads = weights.dimensions()[1], columns = (heads + 15) / 16 * 16;
  const int64_t stride = columns * kDepth<Operand>;
  Operand* panel = scratch<Operand>(kPacked, channels * columns);
  std::memset(static_cast<void*>(panel), 0,
              static_cast<size_t>(channels * columns) * sizeof(Operand));
  attention::pack_weights(static_cast<const T*>(weights.untyped_data()), heads, channels, heads,
                          panel, stride);
  parallel_for(pool, (rows + piece - 1) / piece, [&](int64_t index) {
    const ProductSession session;
    Operand* normed = scratch<Operand>(kNormed, kBlock * channels);
    T* rounded = scratch<T>(kRounded, kBlock * channels);
    float* block = scratch<float>(kProducts, kBlock * columns);
    const int64_t last = std::min(rows, (index + 1) * piece);
    for (int64_t row = index * piece; row < last; row += kBlock) {
      const int64_t count = std::min(kBlock, last - row);
      const T* first = static_cast<const T*>(x.untyped_data()) + row * channels;
      layer_norm(first, static_cast<const float*>(scale.untyped_data()),
                 static_cast<const float*>(offset.untyped_data()), rounded, count, channels);
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

XLA_FFI_DEFINE_HANDLER_SYMBOL(PairBias, perfkit::pair_bias,
                              xla::ffi::Ffi::Bind()
                                  .Ctx<xla::ffi::ThreadPool>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Ret<xla::ffi::AnyBuffer>());
