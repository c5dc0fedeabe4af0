// The conditioned transition of AlphaFold 3's diffusion: adaptive layer norm, gated linear unit,
// output projection and gate, for all samples together.
#include <algorithm>
#include <array>
#include <cstdint>

#include "adaptive/columns.h"
#include "adaptive/conditioning.h"
#include "parallel.h"
#include "product/product.h"
#include "vector.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace perfkit {
namespace {

using adaptive::Products;

template <class T>
ffi::Error run_transition(ffi::ThreadPool pool, const ffi::RemainingArgs& operands, bool packed,
                          T* result) {
  adaptive::Operands next(operands);
  const ffi::AnyBuffer x = next.buffer();
  const adaptive::Shape shape = adaptive::shape_of(x);
  const int64_t layer = *next.whole<int32_t>();
  // The columns of the gate come before those of the value.
  const auto gate_weights = next.weights<T>(layer, packed);
  const int64_t hidden = gate_weights.ld / 2;
  const auto out_weights = next.weights<T>(layer, packed);
  const auto by = next.conditioning<T>(layer, packed);
  if (packed && !(adaptive::is_packable<T>(shape.channels, hidden) &&
                  adaptive::is_packable<T>(hidden, shape.channels) &&
                  adaptive::is_packable<T>(by.depth, shape.channels)))
    return ffi::Error::InvalidArgument("weights of these shapes cannot be packed");

  const int64_t stride = padded_stride<T>(shape.channels);
  T* normed = scratch<T>(adaptive::kActivations, shape.rows() * stride);
  adaptive::normalise<T>(pool, shape, static_cast<const T*>(x.untyped_data()), nullptr, nullptr,
                         normed, stride);
  adaptive::modulate<T>(pool, shape, by, normed, stride);

  const int64_t wide_stride = padded_stride<T>(hidden);
  T* wide = scratch<T>(adaptive::kHidden, shape.rows() * wide_stride);
  const auto use = [&](const Products& products) {
    for (int64_t r = 0; r < products.rows; ++r)
      for (int64_t c = 0; c < products.columns; c += Floats::width) {
        const Floats gate = load(products.at(0, r) + c), value = load(products.at(1, r) + c);
        store_partial(wide + (products.row + r) * wide_stride + products.column + c,
                      gate * adaptive::opened_gate<T>(gate) * value,
                      std::min(Floats::width, products.columns - c));
      }
  };
  adaptive::multiply_columns<T, 2>(pool, normed, stride, shape.rows(),
                                   {gate_weights, gate_weights.behind(hidden)}, hidden,
                                   adaptive::fair_columns(pool, shape.rows(), hidden), use);
  const float* gates = adaptive::zero_gates<T>(pool, shape, by);
  adaptive::project_output<T>(pool, shape, wide, wide_stride, out_weights, gates, result);
  return ffi::Error::Success();
}

// Operands: x [batch, tokens, channels]; the layer; the weights of gates and values [layers,
// channels, 2 hidden] and of the output [layers, hidden, channels]; Conditioning. All arrays have
// the dtype of x, except the layer, int32, and the scale of the condition's norm, float32.
// `packed`: each layer of all weights lies as pack() lays it out.
ffi::Error adaptive_transition(ffi::ThreadPool pool, ffi::RemainingArgs operands,
                               ffi::Result<ffi::AnyBuffer> result, bool packed) {
  if (operands.size() != 4 + adaptive::kConditioningOperands)
    return ffi::Error::InvalidArgument("the adaptive transition has 11 operands");
  if (result->element_type() == ffi::BF16)
    return run_transition(pool, operands, packed, static_cast<bfloat16*>(result->untyped_data()));
  return run_transition(pool, operands, packed, static_cast<float*>(result->untyped_data()));
}

}  // namespace
}  // namespace perfkit

XLA_FFI_DEFINE_HANDLER_SYMBOL(AdaptiveTransition, perfkit::adaptive_transition,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .RemainingArgs()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<bool>("packed"));
