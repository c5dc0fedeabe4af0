// The gated transition: layer norm, two products, swish(a) * b, a third product and the residual.
//
// A block of rows passes through all steps while it is in the cache, so that the intermediate,
// eight times as wide as the input, is never written to memory.
#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "counts.h"
#include "layer_norm.h"
#include "parallel.h"
#include "product/product.h"
#include "vector.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace perfkit {
namespace {

// Rows that pass through all steps together: the packed weights are read once for them.
constexpr int64_t kMostRows = 128;
// Hidden columns whose gates and values are computed before they are combined.
constexpr int64_t kHiddenColumns = 64;

enum Slot { kPackedIn, kPackedOut, kNormalised, kProducts, kHidden, kResult };

template <class T>
struct Transition {
  int64_t rows, channels, hidden;
  const T *x, *gate_weights, *value_weights, *out_weights;
  const float *scale, *offset;
  const T* keep;  // nullptr without a mask
  bool add_input;
  T* result;
  // Panels of gate and value weights in turns, and of the output weights.
  const T *packed_in, *packed_out;

  int64_t panel_size() const { return packed_size<T>(channels, kPanelColumns); }
  int64_t hidden_panels() const { return pieces(hidden, kPanelColumns); }

  void pack_in(T* packed, int64_t panel) const {
    const int64_t column = panel * kPanelColumns;
    const int64_t columns = std::min(kPanelColumns, hidden - column);
    T* out = packed + 2 * panel * panel_size();
    pack<T>(gate_weights + column, hidden, 1, channels, columns, out);
    pack<T>(value_weights + column, hidden, 1, channels, columns, out + panel_size());
  }

  // hidden = swish(gate) * value for pairs of panels of `products`.
  static void combine(const float* products, int64_t stride, int64_t block_rows, int64_t panels,
                      T* out, int64_t out_stride) {
    for (int64_t r = 0; r < block_rows; ++r, products += stride) {
      for (int64_t column = 0; column < panels * kPanelColumns; column += Floats::width) {
        const float* gates = products + column + column / kPanelColumns * kPanelColumns;
        const Floats gate = load(gates);
        const Floats value = load(gates + kPanelColumns);
        store(out + r * out_stride + column, gate * gate_sigmoid(gate) * value);
      }
    }
  }

  static Floats gate_sigmoid(Floats gate) {
    if constexpr (std::is_same_v<T, bfloat16>) return sigmoid_for_bfloat16(gate);
    return sigmoid(gate);
  }

  void finish(const float* products, int64_t stride, int64_t first, int64_t block_rows) const {
    for (int64_t r = 0; r < block_rows; ++r) {
      const float kept = keep == nullptr ? 1.0f : to_float(keep[first + r]);
      const T* input = x + (first + r) * channels;
      T* out = result + (first + r) * channels;
      for (int64_t c = 0; c < channels; c += Floats::width) {
        const int64_t count = std::min(Floats::width, channels - c);
        Floats sum = kept == 0.0f ? zeros() : load(products + r * stride + c) * broadcast(kept);
        if (add_input) sum = load_partial(input + c, count) + sum;
        store_partial(out + c, sum, count);
      }
    }
  }

  void run_block(int64_t first, int64_t block_rows) const {
    const auto kept = [](T value) { return to_float(value) != 0.0f; };
    const int64_t out_stride = padded_stride<float>(channels);
    float* sums = scratch<float>(kResult, block_rows * out_stride);
    if (keep != nullptr && std::none_of(keep + first, keep + first + block_rows, kept)) {
      finish(sums, out_stride, first, block_rows);
      return;
    }
    const ProductSession session;
    const int64_t in_stride = padded_stride<T>(channels);
    T* normalised = scratch<T>(kNormalised, block_rows * in_stride);
    layer_norm<T>(x + first * channels, scale, offset, normalised, block_rows, channels, in_stride);
    constexpr int64_t kPanels = kHiddenColumns / kPanelColumns;
    const int64_t product_stride = padded_stride<float>(2 * kHiddenColumns);
    float* products = scratch<float>(kProducts, block_rows * product_stride);
    const int64_t wide_stride = padded_stride<T>(hidden_panels() * kPanelColumns);
    T* wide = scratch<T>(kHidden, block_rows * wide_stride);
    for (int64_t panel = 0; panel < hidden_panels(); panel += kPanels) {
      const int64_t panels = std::min(kPanels, hidden_panels() - panel);
      product<T>(normalised, in_stride, packed_in + 2 * panel * panel_size(), products,
                 product_stride, block_rows, 2 * panels * kPanelColumns, channels, false);
      combine(products, product_stride, block_rows, panels, wide + panel * kPanelColumns,
              wide_stride);
    }
    product<T>(wide, wide_stride, packed_out, sums, out_stride, block_rows, channels, hidden,
               false);
    finish(sums, out_stride, first, block_rows);
  }

