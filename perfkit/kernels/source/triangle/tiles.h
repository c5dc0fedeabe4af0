// Products of 32 x 32 results whose operands are packed in tiles of 16 x 16 words.
//
// A tile of the left operand holds 16 rows of 16 words, consecutive in the inner dimension. A tile
// of the right operand holds 16 words of the inner dimension of 16 columns: it is the transpose of
// a left tile. The tiles of a row or column block follow each other along the inner dimension.
#ifndef PERFKIT_KERNELS_TILES_H_
#define PERFKIT_KERNELS_TILES_H_

#include <immintrin.h>

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "vector.h"
#include "triangle/words.h"

#if defined(__AMX_BF16__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace perfkit {

// Values of the inner dimension in a tile.
template <class T>
constexpr int64_t kDepth = kSide * kValues<T>;

// Without a product of bfloat16 pairs, the left operand is held in float32: it is broadcast value
// by value, and separating the pairs once serves many columns.
#if defined(__AVX512BF16__)
template <class T>
constexpr bool kWideLeft = false;
#else
template <class T>
constexpr bool kWideLeft = kValues<T> == 2;
#endif

// What BlockProduct reads of the left operand for each word.
template <class T>
struct LeftTile {
  static constexpr int64_t words = kWideLeft<T> ? 2 * kTile : kTile;
};

// Writes left tiles in the form that BlockProduct reads. `wide` holds LeftTile<T>::words words
// a tile; returns `tiles` itself where these are that form.
template <class T>
inline const uint32_t* widen_left(const uint32_t* tiles, int64_t count, uint32_t* wide) {
  if constexpr (!kWideLeft<T>) return tiles;
  for (int64_t i = 0; i < count * kTile; i += kSide) {
    for (int64_t lane = 0; lane < kSide; ++lane) {
      wide[2 * (i + lane)] = tiles[i + lane] << 16;
      wide[2 * (i + lane) + 1] = tiles[i + lane] & 0xffff0000u;
    }
  }
  return wide;
}

// Results of BlockProduct: tiles (first left, first right), (first, second), (second, first),
// (second, second) of 16 x 16 float32, row-major.
constexpr int64_t kBlockResults = 4 * kTile;

#if defined(__AMX_BF16__)

// Asks the kernel once for the use of the tile registers.
inline bool tiles_permitted() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  static const bool permitted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return permitted;
}

// Configures the tile registers of the calling thread while it exists. Other code of the thread
// (XLA's own products) may leave another configuration, so that each piece of work has its own.
class TileRegisters {
 public:
  TileRegisters() {
    tiles_permitted();
    alignas(64) uint8_t configuration[64] = {1};
    for (int tile = 0; tile < 8; ++tile) {
      configuration[16 + 2 * tile] = 64;
      configuration[48 + tile] = 16;
    }
    // gcc's intrinsic declares that it reads eight bytes: the barrier keeps the others.
    __asm__ volatile("" ::"r"(configuration) : "memory");
    _tile_loadconfig(configuration);
  }
  ~TileRegisters() { _tile_release(); }
  TileRegisters(const TileRegisters&) = delete;
  TileRegisters& operator=(const TileRegisters&) = delete;
};

#else

class TileRegisters {
 public:
  TileRegisters() {}
  ~TileRegisters() {}
};

#endif

inline Floats broadcast_word(const uint32_t* word) {
  float value;
  std::memcpy(&value, word, sizeof(value));
  return broadcast(value);
}

// sum += left * right for the values of one word.
template <class T>
inline Floats add_product(Floats sum, const uint32_t* left, const Floats* right,
                          const uint32_t* right_words) {
  if constexpr (kValues<T> == 1) {
    return fma(broadcast_word(left), right[0], sum);
  } else {
#if defined(__AVX512BF16__)
    return {_mm512_dpbf16_ps(
        sum.lanes, reinterpret_cast<__m512bh>(_mm512_loadu_si512(right_words)),
        reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(*left))))};
#else
    sum = fma(broadcast_word(left), right[0], sum);
    return fma(broadcast_word(left + 1), right[1], sum);
#endif
  }
}

