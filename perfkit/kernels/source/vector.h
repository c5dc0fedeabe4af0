// Vectors of float32, bfloat16, exponentials and scratch memory for the kernels of one thread.
//
// `Floats` holds 16 numbers with AVX-512 and 8 with AVX2. Kernels written with it compile for every
// ISA level. Buffers whose rows are padded to 16 columns need no code for the tail; load_partial
// and store_partial serve the rest.
#ifndef PERFKIT_KERNELS_VECTOR_H_
#define PERFKIT_KERNELS_VECTOR_H_

#include <immintrin.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#if defined(__clang__)
#define PERFKIT_UNROLL _Pragma("unroll")
#else
#define PERFKIT_UNROLL _Pragma("GCC unroll 16")
#endif

namespace perfkit {

// The upper half of a float32.
struct bfloat16 {
  uint16_t bits;
};

inline float to_float(float value) { return value; }

inline float to_float(bfloat16 value) {
  const uint32_t bits = static_cast<uint32_t>(value.bits) << 16;
  float result;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}

// Rounds to the nearest bfloat16, ties to even. NaN stays NaN.
inline bfloat16 to_bfloat16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((bits >> 16) | 0x40u)};
  return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

template <class T>
T from_float(float value);
template <>
inline float from_float<float>(float value) {
  return value;
}
template <>
inline bfloat16 from_float<bfloat16>(float value) {
  return to_bfloat16(value);
}

#if defined(__AVX512F__)

struct Floats {
  static constexpr int64_t width = 16;
  __m512 lanes;
};

inline Floats broadcast(float value) { return {_mm512_set1_ps(value)}; }
inline Floats load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline void store(float* p, Floats v) { _mm512_storeu_ps(p, v.lanes); }

inline __m512 widen(__m256i halves) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

// Rounds to the nearest bfloat16, ties to even. NaN stays NaN.
inline __m256i narrow(__m512 v) {
#if defined(__AVX512BF16__)
  return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v));
#else
  const __m512i bits = _mm512_castps_si512(v);
  const __m512i high = _mm512_srli_epi32(bits, 16);
  const __m512i odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
  const __m512i bias = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
  const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, bias), 16);
  const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
  return _mm512_cvtepi32_epi16(
      _mm512_mask_or_epi32(rounded, nan, high, _mm512_set1_epi32(0x40)));
#endif
}

inline Floats load(const bfloat16* p) {
  return {widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline void store(bfloat16* p, Floats v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow(v.lanes));
}

inline __mmask16 first_lanes(int64_t count) {
  return static_cast<__mmask16>((1u << count) - 1u);
}
// The first `count` (0 to width) numbers at p, and zeros.
inline Floats load_partial(const float* p, int64_t count) {
  return {_mm512_maskz_loadu_ps(first_lanes(count), p)};
}
inline Floats load_partial(const bfloat16* p, int64_t count) {
  return {widen(_mm256_maskz_loadu_epi16(first_lanes(count), p))};
}
inline void store_partial(float* p, Floats v, int64_t count) {
  _mm512_mask_storeu_ps(p, first_lanes(count), v.lanes);
}
inline void store_partial(bfloat16* p, Floats v, int64_t count) {
  _mm256_mask_storeu_epi16(p, first_lanes(count), narrow(v.lanes));
}

inline Floats operator+(Floats a, Floats b) { return {_mm512_add_ps(a.lanes, b.lanes)}; }
inline Floats operator-(Floats a, Floats b) { return {_mm512_sub_ps(a.lanes, b.lanes)}; }
inline Floats operator*(Floats a, Floats b) { return {_mm512_mul_ps(a.lanes, b.lanes)}; }
inline Floats operator/(Floats a, Floats b) { return {_mm512_div_ps(a.lanes, b.lanes)}; }
// a * b + c, rounded once.
inline Floats fma(Floats a, Floats b, Floats c) {
  return {_mm512_fmadd_ps(a.lanes, b.lanes, c.lanes)};
}
// c - a * b, rounded once.
inline Floats fnma(Floats a, Floats b, Floats c) {
  return {_mm512_fnmadd_ps(a.lanes, b.lanes, c.lanes)};
}
// The second operand where either is NaN: put the number that may be NaN second.
inline Floats max(Floats a, Floats b) { return {_mm512_max_ps(a.lanes, b.lanes)}; }
inline Floats min(Floats a, Floats b) { return {_mm512_min_ps(a.lanes, b.lanes)}; }
inline float sum(Floats a) { return _mm512_reduce_add_ps(a.lanes); }
// A NaN among the lanes may be dropped.
inline float maximum(Floats a) { return _mm512_reduce_max_ps(a.lanes); }
inline Floats round(Floats a) {
  return {_mm512_roundscale_ps(a.lanes, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// a * 2^n for whole n; overflows to infinity and underflows gradually.
inline Floats scale_by_power(Floats a, Floats n) { return {_mm512_scalef_ps(a.lanes, n.lanes)}; }
// a where x >= y, otherwise 0; a where x or y is NaN.
inline Floats zero_below(Floats a, Floats x, Floats y) {
  return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x.lanes, y.lanes, _CMP_NLT_UQ), a.lanes)};
}
// The distance of x from the next whole number below it.
inline Floats fraction(Floats x) {
  return {_mm512_reduce_ps(x.lanes, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)};
}
// a * 2^n for n rounded down to a whole number.
inline Floats scale_by_power_below(Floats a, Floats n) { return scale_by_power(a, n); }
// 1 / a with a relative error of 2^-14.
inline Floats rough_reciprocal(Floats a) { return {_mm512_rcp14_ps(a.lanes)}; }
// 1 / a to one unit in the last place, for 2^-126 <= a <= 2^126.
inline Floats reciprocal(Floats a) {
  const Floats y = {_mm512_rcp14_ps(a.lanes)};
  return fma(y, fnma(a, y, broadcast(1.0f)), y);
}

#else

struct Floats {
  static constexpr int64_t width = 8;
  __m256 lanes;
};

inline Floats broadcast(float value) { return {_mm256_set1_ps(value)}; }
inline Floats load(const float* p) { return {_mm256_loadu_ps(p)}; }
inline void store(float* p, Floats v) { _mm256_storeu_ps(p, v.lanes); }

inline __m256 widen(__m128i halves) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}

