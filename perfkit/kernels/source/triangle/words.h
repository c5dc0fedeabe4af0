// Words of four bytes, each one float32 or two bfloat16, and tiles of 16 x 16 words.
//
// A bfloat16 word holds its first value in the lower half. Code that moves words serves both types.
#ifndef PERFKIT_KERNELS_WORDS_H_
#define PERFKIT_KERNELS_WORDS_H_

#include <immintrin.h>

#include <cstdint>

#include "vector.h"

namespace perfkit {

// Rows and columns of a tile, and its words.
constexpr int64_t kSide = 16;
constexpr int64_t kTile = kSide * kSide;

// Values in a word.
template <class T>
constexpr int64_t kValues = static_cast<int64_t>(sizeof(uint32_t) / sizeof(T));

// The values of Floats::width words: values[0], and values[1] for bfloat16.
template <class T>
inline void unpack(const uint32_t* words, Floats* values) {
  if constexpr (kValues<T> == 1) {
    values[0] = load(reinterpret_cast<const float*>(words));
  } else {
#if defined(__AVX512F__)
    const __m512i pair = _mm512_loadu_si512(words);
    values[0] = {_mm512_castsi512_ps(_mm512_slli_epi32(pair, 16))};
    values[1] = {_mm512_castsi512_ps(_mm512_and_si512(pair, _mm512_set1_epi32(-65536)))};
#else
    const __m256i pair = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
    values[0] = {_mm256_castsi256_ps(_mm256_slli_epi32(pair, 16))};
    values[1] = {_mm256_castsi256_ps(_mm256_and_si256(pair, _mm256_set1_epi32(-65536)))};
#endif
  }
}

// The inverse of unpack. bfloat16 is rounded to the nearest, ties to even.
template <class T>
inline void pack(uint32_t* words, const Floats* values) {
  if constexpr (kValues<T> == 1) {
    store(reinterpret_cast<float*>(words), values[0]);
  } else {
#if defined(__AVX512BF16__)
    // The lower half of `both` holds values[0]. The permutation interleaves the halves.
    alignas(64) static const uint16_t kOrder[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                    21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                    11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const __m512i both = reinterpret_cast<__m512i>(
        _mm512_cvtne2ps_pbh(values[1].lanes, values[0].lanes));
    _mm512_storeu_si512(words, _mm512_permutexvar_epi16(_mm512_load_si512(kOrder), both));
#elif defined(__AVX512F__)
    const __m512i low = _mm512_cvtepu16_epi32(narrow(values[0].lanes));
    const __m512i high = _mm512_cvtepu16_epi32(narrow(values[1].lanes));
    _mm512_storeu_si512(words, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
#else
    const __m256i low = _mm256_cvtepu16_epi32(narrow(values[0].lanes));
    const __m256i high = _mm256_cvtepu16_epi32(narrow(values[1].lanes));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(words),
                        _mm256_or_si256(low, _mm256_slli_epi32(high, 16)));
#endif
  }
}

// Transposes eight rows of eight words: to[j * to_stride + i] = from[i][j].
inline void transpose8(const uint32_t* const* from, uint32_t* to, int64_t to_stride) {
  // Register i holds words 0 to 3 of rows i and i + 4, register i + 4 their words 4 to 7.
  __m256 rows[8];
  PERFKIT_UNROLL
  for (int i = 0; i < 4; ++i) {
    const float* top = reinterpret_cast<const float*>(from[i]);
    const float* bottom = reinterpret_cast<const float*>(from[i + 4]);
    rows[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(top)),
                                   _mm_loadu_ps(bottom), 1);
    rows[i + 4] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(top + 4)),
                                       _mm_loadu_ps(bottom + 4), 1);
  }
  PERFKIT_UNROLL
  for (int i = 0; i < 8; i += 4) {
    const __m256 low01 = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
    const __m256 high01 = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
    const __m256 low23 = _mm256_unpacklo_ps(rows[i + 2], rows[i + 3]);
    const __m256 high23 = _mm256_unpackhi_ps(rows[i + 2], rows[i + 3]);
    float* out = reinterpret_cast<float*>(to + i * to_stride);
    _mm256_storeu_ps(out, _mm256_shuffle_ps(low01, low23, 0x44));
    _mm256_storeu_ps(out + to_stride, _mm256_shuffle_ps(low01, low23, 0xee));
    _mm256_storeu_ps(out + 2 * to_stride, _mm256_shuffle_ps(high01, high23, 0x44));
    _mm256_storeu_ps(out + 3 * to_stride, _mm256_shuffle_ps(high01, high23, 0xee));
  }
}

// Transposes a tile whose row i starts at from[i]: to[j * to_stride + i] = from[i][j].
inline void transpose_tile(const uint32_t* const* from, uint32_t* to, int64_t to_stride) {
  for (int64_t i = 0; i < kSide; i += 8) {
    for (int64_t j = 0; j < kSide; j += 8) {
      const uint32_t* rows[8];
      for (int64_t r = 0; r < 8; ++r) rows[r] = from[i + r] + j;
      transpose8(rows, to + j * to_stride + i, to_stride);
    }
  }
}

// Transposes a tile of consecutive words.
inline void transpose_tile(const uint32_t* from, uint32_t* to) {
  const uint32_t* rows[kSide];
  for (int64_t i = 0; i < kSide; ++i) rows[i] = from + i * kSide;
  transpose_tile(rows, to, kSide);
}

}  // namespace perfkit

#endif  // PERFKIT_KERNELS_WORDS_H_
