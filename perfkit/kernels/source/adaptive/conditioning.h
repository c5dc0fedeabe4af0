// Adaptive layer norm and zero-initialised gates (Peebles and Xie, Scalable Diffusion Models with
// Transformers, 2023), as the diffusion of AlphaFold 3 has them: a layer norm whose scale and
// offset, and a gate of the result whose opening, are computed from a condition.
#ifndef PERFKIT_KERNELS_ADAPTIVE_CONDITIONING_H_
#define PERFKIT_KERNELS_ADAPTIVE_CONDITIONING_H_

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "adaptive/columns.h"
#include "counts.h"
#include "layer_norm.h"
#include "parallel.h"
#include "vector.h"
#include "xla/ffi/api/ffi.h"

namespace perfkit {
namespace adaptive {

// Activations [batch, tokens, channels]. In the buffers of a call, each element of the batch has
// `padded` rows, a multiple of 16; those behind the tokens are zeros or of no account.
struct Shape {
  int64_t batch, tokens, channels;

  int64_t padded() const { return rounded_up(tokens, 16); }
  int64_t rows() const { return batch * padded(); }
};

// Parameters of one layer, and the condition of the tokens: the same for all of the batch.
template <class T>
struct Conditioning {
  int64_t depth;           // channels of the condition
  const T* condition;      // [tokens, depth]
  const float* norm_scale;  // [depth], of the condition's own layer norm
  const T *scale_weights, *scale_bias;  // [depth, channels], [channels]
  const T* shift_weights;
  const T *gate_weights, *gate_bias;
  int64_t channels;
  bool packed;  // the weights, see columns.h

  Weights<T> weights(const T* data) const { return {data, depth, channels, packed}; }
};

template <class T>
Floats opened_gate(Floats gate) {
  return std::is_same_v<T, float> ? sigmoid(gate) : sigmoid_for_bfloat16(gate);
}

inline const float* filled(Slot slot, int64_t count, float value) {
  float* numbers = scratch<float>(slot, count);
  std::fill(numbers, numbers + count, value);
  return numbers;
}

// out = layer norm of x, with row stride `stride`. A scale or offset of nullptr is 1 or 0.
template <class T>
void normalise(xla::ffi::ThreadPool pool, const Shape& shape, const T* x, const float* scale,
               const float* offset, T* out, int64_t stride) {
  if (scale == nullptr) scale = filled(kOnes, shape.channels, 1.0f);
  if (offset == nullptr) offset = filled(kZeros, shape.channels, 0.0f);
  const int64_t in_element = pieces(shape.padded(), kRowsOfPiece);
  parallel_for(pool, shape.batch * in_element, [&](int64_t piece) {
    const int64_t element = piece / in_element, first = piece % in_element * kRowsOfPiece;
    const int64_t last = std::min(shape.padded(), first + kRowsOfPiece);
    const int64_t count = std::max<int64_t>(0, std::min(last, shape.tokens) - first);
    T* to = out + (element * shape.padded() + first) * stride;
    layer_norm<T>(x + (element * shape.tokens + first) * shape.channels, scale, offset, to, count,
                  shape.channels, stride);
    std::memset(static_cast<void*>(to + count * stride), 0,
                static_cast<size_t>((last - first - count) * stride) * sizeof(T));
  });
}

// normed = sigmoid(scale) normed + shift, with both from the condition; rows of zeros stay.
template <class T>
void modulate(xla::ffi::ThreadPool pool, const Shape& shape, const Conditioning<T>& by, T* normed,
              int64_t stride) {
  const Shape condition = {1, shape.tokens, by.depth};
  const int64_t condition_stride = padded_stride<T>(by.depth);
  T* conditions = scratch<T>(kCondition, condition.rows() * condition_stride);
  normalise<T>(pool, condition, by.condition, by.norm_scale, nullptr, conditions, condition_stride);
  const auto use = [&](const Products& products) {
    const int64_t last = std::min(products.rows, shape.tokens - products.row);
    for (int64_t r = 0; r < last; ++r)
      for (int64_t c = 0; c < products.columns; c += Floats::width) {
        const int64_t count = std::min(Floats::width, products.columns - c);
        const Floats bias = load_partial(by.scale_bias + products.column + c, count);
        const Floats scale = opened_gate<T>(load(products.at(0, r) + c) + bias);
        const Floats shift = load(products.at(1, r) + c);
        T* values = normed + (products.row + r) * stride + products.column + c;
        for (int64_t b = 0; b < shape.batch; ++b, values += shape.padded() * stride)
          store_partial(values, fma(scale, load_partial(values, count), shift), count);
      }
  };
  multiply_columns<T, 2>(pool, conditions, condition_stride, condition.rows(),
                         {by.weights(by.scale_weights), by.weights(by.shift_weights)},
                         shape.channels, fair_columns(pool, condition.rows(), shape.channels),
                         use);
}

// Gates [tokens, channels] of the result, between 0 and 1. They belong to the calling thread.
template <class T>
const float* zero_gates(xla::ffi::ThreadPool pool, const Shape& shape, const Conditioning<T>& by) {
  float* gates = scratch<float>(kZeroGates, shape.tokens * shape.channels);
  const auto use = [&](const Products& products) {
    for (int64_t r = 0; r < products.rows; ++r)
      for (int64_t c = 0; c < products.columns; c += Floats::width) {
        const int64_t count = std::min(Floats::width, products.columns - c);
        const Floats bias = load_partial(by.gate_bias + products.column + c, count);
        store_partial(gates + (products.row + r) * shape.channels + products.column + c,
                      opened_gate<T>(load(products.at(0, r) + c) + bias), count);
      }
  };
  multiply_columns<T, 1>(pool, by.condition, by.depth, shape.tokens,
                         {by.weights(by.gate_weights)}, shape.channels,
                         fair_columns(pool, shape.tokens, shape.channels), use);
  return gates;
}

// result = rows W, times the gates unless these are nullptr; W has the shape [k, channels].
template <class T>
void project_output(xla::ffi::ThreadPool pool, const Shape& shape, const T* rows, int64_t stride,
                    const Weights<T>& weights, const float* gates, T* result) {
  const auto use = [&](const Products& products) {
    for (int64_t r = 0; r < products.rows; ++r) {
      const int64_t row = products.row + r;
      const int64_t element = row / shape.padded(), token = row % shape.padded();
      if (token >= shape.tokens) continue;
      T* out = result + (element * shape.tokens + token) * shape.channels + products.column;
      const int64_t gate = token * shape.channels + products.column;
      for (int64_t c = 0; c < products.columns; c += Floats::width) {
        const int64_t count = std::min(Floats::width, products.columns - c);
        Floats value = load(products.at(0, r) + c);
        if (gates != nullptr) value = value * load_partial(gates + gate + c, count);
        store_partial(out + c, value, count);
      }
    }
  };
  multiply_columns<T, 1>(pool, rows, stride, shape.rows(), {weights}, shape.channels,
                         fair_columns(pool, shape.rows(), shape.channels), use);
}

// Where one layer of a parameter [layers, ...] begins.
//
// As in XLA's dynamic slice, a layer that does not exist stands for the nearest that does.
template <class T>
const T* layer_of(const xla::ffi::AnyBuffer& parameter, int64_t layer) {
  const int64_t layers = parameter.dimensions()[0];
  const int64_t size = static_cast<int64_t>(parameter.element_count()) / layers;
  layer = std::max<int64_t>(0, std::min(layer, layers - 1));
  return static_cast<const T*>(parameter.untyped_data()) + layer * size;
}

// The operands of a call, one after another. Parameters have an axis of layers in front.
class Operands {
 public:
  explicit Operands(const xla::ffi::RemainingArgs& all) : all_(all) {}