// Rounds to the nearest bfloat16, ties to even. NaN stays NaN.
inline __m128i narrow(__m256 v) {
  const __m256i bits = _mm256_castps_si256(v);
  const __m256i high = _mm256_srli_epi32(bits, 16);
  const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
  const __m256i bias = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
  const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, bias), 16);
  const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
  const __m256i wide = _mm256_blendv_epi8(rounded, quiet, nan);
  return _mm_packus_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
}

inline Floats load(const bfloat16* p) {
  return {widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
inline void store(bfloat16* p, Floats v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), narrow(v.lanes));
}

inline __m256i first_lanes(int64_t count) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), lane);
}
// The first `count` (0 to width) numbers at p, and zeros.
inline Floats load_partial(const float* p, int64_t count) {
  return {_mm256_maskload_ps(p, first_lanes(count))};
}
inline Floats load_partial(const bfloat16* p, int64_t count) {
  if (count == Floats::width) return load(p);
  bfloat16 padded[8] = {};
  std::memcpy(padded, p, static_cast<size_t>(count) * sizeof(bfloat16));
  return load(padded);
}
inline void store_partial(float* p, Floats v, int64_t count) {
  _mm256_maskstore_ps(p, first_lanes(count), v.lanes);
}
inline void store_partial(bfloat16* p, Floats v, int64_t count) {
  if (count == Floats::width) return store(p, v);
  bfloat16 padded[8];
  store(padded, v);
  std::memcpy(p, padded, static_cast<size_t>(count) * sizeof(bfloat16));
}