  void run(ffi::ThreadPool pool) {
    T* in = scratch<T>(kPackedIn, 2 * hidden_panels() * panel_size());
    T* out = scratch<T>(kPackedOut, packed_size<T>(hidden, channels));
    const int64_t out_panels = pieces(channels, kPanelColumns);
    parallel_for(pool, hidden_panels() + out_panels, [&](int64_t index) {
      if (index < hidden_panels()) return pack_in(in, index);
      const int64_t column = (index - hidden_panels()) * kPanelColumns;
      pack<T>(out_weights + column, channels, 1, hidden, std::min(kPanelColumns, channels - column),
              out + (index - hidden_panels()) * packed_size<T>(hidden, kPanelColumns));
    });
    packed_in = in;
    packed_out = out;
    // Small inputs are divided so that every thread has work.
    const int64_t threads = std::max<int64_t>(pool.num_threads(), 1);
    const int64_t share = rounded_up(pieces(rows, threads), 32);
    const int64_t block = std::min(kMostRows, share);
    parallel_for(pool, pieces(rows, block), [&](int64_t index) {
      run_block(index * block, std::min(block, rows - index * block));
    });
  }
};

template <class T>
ffi::Error run_transition(ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::Buffer<ffi::F32> scale,
                          ffi::Buffer<ffi::F32> offset, ffi::AnyBuffer gate_weights,
                          ffi::AnyBuffer value_weights, ffi::AnyBuffer out_weights,
                          ffi::RemainingArgs masks, ffi::Result<ffi::AnyBuffer> result,
                          bool add_input) {
  const auto data = [](ffi::AnyBuffer buffer) {
    return static_cast<const T*>(buffer.untyped_data());
  };
  Transition<T> transition{};
  transition.channels = x.dimensions().back();
  transition.hidden = gate_weights.dimensions().back();
  transition.rows = static_cast<int64_t>(x.element_count()) / transition.channels;
  transition.x = data(x);
  transition.gate_weights = data(gate_weights);
  transition.value_weights = data(value_weights);
  transition.out_weights = data(out_weights);
  transition.scale = scale.typed_data();
  transition.offset = offset.typed_data();
  if (masks.size() > 0) {
    const auto keep = masks.get<ffi::AnyBuffer>(0);
    if (keep.has_error()) return keep.error();
    transition.keep = data(keep.value());
  }
  transition.add_input = add_input;
  transition.result = static_cast<T*>(result->untyped_data());
  transition.run(pool);
  return ffi::Error::Success();
}

// All arrays but scale and offset have the dtype of x: float32 or bfloat16.
ffi::Error glu_transition(ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::Buffer<ffi::F32> scale,
                          ffi::Buffer<ffi::F32> offset, ffi::AnyBuffer gate_weights,
                          ffi::AnyBuffer value_weights, ffi::AnyBuffer out_weights,
                          ffi::RemainingArgs masks, ffi::Result<ffi::AnyBuffer> result,
                          bool add_input) {
  const auto run = x.element_type() == ffi::BF16 ? run_transition<bfloat16> : run_transition<float>;
  return run(pool, x, scale, offset, gate_weights, value_weights, out_weights, masks, result,
             add_input);
}

}  // namespace
}  // namespace perfkit

XLA_FFI_DEFINE_HANDLER_SYMBOL(GluTransition, perfkit::glu_transition,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .RemainingArgs()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<bool>("add_input"));
