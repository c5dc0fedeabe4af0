// A block of a graph network or transformer: a multilayer perceptron of two layers for each row,
// with what comes before and after it.
//
// A block of rows passes through all steps while it is in the cache; the hidden layer is never
// written to memory.
#include <algorithm>
#include <cstdint>
#include <cstring>

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

// Most rows that pass through all steps together: the packed weights are read once for them.
constexpr int64_t kMostRows = 128;
// Hidden columns whose sums are in cache together.
constexpr int64_t kHiddenColumns = 512;
// Rows of a tile of the products.
constexpr int64_t kTile = 16;

enum Slot { kPackedFirst, kPackedSecond, kPackedThird, kInputs, kProducts, kHidden, kOut };

constexpr int64_t kMostInputs = 2;

// What surrounds the two layers.
struct Options {
  int64_t inputs;  // arrays whose products are added, each with its own weights
  bool added;      // a further array is added to the hidden layer before its activation
  bool gelu;       // instead of swish
  bool first_norm;  // layer norm and modulation of the first input
  bool last_norm;   // layer norm and modulation of the result
  bool residual;   // the first input, without layer norm, is added to the result
  bool projected;  // the result's product with further weights is a second result
};

struct Modulation {
  const float *scale, *offset;
};

template <class T>
struct MlpBlock {
  Options options;
  int64_t rows, hidden, outputs, projections;
  int64_t widths[kMostInputs];
  const T* inputs[kMostInputs];         // [rows, width]
  const T* first_weights[kMostInputs];  // [width, hidden]
  const T* added;                       // [rows, hidden]
  const float *first_bias, *second_bias;
  const T* second_weights;  // [hidden, outputs]
  const T* third_weights;   // [outputs, projections]
  Modulation first_norm, last_norm;
  T *result, *projected;
  const T *packed_first[kMostInputs], *packed_second, *packed_third;

  int64_t group_columns() const { return std::min(hidden, kHiddenColumns); }

  // Rows of an input, with the layer norm if there is one, into rows of padded_stride().
  const T* read_input(int64_t index, int64_t first, int64_t count) const {
    const int64_t width = widths[index], ld = padded_stride<T>(width);
    T* out = scratch<T>(kInputs, kMostRows * ld);
    const T* from = inputs[index] + first * width;
    if (index == 0 && options.first_norm) {
      layer_norm<T>(from, first_norm.scale, first_norm.offset, out, count, width, ld);
      return out;
    }
    for (int64_t i = 0; i < count; ++i)
      std::memcpy(static_cast<void*>(out + i * ld), from + i * width,
                  static_cast<size_t>(width) * sizeof(T));
    return out;
  }

  // The activated hidden columns from `column` on.
  void activate(const float* products, int64_t ld, int64_t first, int64_t count, int64_t column,
                int64_t columns, T* out, int64_t ld_out) const {
    for (int64_t i = 0; i < count; ++i) {
      const float* row = products + i * ld;
      const T* more = added == nullptr ? nullptr : added + (first + i) * hidden + column;
      T* to = out + i * ld_out + column;
      for_vectors(columns, [&](int64_t c, auto lanes) {
        Floats x = take(row + c, lanes) + take(first_bias + column + c, lanes);
        if (more != nullptr) x = x + take(more + c, lanes);
        put(to + c, options.gelu ? graph::gelu<T>(x) : graph::swish<T>(x), lanes);
      });
    }
  }

