// A kernel for tests of the frame: scaled sums of the rows of a matrix, in parallel.
#include "parallel.h"

namespace ffi = xla::ffi;

static ffi::Error row_sum(ffi::ThreadPool pool, ffi::Buffer<ffi::F32> x,
                          ffi::ResultBuffer<ffi::F32> sums, int64_t power, double scale,
                          bool negate) {
  const int64_t rows = x.dimensions()[0], columns = x.dimensions()[1];
  const float* values = x.typed_data();
  float* results = sums->typed_data();
  perfkit::parallel_for(pool, rows, [&](int64_t row) {
    double total = 0;
    for (int64_t column = 0; column < columns; ++column) {
      double term = 1;
      for (int64_t factor = 0; factor < power; ++factor) term *= values[row * columns + column];
      total += term;
    }
    results[row] = static_cast<float>((negate ? -scale : scale) * total);
  });
  return ffi::Error::Success();
}

XLA_FFI_DEFINE_HANDLER_SYMBOL(RowSum, row_sum,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Attr<int64_t>("power")
                                  .Attr<double>("scale")
                                  .Attr<bool>("negate"));
