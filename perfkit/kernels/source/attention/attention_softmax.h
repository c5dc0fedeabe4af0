// Softmax of a block of logits in cache, for the attention kernels.
#ifndef PERFKIT_KERNELS_ATTENTION_SOFTMAX_H_
#define PERFKIT_KERNELS_ATTENTION_SOFTMAX_H_

#include <immintrin.h>

#include <cstdint>
#include <limits>
#include <type_traits>

#include "attention/attention_products.h"
#include "vector.h"

namespace perfkit {
namespace attention {

constexpr float kLog2E = 1.44269504088896341f;
constexpr float kLargest = std::numeric_limits<float>::max();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Which keys the queries attend to.
//
// keep[g] has a bit for each of the keys 16 g ... 16 g + 15; the words of the next query are `ld`
// further, so that 0 stands for the same keys for all. fill[key] replaces the logit of a key
// without a bit: the most negative float32 for a masked key, as in tokamax's
// DotProductAttention, so that a row without any key has equal weights; minus infinity behind the
// last key.
struct KeyMask {
  const uint16_t* keep;
  const float* fill;
  bool all;
  int64_t ld = 0;

  KeyMask of_query(int64_t row) const { return {keep + row * ld, fill, all, ld}; }
  KeyMask from_key(int64_t key) const {
    return all ? *this : KeyMask{keep + key / 16, fill + key, all, ld};
  }
};

// 2^t with a polynomial for 0 <= t - floor(t) < 1 whose value at 0 is 1, fitted for the smallest
// relative error: 8e-8 for float, 9e-5 for results that are rounded to bfloat16, which changes them
// by up to 2e-3. NaN stays NaN; minus infinity gives 0.
template <class Operand>
inline Floats power_of_two(Floats t) {
  const Floats part = fraction(t);
  Floats p;
  if constexpr (std::is_same_v<Operand, float>) {
    p = broadcast(1.8671300495043397e-3f);
    p = fma(p, part, broadcast(9.017030708491802e-3f));
    p = fma(p, part, broadcast(5.579991266131401e-2f));
    p = fma(p, part, broadcast(2.4016444385051727e-1f));
    p = fma(p, part, broadcast(6.931512951850891e-1f));
  } else {
    p = broadcast(7.706703990697861e-2f);
    p = fma(p, part, broadcast(2.2764499485492706e-1f));
    p = fma(p, part, broadcast(6.951167583465576e-1f));
  }
  return scale_by_power_below(fma(p, part, broadcast(1.0f)), t);
}

// The sigmoid of a gate, to the precision of an operand.
template <class Operand>
inline Floats opened(Floats gate) {
  return std::is_same_v<Operand, float> ? sigmoid(gate) : sigmoid_for_bfloat16(gate);
}

// Two vectors of consecutive numbers, as operands of a product.
inline void store_operands(float* p, Floats first, Floats second) {
  store(p, first);
  store(p + Floats::width, second);
}
#if defined(__AVX512BF16__)
inline void store_operands(bfloat16* p, Floats first, Floats second) {
  _mm512_storeu_si512(p, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second.lanes, first.lanes)));
}
#endif

// The logits of the kept keys, and the fill of the others, for keys `key` and following.
inline Floats masked(Floats logits, const KeyMask& mask, int64_t key) {
  const Floats fill = load(mask.fill + key);
#if defined(__AVX512F__)
  return {_mm512_mask_mov_ps(fill.lanes, mask.keep[key / 16], logits.lanes)};
#else
  const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i bits = _mm256_set1_epi32(mask.keep[key / 16] >> (key % 16));
  const __m256i kept = _mm256_cmpeq_epi32(_mm256_and_si256(bits, bit), bit);
  return {_mm256_blendv_ps(fill.lanes, logits.lanes, _mm256_castsi256_ps(kept))};
#endif
}

// The softmax of a block of rows over the keys seen so far.
struct SoftmaxState {
  float largest[kBlock];  // largest logit, with the factor log2(e)
  float sums[kBlock];     // of the weights, before these are rounded
  float factors[kBlock];  // by which the last keys made all earlier weights smaller
};

