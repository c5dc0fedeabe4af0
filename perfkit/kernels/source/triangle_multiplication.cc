// Handlers of triangle multiplication.
#include <cstdint>

#include "triangle/triangle_contract.h"
#include "triangle/triangle_epilogue.h"
#include "vector.h"
#include "triangle/weights.h"
#include "xla/ffi/api/ffi.h"

namespace perfkit {
namespace {

namespace ffi = xla::ffi;

template <class T>
const T* data(const ffi::AnyBuffer& buffer) {
  return static_cast<const T*>(buffer.untyped_data());
}

template <class T>
ffi::Error contract(ffi::ThreadPool pool, const ffi::AnyBuffer& x, const ffi::AnyBuffer& scale,
                    const ffi::AnyBuffer& offset, const ffi::AnyBuffer& projection,
                    const ffi::AnyBuffer& projection_bias, const ffi::AnyBuffer& gate,
                    const ffi::AnyBuffer& gate_bias, const ffi::AnyBuffer& mask, bool outgoing,
                    ffi::AnyBuffer& out, ffi::AnyBuffer& tiles) {
  const int64_t n = x.dimensions()[0], channels = x.dimensions()[2];
  const int64_t columns = projection.dimensions()[1];
  const Operands<T> operands(static_cast<uint32_t*>(tiles.untyped_data()), columns / 2, n);
  const int64_t words = Weights<T>::words(channels, columns);
  uint32_t* packed = scratch<uint32_t>(kWeights, 2 * words);
  Contraction<T>{data<T>(x),
                 data<T>(projection_bias),
                 data<T>(gate_bias),
                 data<T>(mask),
                 data<float>(scale),
                 data<float>(offset),
                 n,
                 channels,
                 columns / 2,
                 outgoing,
                 Weights<T>(data<T>(projection), channels, columns, packed),
                 Weights<T>(data<T>(gate), channels, columns, packed + words),
                 operands,
                 static_cast<T*>(out.untyped_data())}
      .run(pool);
  return ffi::Error::Success();
}

ffi::Error contract_any(ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::AnyBuffer scale,
                        ffi::AnyBuffer offset, ffi::AnyBuffer projection,
                        ffi::AnyBuffer projection_bias, ffi::AnyBuffer gate,
                        ffi::AnyBuffer gate_bias, ffi::AnyBuffer mask, bool outgoing,
                        ffi::Result<ffi::AnyBuffer> out, ffi::Result<ffi::AnyBuffer> tiles) {
  const auto run = x.element_type() == ffi::F32 ? contract<float> : contract<bfloat16>;
  return run(pool, x, scale, offset, projection, projection_bias, gate, gate_bias, mask, outgoing,
             *out, *tiles);
}

template <class T>
ffi::Error epilogue(ffi::ThreadPool pool, const ffi::AnyBuffer& product, const ffi::AnyBuffer& x,
                    const ffi::AnyBuffer& in_scale, const ffi::AnyBuffer& in_offset,
                    const ffi::AnyBuffer& scale, const ffi::AnyBuffer& offset,
                    const ffi::AnyBuffer& output, const ffi::AnyBuffer& output_bias,
                    const ffi::AnyBuffer& gate, const ffi::AnyBuffer& gate_bias, const T* keep,
                    bool add_input, ffi::AnyBuffer& out) {
  const int64_t positions = x.dimensions()[0], channels = x.dimensions()[1];
  const int64_t hidden = product.dimensions()[0];
  const int64_t output_words = Weights<T>::words(hidden, channels);
  uint32_t* packed = scratch<uint32_t>(
      kWeights, output_words + Weights<T>::words(channels, channels));
  Epilogue<T>{data<T>(product),
              data<T>(x),
              data<T>(output_bias),
              data<T>(gate_bias),
              keep,
              data<float>(in_scale),
              data<float>(in_offset),
              data<float>(scale),
              data<float>(offset),
              positions,
              channels,
              hidden,
              add_input,
              Weights<T>(data<T>(output), hidden, channels, packed),
              Weights<T>(data<T>(gate), channels, channels, packed + output_words),
              static_cast<T*>(out.untyped_data())}
      .run(pool);
  return ffi::Error::Success();
}

ffi::Error epilogue_any(ffi::ThreadPool pool, ffi::AnyBuffer product, ffi::AnyBuffer x,
                        ffi::AnyBuffer in_scale, ffi::AnyBuffer in_offset, ffi::AnyBuffer scale,
                        ffi::AnyBuffer offset, ffi::AnyBuffer output, ffi::AnyBuffer output_bias,
                        ffi::AnyBuffer gate, ffi::AnyBuffer gate_bias, ffi::RemainingArgs keep,
                        bool add_input, ffi::Result<ffi::AnyBuffer> out) {
  const void* kept = nullptr;
  if (keep.size() > 0) {
    const auto buffer = keep.get<ffi::AnyBuffer>(0);
    if (buffer.has_error()) return buffer.error();
    kept = buffer->untyped_data();
  }
  if (x.element_type() == ffi::F32) {
    return epilogue<float>(pool, product, x, in_scale, in_offset, scale, offset, output,
                           output_bias, gate, gate_bias, static_cast<const float*>(kept),
                           add_input, *out);
  }
  return epilogue<bfloat16>(pool, product, x, in_scale, in_offset, scale, offset, output,
                            output_bias, gate, gate_bias, static_cast<const bfloat16*>(kept),
                            add_input, *out);
}

}  // namespace
}  // namespace perfkit

XLA_FFI_DEFINE_HANDLER_SYMBOL(TriangleContract, perfkit::contract_any,
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
                                  .Attr<bool>("outgoing")
                                  .Ret<xla::ffi::AnyBuffer>()
                                  .Ret<xla::ffi::AnyBuffer>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(TriangleEpilogue, perfkit::epilogue_any,
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
                                  .RemainingArgs()
                                  .Attr<bool>("add_input")
                                  .Ret<xla::ffi::AnyBuffer>());