inline Floats operator+(Floats a, Floats b) { return {_mm256_add_ps(a.lanes, b.lanes)}; }
inline Floats operator-(Floats a, Floats b) { return {_mm256_sub_ps(a.lanes, b.lanes)}; }
inline Floats operator*(Floats a, Floats b) { return {_mm256_mul_ps(a.lanes, b.lanes)}; }
inline Floats operator/(Floats a, Floats b) { return {_mm256_div_ps(a.lanes, b.lanes)}; }
// a * b + c, rounded once.
inline Floats fma(Floats a, Floats b, Floats c) {
  return {_mm256_fmadd_ps(a.lanes, b.lanes, c.lanes)};
}
// c - a * b, rounded once.
inline Floats fnma(Floats a, Floats b, Floats c) {
  return {_mm256_fnmadd_ps(a.lanes, b.lanes, c.lanes)};
}
// The second operand where either is NaN: put the number that may be NaN second.
inline Floats max(Floats a, Floats b) { return {_mm256_max_ps(a.lanes, b.lanes)}; }
inline Floats min(Floats a, Floats b) { return {_mm256_min_ps(a.lanes, b.lanes)}; }
inline float sum(Floats a) {
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(a.lanes), _mm256_extractf128_ps(a.lanes, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}
// A NaN among the lanes may be dropped.
inline float maximum(Floats a) {
  __m128 half = _mm_max_ps(_mm256_castps256_ps128(a.lanes), _mm256_extractf128_ps(a.lanes, 1));
  half = _mm_max_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}
inline Floats round(Floats a) {
  return {_mm256_round_ps(a.lanes, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// a * 2^n for whole n from -252 to 254; overflows to infinity and underflows gradually.
inline Floats scale_by_power(Floats a, Floats n) {
  // Two factors, because 2^n alone may leave the range of normal numbers.
  const __m256i whole = _mm256_cvtps_epi32(n.lanes);
  const __m256i half = _mm256_srai_epi32(whole, 1);
  const __m256i rest = _mm256_sub_epi32(whole, half);
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256i first = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
  const __m256i second = _mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23);
  const __m256 scaled = _mm256_mul_ps(a.lanes, _mm256_castsi256_ps(first));
  return {_mm256_mul_ps(scaled, _mm256_castsi256_ps(second))};
}
// a where x >= y, otherwise 0; a where x or y is NaN.
inline Floats zero_below(Floats a, Floats x, Floats y) {
  return {_mm256_and_ps(a.lanes, _mm256_cmp_ps(x.lanes, y.lanes, _CMP_NLT_UQ))};
}
inline Floats floor(Floats a) {
  return {_mm256_round_ps(a.lanes, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)};
}
// Powers of two whose exponent is beyond these are infinity or 0 in float32.
inline Floats limited_exponent(Floats n) {
  return min(broadcast(129.0f), max(broadcast(-151.0f), n));
}
// The distance of x from the next whole number below it.
inline Floats fraction(Floats x) {
  const Floats limited = limited_exponent(x);
  return limited - floor(limited);
}
// a * 2^n for n rounded down to a whole number.
inline Floats scale_by_power_below(Floats a, Floats n) {
  return scale_by_power(a, floor(limited_exponent(n)));
}
// 1 / a.
inline Floats reciprocal(Floats a) { return broadcast(1.0f) / a; }
inline Floats rough_reciprocal(Floats a) { return reciprocal(a); }

#endif

inline Floats zeros() { return broadcast(0.0f); }

// e^x to two units in the last place; NaN stays NaN, infinities give infinity and 0.
//
// x = n log 2 + r with |r| <= log(2) / 2 and a polynomial in r (Cephes, expf.c).
inline Floats exp(Floats x) {
  // Beyond these limits the result is infinity or 0 in float32.
  x = min(broadcast(89.0f), max(broadcast(-104.0f), x));
  const Floats n = round(x * broadcast(1.44269504088896341f));
  // log 2 in two parts, the first exact in products with n.
  Floats r = fnma(n, broadcast(0.693359375f), x);
  r = fnma(n, broadcast(-2.12194440e-4f), r);
  Floats p = broadcast(1.9875691500e-4f);
  p = fma(p, r, broadcast(1.3981999507e-3f));
  p = fma(p, r, broadcast(8.3334519073e-3f));
  p = fma(p, r, broadcast(4.1665795894e-2f));
  p = fma(p, r, broadcast(1.6666665459e-1f));
  p = fma(p, r, broadcast(5.0000001201e-1f));
  p = fma(p, r * r, r + broadcast(1.0f));
  return scale_by_power(p, n);
}

// 1 / (1 + e^-x); NaN stays NaN, infinities give 0 and 1, below -87 it is 0.
inline Floats sigmoid(Floats x) {
  const Floats lowest = broadcast(-87.0f);
  const Floats e = exp(zeros() - max(lowest, x));
  return zero_below(reciprocal(e + broadcast(1.0f)), x, lowest);
}

// 2^x with a relative error of 4e-6; NaN stays NaN, infinities give infinity and 0.
inline Floats exp2_for_bfloat16(Floats x) {
  // Interpolates 2^r at 0 and at the other zeros of a Chebyshev polynomial of degree 5.
  const Floats r = fraction(x);
  Floats p = broadcast(0.0135554181f);
  p = fma(p, r, broadcast(0.05200013179f));
  p = fma(p, r, broadcast(0.2414167865f));
  p = fma(p, r, broadcast(0.6930232572f));
  p = fma(p, r, broadcast(1.0f));
  return scale_by_power_below(p, x);
}

// e^x with a relative error of 4e-6 + 6e-8 |x|, a hundredth of a unit of bfloat16.
inline Floats exp_for_bfloat16(Floats x) {
  return exp2_for_bfloat16(x * broadcast(1.44269504088896341f));
}

// 1 / (1 + e^-x) with a relative error of 1e-4 at most, a fortieth of a unit of bfloat16.
//
// NaN stays NaN, infinities give 0 and 1.
inline Floats sigmoid_for_bfloat16(Floats x) {
  const Floats e = exp2_for_bfloat16(x * broadcast(-1.44269504088896341f));
  return rough_reciprocal(e + broadcast(1.0f));
}

namespace detail {

struct Buffer {
  void* data = nullptr;
  size_t bytes = 0;
  ~Buffer() { std::free(data); }
};

}  // namespace detail

// Slots of scratch() from this number on belong to the shared headers.
constexpr int kFirstSharedSlot = 24;
constexpr int kScratchSlots = 32;

// Uninitialised memory of this thread for `count` elements, aligned to 64 bytes.
//
// The same slot gives the same memory until the thread ends, or another memory when it must grow.
// The last 64 bytes and more behind `count` elements may be read and written.
template <class T>
T* scratch(int slot, int64_t count) {
  static thread_local detail::Buffer buffers[kScratchSlots];
  detail::Buffer& buffer = buffers[slot];
  const size_t needed = (static_cast<size_t>(count) * sizeof(T) + 127) / 64 * 64;
  if (buffer.bytes < needed) {
    std::free(buffer.data);
    buffer.bytes = 0;
    buffer.data = std::aligned_alloc(64, needed);
    if (buffer.data == nullptr) throw std::bad_alloc();
    buffer.bytes = needed;
  }
  return static_cast<T*>(buffer.data);
}

}  // namespace perfkit

#endif  // PERFKIT_KERNELS_VECTOR_H_