  const T* hidden_layer(int64_t first, int64_t count) const {
    const int64_t ld_hidden = padded_stride<T>(hidden);
    const int64_t ld = padded_stride<float>(group_columns());
    float* products = scratch<float>(kProducts, kMostRows * ld);
    T* out = scratch<T>(kHidden, kMostRows * ld_hidden);
    const T* one = options.inputs == 1 ? read_input(0, first, count) : nullptr;
    for (int64_t column = 0; column < hidden; column += kHiddenColumns) {
      const int64_t columns = std::min(kHiddenColumns, hidden - column);
      for (int64_t k = 0; k < options.inputs; ++k) {
        const T* input = one != nullptr ? one : read_input(k, first, count);
        product<T>(input, padded_stride<T>(widths[k]),
                   packed_first[k] + packed_size<T>(widths[k], column), products, ld, count,
                   columns, widths[k], k > 0);
      }
      activate(products, ld, first, count, column, columns, out, ld_hidden);
    }
    return out;
  }

  // The result's row from that of the second product, which is overwritten.
  void finish(float* row, const T* residual, T* out) const {
    for_vectors(outputs, [&](int64_t c, auto lanes) {
      put(row + c, take(row + c, lanes) + take(second_bias + c, lanes), lanes);
    });
    if (options.last_norm) {
      const graph::Moments at = graph::moments(row, outputs);
      for_vectors(outputs, [&](int64_t c, auto lanes) {
        const Floats factor = take(last_norm.scale + c, lanes) * at.inverse;
        const Floats centred = take(row + c, lanes) - at.mean;
        put(row + c, fma(centred, factor, take(last_norm.offset + c, lanes)), lanes);
      });
    }
    for_vectors(outputs, [&](int64_t c, auto lanes) {
      Floats x = take(row + c, lanes);
      if (options.residual) x = x + take(residual + c, lanes);
      put(out + c, x, lanes);
    });
  }

  void run_block(int64_t first, int64_t count) const {
    const ProductSession session;
    const T* activated = hidden_layer(first, count);
    const int64_t ld = padded_stride<float>(std::max(outputs, projections));
    float* products = scratch<float>(kProducts, kMostRows * ld);
    product<T>(activated, padded_stride<T>(hidden), packed_second, products, ld, count, outputs,
               hidden, false);
    const int64_t ld_out = padded_stride<T>(outputs);
    T* out = scratch<T>(kOut, kMostRows * ld_out);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t row = first + i;
      finish(products + i * ld, inputs[0] + row * widths[0], out + i * ld_out);
      std::memcpy(static_cast<void*>(result + row * outputs), out + i * ld_out,
                  static_cast<size_t>(outputs) * sizeof(T));
    }
    if (!options.projected) return;
    product<T>(out, ld_out, packed_third, products, ld, count, projections, outputs, false);
    for (int64_t i = 0; i < count; ++i) {
      const float* row = products + i * ld;
      T* to = projected + (first + i) * projections;
      for_vectors(projections, [&](int64_t c, auto lanes) { put(to + c, take(row + c, lanes), lanes); });
    }
  }

  void run(ffi::ThreadPool pool) {
    int64_t size = 0;
    for (int64_t k = 0; k < options.inputs; ++k) size += packed_size<T>(widths[k], hidden);
    T* first = scratch<T>(kPackedFirst, size);
    for (int64_t k = 0; k < options.inputs; ++k) {
      graph::pack_all<T>(pool, first_weights[k], widths[k], hidden, first);
      packed_first[k] = first;
      first += packed_size<T>(widths[k], hidden);
    }
    T* second = scratch<T>(kPackedSecond, packed_size<T>(hidden, outputs));
    graph::pack_all<T>(pool, second_weights, hidden, outputs, second);
    packed_second = second;
    if (options.projected) {
      T* third = scratch<T>(kPackedThird, packed_size<T>(outputs, projections));
      graph::pack_all<T>(pool, third_weights, outputs, projections, third);
      packed_third = third;
    }
    // Equal blocks, several for each thread.
    const int64_t threads = std::max<int64_t>(pool.num_threads(), 1);
    const int64_t wanted = pieces(std::max(pieces(rows, kMostRows), threads), threads);
    const int64_t block = pieces(rows, wanted * threads * kTile) * kTile;
    parallel_for(pool, pieces(rows, block), [&](int64_t index) {
      run_block(index * block, std::min(block, rows - index * block));
    });
  }
};