// A part of the results of BlockProduct: kRows rows, kVectors vectors of columns.
template <class T, int kRows, int kVectors>
inline void vector_product(const uint32_t* left, const uint32_t* const* right, int64_t tiles,
                           float* const* results) {
  constexpr int64_t scale = LeftTile<T>::words / kTile;
  Floats sums[kRows][kVectors];
  PERFKIT_UNROLL
  for (int i = 0; i < kRows; ++i) {
    PERFKIT_UNROLL
    for (int j = 0; j < kVectors; ++j) sums[i][j] = zeros();
  }
  for (int64_t t = 0; t < tiles; ++t) {
    const uint32_t* left_tile = left + t * LeftTile<T>::words;
    for (int64_t word = 0; word < kSide; ++word) {
      PERFKIT_UNROLL
      for (int j = 0; j < kVectors; ++j) {
        const uint32_t* words = right[j] + t * kTile + word * kSide;
        Floats values[2];
#if !defined(__AVX512BF16__)
        unpack<T>(words, values);
#else
        if constexpr (kValues<T> == 1) unpack<T>(words, values);
#endif
        PERFKIT_UNROLL
        for (int i = 0; i < kRows; ++i) {
          sums[i][j] = add_product<T>(sums[i][j], left_tile + (i * kSide + word) * scale, values,
                                      words);
        }
      }
    }
  }
  PERFKIT_UNROLL
  for (int i = 0; i < kRows; ++i) {
    PERFKIT_UNROLL
    for (int j = 0; j < kVectors; ++j) store(results[j] + i * kSide, sums[i][j]);
  }
}

// [left0; left1] [right0, right1] over `tiles` tiles of the inner dimension.
//
// The caller divides the work into steps and does other work between them, which the processor
// overlaps with products of the tile registers. Without these, finish() does all the work.
template <class T>
class BlockProduct {
 public:
  BlockProduct(const uint32_t* left0, const uint32_t* left1, const uint32_t* right0,
               const uint32_t* right1, int64_t tiles)
      : left_{left0, left1}, right_{right0, right1}, tiles_(tiles) {
#if defined(__AMX_BF16__)
    if constexpr (kUsesTiles) {
      // The loads of tiles do not declare that they read memory: what was written comes first.
      __asm__ volatile("" ::: "memory");
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
    }
#endif
  }

  int64_t tiles() const { return tiles_; }

  // Adds the products of tiles first to last - 1. All tiles must be added once.
  void add([[maybe_unused]] int64_t first, [[maybe_unused]] int64_t last) const {
#if defined(__AMX_BF16__)
    if constexpr (kUsesTiles) {
      for (int64_t t = first; t < last; ++t) {
        _tile_loadd(4, left_[0] + t * kTile, 64);
        _tile_loadd(6, right_[0] + t * kTile, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, right_[1] + t * kTile, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, left_[1] + t * kTile, 64);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      }
    }
#endif
  }

  // Writes the kBlockResults results.
  void finish(float* results) const {
    if constexpr (kUsesTiles) {
#if defined(__AMX_BF16__)
      _tile_stored(0, results, 64);
      _tile_stored(1, results + kTile, 64);
      _tile_stored(2, results + 2 * kTile, 64);
      _tile_stored(3, results + 3 * kTile, 64);
#endif
    } else {
      multiply_vectors(results);
    }
  }

 private:
#if defined(__AMX_BF16__)
  static constexpr bool kUsesTiles = std::is_same_v<T, bfloat16>;
#else
  static constexpr bool kUsesTiles = false;
#endif

  void multiply_vectors(float* results) const {
    // Sixteen sums with AVX-512 and eight with AVX2, which two units with a latency of 4 need.
    constexpr int kRows = Floats::width == 16 ? 8 : 4;
    constexpr int64_t scale = LeftTile<T>::words / kTile;
    for (int l = 0; l < 2; ++l) {
      for (int64_t row = 0; row < kSide; row += kRows) {
        const uint32_t* rows = left_[l] + row * kSide * scale;
        float* out = results + 2 * l * kTile + row * kSide;
        if constexpr (Floats::width == 16) {
          float* const outs[] = {out, out + kTile};
          vector_product<T, kRows, 2>(rows, right_, tiles_, outs);
        } else {
          for (int r = 0; r < 2; ++r) {
            const uint32_t* halves[] = {right_[r], right_[r] + 8};
            float* const outs[] = {out + r * kTile, out + r * kTile + 8};
            vector_product<T, kRows, 2>(rows, halves, tiles_, outs);
          }
        }
      }
    }
  }

  const uint32_t* left_[2];
  const uint32_t* right_[2];
  int64_t tiles_;
};

}  // namespace perfkit

#endif  // PERFKIT_KERNELS_TILES_H_
