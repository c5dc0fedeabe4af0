// Layer norm of the pair and its projection to one bias for each head of attention.
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

// Rows whose biases are written together.
constexpr int64_t kRows = 64;

// The layer norm of x[rows, channels] times weights[channels, heads], as bias[runs, heads, length]:
// the rows of a run, `length` of them, are neighbours. With as many runs as queries, what is written
// at a time is near each other; the heads of all pairs would be in different pages.
template <class T>
struct PairBias {
  using Operand = OperandOf<T>;
  int64_t rows, channels, heads, length;
  const T* x;
  const float *scale, *offset;
  T* bias;
  const Operand* panel;

  int64_t columns() const { return (heads + 15) / 16 * 16; }
  int64_t panel_stride() const { return columns() * kDepth<Operand>; }
  // Products of bfloat16 take 32 elements of the inner dimension at a time.
  int64_t depth() const {
    return std::is_same_v<Operand, float> ? channels : (channels + 31) / 32 * 32;
  }

  // The layer norm of `count` rows, rounded to T, as a left operand.
  void normalise(int64_t row, int64_t count, Operand* normed) const {
    const T* first = x + row * channels;
    if constexpr (std::is_same_v<Operand, T>) {
      layer_norm<T>(first, scale, offset, normed, count, channels, depth());
    } else {
      T* rounded = scratch<T>(kRounded, kRows * channels);
      layer_norm<T>(first, scale, offset, rounded, count, channels);
      for (int64_t i = 0; i < count * channels; i += Floats::width)
        store(normed + i, load(rounded + i));
    }
  }

  // Writes products [kRows, columns] of `count` rows of a run.
  void store_turned(const float* products, int64_t row, int64_t count) const {
    alignas(64) float turned[16 * kRows];
    T* run = bias + row / length * heads * length + row % length;
    for (int64_t first = 0; first < heads; first += 16) {
      for (int64_t r = 0; r < count; r += 16)
        attention::transpose(products + r * columns() + first, columns(), turned + r, kRows);
      for (int64_t head = first; head < std::min(heads, first + 16); ++head)
        for (int64_t r = 0; r < count; r += Floats::width)
          store_partial(run + head * length + r, load(turned + (head - first) * kRows + r),
                        std::min(Floats::width, count - r));
    }
  }

  void run(int64_t first, int64_t last) const {
    const ProductSession session;
    Operand* normed = scratch<Operand>(kNormed, kRows * depth());
    // Behind the channels, and in rows that do not exist, there are zeros.
    std::memset(static_cast<void*>(normed), 0,
                static_cast<size_t>(kRows * depth()) * sizeof(Operand));
    float* products = scratch<float>(kProducts, kRows * columns());
    int64_t count = 0;
    for (int64_t row = first; row < last; row += count) {
      count = std::min(std::min(kRows, last - row), length - row % length);
      normalise(row, count, normed);
      for (int64_t r = 0; r < count; r += kBlock)
        attention::multiply(normed + r * depth(), depth(), panel, panel_stride(),
                            products + r * columns(), columns(), columns(), depth());
      store_turned(products, row, count);
    }
  }

  void run_all(ffi::ThreadPool pool, const T* weights) {
    constexpr int64_t piece = 1024;
    Operand* packed = scratch<Operand>(kPacked, depth() * columns());
    std::memset(static_cast<void*>(packed), 0,
                static_cast<size_t>(depth() * columns()) * sizeof(Operand));
    attention::pack_weights(weights, heads, channels, heads, packed, panel_stride());
    panel = packed;
    parallel_for(pool, (rows + piece - 1) / piece, [&](int64_t index) {
      run(index * piece, std::min(rows, (index + 1) * piece));
    });
  }
};

template <class T>
void bias_all(ffi::ThreadPool pool, const ffi::AnyBuffer& x, const ffi::AnyBuffer& scale,
              const ffi::AnyBuffer& offset, const ffi::AnyBuffer& weights, int64_t length, T* bias) {
  PairBias<T> work{};
  work.rows = x.dimensions()[0];
  work.channels = x.dimensions()[1];
  work.heads = weights.dimensions()[1];
  work.x = static_cast<const T*>(x.untyped_data());
  work.scale = static_cast<const float*>(scale.untyped_data());
  work.offset = static_cast<const float*>(offset.untyped_data());
  work.length = length;
  work.bias = bias;
  work.run_all(pool, static_cast<const T*>(weights.untyped_data()));
}

ffi::Error pair_bias(ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::AnyBuffer scale,
                     ffi::AnyBuffer offset, ffi::AnyBuffer weights,
                     ffi::Result<ffi::AnyBuffer> bias) {
  const int64_t length = bias->dimensions().back();
  if (x.element_type() == ffi::F32)
    bias_all(pool, x, scale, offset, weights, length, static_cast<float*>(bias->untyped_data()));
  else
    bias_all(pool, x, scale, offset, weights, length,
             static_cast<bfloat16*>(bias->untyped_data()));
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