  xla::ffi::AnyBuffer buffer() { return all_.get<xla::ffi::AnyBuffer>(next_++).value(); }

  template <class T>
  const T* whole() {
    return static_cast<const T*>(buffer().untyped_data());
  }

  template <class T>
  const T* of_layer(int64_t layer) {
    return layer_of<T>(buffer(), layer);
  }

  // Weights [layers, k, columns] of one layer.
  template <class T>
  Weights<T> weights(int64_t layer, bool packed) {
    const xla::ffi::AnyBuffer all = buffer();
    const auto dimensions = all.dimensions();
    return {layer_of<T>(all, layer), dimensions[1], dimensions[2], packed};
  }

  template <class T>
  Conditioning<T> conditioning(int64_t layer, bool packed = false) {
    const xla::ffi::AnyBuffer condition = buffer();
    Conditioning<T> by{};
    by.packed = packed;
    by.depth = condition.dimensions().back();
    by.condition = static_cast<const T*>(condition.untyped_data());
    by.norm_scale = of_layer<float>(layer);
    const Weights<T> scale = weights<T>(layer, packed);
    by.channels = scale.ld;
    by.scale_weights = scale.data;
    by.scale_bias = of_layer<T>(layer);
    by.shift_weights = of_layer<T>(layer);
    by.gate_weights = of_layer<T>(layer);
    by.gate_bias = of_layer<T>(layer);
    return by;
  }

 private:
  const xla::ffi::RemainingArgs& all_;
  size_t next_ = 0;
};

constexpr size_t kConditioningOperands = 7;

inline Shape shape_of(const xla::ffi::AnyBuffer& x) {
  const auto dimensions = x.dimensions();
  return {dimensions[0], dimensions[1], dimensions[2]};
}

}  // namespace adaptive
}  // namespace perfkit

#endif  // PERFKIT_KERNELS_ADAPTIVE_CONDITIONING_H_