// The operands of a call, one after another.
class Operands {
 public:
  explicit Operands(const ffi::RemainingArgs& all) : all_(all) {}

  ffi::AnyBuffer buffer() { return all_.get<ffi::AnyBuffer>(next_++).value(); }
  template <class T>
  const T* data() {
    return static_cast<const T*>(buffer().untyped_data());
  }
  Modulation modulation() {
    const float* scale = data<float>();
    return {scale, data<float>()};
  }

 private:
  const ffi::RemainingArgs& all_;
  size_t next_ = 0;
};

template <class T>
ffi::Error run_block(ffi::ThreadPool pool, const ffi::RemainingArgs& operands,
                     const ffi::RemainingRets& results, const Options& options) {
  Operands next(operands);
  MlpBlock<T> work{};
  work.options = options;
  for (int64_t k = 0; k < options.inputs; ++k) {
    const ffi::AnyBuffer input = next.buffer();
    work.rows = input.dimensions()[0];
    work.widths[k] = input.dimensions()[1];
    work.inputs[k] = static_cast<const T*>(input.untyped_data());
    work.first_weights[k] = next.data<T>();
  }
  work.first_bias = next.data<float>();
  const ffi::AnyBuffer second = next.buffer();
  work.hidden = second.dimensions()[0];
  work.outputs = second.dimensions()[1];
  work.second_weights = static_cast<const T*>(second.untyped_data());
  work.second_bias = next.data<float>();
  if (options.added) work.added = next.data<T>();
  if (options.first_norm) work.first_norm = next.modulation();
  if (options.last_norm) work.last_norm = next.modulation();
  work.result = static_cast<T*>(results.get<ffi::AnyBuffer>(0).value()->untyped_data());
  if (options.projected) {
    const ffi::AnyBuffer third = next.buffer();
    work.projections = third.dimensions()[1];
    work.third_weights = static_cast<const T*>(third.untyped_data());
    work.projected = static_cast<T*>(results.get<ffi::AnyBuffer>(1).value()->untyped_data());
  }
  if (work.rows > 0) work.run(pool);
  return ffi::Error::Success();
}

// Operands: inputs, each followed by its weights; bias, weights and bias of the layers; then what
// the options ask for, in their order. Biases and modulations are float32, all other arrays have
// the dtype of the inputs: float32 or bfloat16.
ffi::Error mlp_block(ffi::ThreadPool pool, ffi::RemainingArgs operands,
                     ffi::RemainingRets results, int64_t inputs, bool added, bool gelu,
                     bool first_norm, bool last_norm, bool residual, bool projected) {
  const Options options = {inputs, added, gelu, first_norm, last_norm, residual, projected};
  const size_t expected = static_cast<size_t>(2 * inputs + 3 + added + 2 * first_norm +
                                              2 * last_norm + projected);
  if (inputs < 1 || inputs > kMostInputs || operands.size() != expected ||
      results.size() != 1u + projected)
    return ffi::Error::InvalidArgument("the block has other operands or results");
  const auto x = operands.get<ffi::AnyBuffer>(0);
  if (x.has_error()) return x.error();
  const auto run = x.value().element_type() == ffi::BF16 ? run_block<bfloat16> : run_block<float>;
  return run(pool, operands, results, options);
}

}  // namespace
}  // namespace perfkit

XLA_FFI_DEFINE_HANDLER_SYMBOL(MlpBlock, perfkit::mlp_block,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .RemainingArgs()
                                  .RemainingRets()
                                  .Attr<int64_t>("inputs")
                                  .Attr<bool>("added")
                                  .Attr<bool>("gelu")
                                  .Attr<bool>("first_norm")
                                  .Attr<bool>("last_norm")
                                  .Attr<bool>("residual")
                                  .Attr<bool>("projected"));
