// The shared headers of the kernels as handlers of their own, for their tests.
#include <algorithm>

#include "layer_norm.h"
#include "product/product.h"
#include "vector.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace perfkit {
namespace {

// C + A B with the first `inner` columns of A, and B or its transpose. C has a multiple of 16
// columns and B's n may be smaller.
template <class T>
void multiply(ffi::AnyBuffer a, ffi::AnyBuffer b, ffi::Buffer<ffi::F32> initial,
              ffi::ResultBuffer<ffi::F32> result, bool transposed, bool accumulate) {
  const int64_t m = a.dimensions()[0], lda = a.dimensions()[1];
  const int64_t k = b.dimensions()[transposed], n = b.dimensions()[!transposed];
  const int64_t ldc = initial.dimensions()[1];
  const T* right = static_cast<const T*>(b.untyped_data());
  T* packed = scratch<T>(0, packed_size<T>(k, n));
  // In two parts, as kernels that pack in parallel do.
  const int64_t half = n / 2 / kPanelColumns * kPanelColumns;
  const int64_t row_stride = transposed ? 1 : n, column_stride = transposed ? k : 1;
  pack<T>(right, row_stride, column_stride, k, half, packed);
  pack<T>(right + half * column_stride, row_stride, column_stride, k, n - half,
          packed + packed_size<T>(k, half));
  std::copy_n(initial.typed_data(), m * ldc, result->typed_data());
  const ProductSession session;
  product<T>(static_cast<const T*>(a.untyped_data()), lda, packed, result->typed_data(), ldc, m, n,
             k, accumulate);
}

ffi::Error test_product(ffi::AnyBuffer a, ffi::AnyBuffer b, ffi::Buffer<ffi::F32> initial,
                        ffi::ResultBuffer<ffi::F32> result, bool transposed, bool accumulate) {
  const auto run = a.element_type() == ffi::BF16 ? multiply<bfloat16> : multiply<float>;
  run(a, b, initial, result, transposed, accumulate);
  return ffi::Error::Success();
}

template <class T>
void normalise(ffi::AnyBuffer x, const float* scale, const float* offset,
               ffi::Result<ffi::AnyBuffer> result) {
  layer_norm<T>(static_cast<const T*>(x.untyped_data()), scale, offset,
                static_cast<T*>(result->untyped_data()), x.dimensions()[0], x.dimensions()[1]);
}

ffi::Error test_layer_norm(ffi::AnyBuffer x, ffi::Buffer<ffi::F32> scale,
                           ffi::Buffer<ffi::F32> offset, ffi::Result<ffi::AnyBuffer> result) {
  const auto run = x.element_type() == ffi::BF16 ? normalise<bfloat16> : normalise<float>;
  run(x, scale.typed_data(), offset.typed_data(), result);
  return ffi::Error::Success();
}

// Rows: exp, sigmoid, their forms for bfloat16, and x rounded to bfloat16.
ffi::Error test_functions(ffi::Buffer<ffi::F32> x, ffi::ResultBuffer<ffi::F32> result) {
  const int64_t count = x.dimensions()[0];
  float* out = result->typed_data();
  for (int64_t i = 0; i < count; i += Floats::width) {
    const int64_t lanes = std::min(Floats::width, count - i);
    const Floats values = load_partial(x.typed_data() + i, lanes);
    store_partial(out + i, exp(values), lanes);
    store_partial(out + count + i, sigmoid(values), lanes);
    store_partial(out + 2 * count + i, exp_for_bfloat16(values), lanes);
    store_partial(out + 3 * count + i, sigmoid_for_bfloat16(values), lanes);
    bfloat16 rounded[Floats::width];
    store_partial(rounded, values, lanes);
    store_partial(out + 4 * count + i, load_partial(rounded, lanes), lanes);
  }
  return ffi::Error::Success();
}

}  // namespace
}  // namespace perfkit

XLA_FFI_DEFINE_HANDLER_SYMBOL(TestProduct, perfkit::test_product,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Attr<bool>("transposed")
                                  .Attr<bool>("accumulate"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(TestLayerNorm, perfkit::test_layer_norm,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::AnyBuffer>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(TestFunctions, perfkit::test_functions,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>());