// Turns products of queries and keys into weights relative to the largest logit so far.
//
// products[rows, keys] (row stride ld) are overwritten. bias[rows, keys] and `scale` hold the
// factor log2(e). `first` says that no keys came before; `keys` is a multiple of 32.
template <bool kMasked, class Operand>
inline void softmax_rows(float* products, int64_t ld, const float* bias, int64_t ld_bias,
                         const KeyMask& mask, float scale, int64_t rows, int64_t keys, bool first,
                         Operand* weights, int64_t ld_weights, SoftmaxState& state) {
  constexpr int64_t width = Floats::width;
  const Floats factor = broadcast(scale);
  for (int64_t row = 0; row < rows; ++row) {
    float* logits = products + row * ld;
    const float* row_bias = bias + row * ld_bias;
    const KeyMask row_mask = kMasked ? mask.of_query(row) : mask;
    Floats largest[2] = {broadcast(-kInfinity), broadcast(-kInfinity)};
    for (int64_t key = 0; key < keys; key += 2 * width)
      for (int v = 0; v < 2; ++v) {
        const int64_t at = key + v * width;
        Floats logit = fma(load(logits + at), factor, load(row_bias + at));
        if (kMasked) logit = masked(logit, row_mask, at);
        store(logits + at, logit);
        largest[v] = max(logit, largest[v]);
      }
    // A NaN that max() drops comes back through the sum of the weights.
    const float here = maximum(max(largest[0], largest[1]));
    const float before = first ? -kInfinity : state.largest[row];
    const float most = here > before ? here : before;
    // Without any finite logit the weights are 0, not NaN: later keys may have one.
    const Floats shift = broadcast(most == -kInfinity ? 0.0f : most);
    state.largest[row] = most;
    Floats sums[2] = {zeros(), zeros()};
    Operand* row_weights = weights + row * ld_weights;
    for (int64_t key = 0; key < keys; key += 2 * width) {
      const Floats one = power_of_two<Operand>(load(logits + key) - shift);
      const Floats two = power_of_two<Operand>(load(logits + key + width) - shift);
      sums[0] = sums[0] + one;
      sums[1] = sums[1] + two;
      store_operands(row_weights + key, one, two);
    }
    const float added = sum(sums[0] + sums[1]);
    if (first) {
      state.sums[row] = added;
    } else {
      const Floats rest = power_of_two<float>(broadcast(before) - shift);
      store_partial(state.factors + row, rest, 1);
      state.sums[row] = state.sums[row] * state.factors[row] + added;
    }
  }
}

template <class Operand>
inline void softmax(float* products, int64_t ld, const float* bias, int64_t ld_bias,
                    const KeyMask& mask, float scale, int64_t rows, int64_t keys, bool first,
                    Operand* weights, int64_t ld_weights, SoftmaxState& state) {
  if (mask.all)
    softmax_rows<false>(products, ld, bias, ld_bias, mask, scale, rows, keys, first, weights,
                        ld_weights, state);
  else
    softmax_rows<true>(products, ld, bias, ld_bias, mask, scale, rows, keys, first, weights,
                       ld_weights, state);
}

// out[rows, keys] = bias log2(e) in float32, with zeros from `count` to `keys`.
//
// A finite bias stays finite, so that a whole row of the most negative number has equal weights;
// numbers beyond 2.3e38 become equal. The most negative bfloat16 is still above KeyMask's fill.
template <class T>
inline void scaled_bias(const T* bias, int64_t ld_bias, int64_t rows, int64_t count, int64_t keys,
                        float* out, int64_t ld) {
  const float limit = std::is_same_v<T, float> ? kLargest : 3.3895314e38f;
  const Floats log2e = broadcast(kLog2E), most = broadcast(limit), least = broadcast(-limit);
  const Floats far = broadcast(2e38f);
  const auto scaled = [&](Floats b) {
    // b + far and b - far are infinite only where b is.
    const Floats above = min(b + far, max(least, b * log2e));
    return max(b - far, min(most, above));
  };
  for (int64_t row = 0; row < rows; ++row, bias += ld_bias, out += ld) {
    int64_t key = 0;
    for (; key + Floats::width <= count; key += Floats::width)
      store(out + key, scaled(load(bias + key)));
    if (key < count) {
      store(out + key, scaled(load_partial(bias + key, count - key)));
      key += Floats::width;
    }
    for (; key < keys; key += Floats::width) store(out + key, zeros());
  }
}

}  // namespace attention
}  // namespace perfkit

#endif  // PERFKIT_KERNELS_ATTENTION_SOFTMAX_H_
