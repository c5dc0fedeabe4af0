// The gated projections of triangle multiplication and their product.
//
// Contraction projects the layer-normed pair representation x[N, N, channels] to a and b, both
// [hidden, N, N], and multiplies them for each hidden channel:
//
//   outgoing  out[c, i, j] = sum_k a[c, i, k] b[c, j, k]
//   incoming  out[c, i, j] = sum_k a[c, k, j] b[c, k, i]
//
// Both directions take one path. A piece of work projects those positions of x that make one tile
// of a and one of b for each channel. With 16 outer and `depth` inner positions (outgoing) it has
// left tiles, with `depth` outer and 16 inner positions (incoming) right tiles. Those of b are
// transposed, so that one operand is left and the other right.
#ifndef PERFKIT_KERNELS_TRIANGLE_CONTRACT_H_
#define PERFKIT_KERNELS_TRIANGLE_CONTRACT_H_

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "counts.h"
#include "triangle/panels.h"
#include "parallel.h"
#include "triangle/tiles.h"
#include "vector.h"
#include "triangle/weights.h"
#include "triangle/words.h"
#include "xla/ffi/api/ffi.h"

namespace perfkit {

// Where the tiles of the operands a and b are.
template <class T>
struct Operands {
  Operands(uint32_t* tiles, int64_t hidden, int64_t n)
      : blocks(pieces(n, kSide)),
        depths(pieces(n, kDepth<T>)),
        // An odd number of kilobytes, so that the channels fall into different sets of a cache.
        channel_words(((blocks * depths) | 1) * kTile),
        a(tiles),
        b(tiles + hidden * channel_words) {}

  int64_t words(int64_t block, int64_t inner) const { return (block * depths + inner) * kTile; }

  int64_t blocks, depths, channel_words;
  uint32_t *a, *b;
};

template <class T>
struct Contraction {
  const T *x, *projection_bias, *gate_bias, *mask;
  const float *scale, *offset;
  int64_t n, channels, hidden;
  bool outgoing;
  Weights<T> projection, gate;
  Operands<T> operands;
  T* out;

  // Reads the panels of one piece of work, normalises them and reads the mask. Returns the number
  // of pairs of panels that hold any position.
  int64_t read_panels(int64_t outer, int64_t inner, uint32_t* panels, float* masks) const {
    const int64_t words = channels / kValues<T>;
    // The panels of an outer position follow each other.
    const int64_t across = outgoing ? kValues<T> : 1;
    int64_t pairs = 0;
    for (int64_t p = 0; p < kSide * kValues<T>; ++p) {
      const int64_t row = outer + p / across;
      const int64_t column = inner + p % across * kSide;
      const int64_t count = row < n ? std::min(kSide, n - column) : 0;
      uint32_t* panel = panels + p * words * kSide;
      float* panel_mask = masks + p * kSide;
      for (int64_t i = 0; i < kSide; ++i) {
        panel_mask[i] = i < count ? to_float(mask[row * n + column + i]) : 0.0f;
      }
      if (count > 0) {
        const T* rows = x + (row * n + column) * channels;
        panel_from_rows(reinterpret_cast<const uint32_t*>(rows), words, count, words, panel);
        normalize_panel<T>(panel, channels, scale, offset, panel);
        pairs = p / 2 + 1;
      } else {
        std::memset(panel, 0, static_cast<size_t>(words * kSide) * sizeof(uint32_t));
      }
    }
    return pairs;
  }

  // Gates, masks and rounds the results of a pair of panels for channels first to last - 1 of
  // sixteen: the rows of the pair in the tiles of these channels.
  void write_rows(const float* results, const T* bias, const T* bias_of_gate, const float* masks,
                  int64_t first, int64_t last, uint32_t* rows) const {
    for (int64_t c = first; c < last; ++c) {
      const Floats value_bias = broadcast(to_float(bias[c]));
      const Floats gate_bias = broadcast(to_float(bias_of_gate[c]));
      uint32_t* row = rows + c * kTile;
      for (int64_t lane = 0; lane < kSide; lane += Floats::width) {
        Floats values[2];
        PERFKIT_UNROLL
        for (int p = 0; p < 2; ++p) {
          const float* result = results + p * kTile + c * kSide + lane;
          values[p] = gated<T>(load(result) + value_bias, load(result + 2 * kTile) + gate_bias) *
                      load(masks + p * kSide + lane);
        }
        if constexpr (kValues<T> == 1) {
          store(reinterpret_cast<float*>(row + lane), values[0]);
          store(reinterpret_cast<float*>(row + kSide + lane), values[1]);
        } else if (outgoing) {
          store(reinterpret_cast<T*>(row) + lane, values[0]);
          store(reinterpret_cast<T*>(row) + kSide + lane, values[1]);
        } else {
          pack<T>(row + lane, values);
        }
      }
    }
  }

  // Makes the tile (block, inner) of a and of b for every channel.
  void project(int64_t block, int64_t inner) const {
    constexpr int64_t depth = kDepth<T>;
    const int64_t panel_words = channels / kValues<T> * kSide;
    const int64_t tiles = channels / depth;
    uint32_t* panels = scratch<uint32_t>(kPanels, panel_words * depth);
    float* masks = scratch<float>(kMasks, depth * kSide);
    uint32_t* staging = scratch<uint32_t>(kStaging, kSide * kTile);
    float* results = scratch<float>(kResults, 2 * kBlockResults);
    const int64_t pairs = outgoing ? read_panels(block * kSide, inner * depth, panels, masks)
                                   : read_panels(inner * depth, block * kSide, panels, masks);
    constexpr int64_t pair_words = 2 * kSide / kValues<T>;
    constexpr int64_t kParts = 4, kPartRows = kSide / kParts;
    const TileRegisters registers;
    for (int64_t column = 0; column < 2 * hidden; column += kSide) {
      const auto product_of = [&](int64_t pair) {
        const uint32_t* panel = panels + 2 * pair * panel_words;
        return BlockProduct<T>(projection.block(column / kSide), gate.block(column / kSide), panel,
                               panel + panel_words, tiles);
      };
      if (pairs > 0) {
        const BlockProduct<T> product = product_of(0);
        product.add(0, tiles);
        product.finish(results);
      }
      for (int64_t pair = 0; pair < pairs; ++pair) {
        const auto write_part = [&](int64_t part) {
          write_rows(results + pair % 2 * kBlockResults, projection_bias + column,
                     gate_bias + column, masks + 2 * pair * kSide, part * kPartRows,
                     (part + 1) * kPartRows, staging + pair * pair_words);
        };
        if (pair + 1 == pairs) {
          for (int64_t part = 0; part < kParts; ++part) write_part(part);
        } else {
          // The product of the next pair runs while the vector units gate this one.
          const BlockProduct<T> product = product_of(pair + 1);
          for (int64_t part = 0; part < kParts; ++part) {
            product.add(part * tiles / kParts, (part + 1) * tiles / kParts);
            write_part(part);
          }
          product.finish(results + (pair + 1) % 2 * kBlockResults);
        }
      }
      const int64_t written = pairs * pair_words;
      const bool direct = column < hidden;
      uint32_t* to = (direct ? operands.a + column * operands.channel_words
                             : operands.b + (column - hidden) * operands.channel_words) +
                     operands.words(block, inner);
      for (int64_t c = 0; c < kSide; ++c, to += operands.channel_words) {
        uint32_t* tile = staging + c * kTile;
        std::memset(tile + written, 0, static_cast<size_t>(kTile - written) * sizeof(uint32_t));
        if (direct) {
          std::memcpy(to, tile, kTile * sizeof(uint32_t));
        } else {
          transpose_tile(tile, to);
        }
      }
    }
  }

  // Rows first to last - 1, in blocks of sixteen, of the product for one channel.
  void multiply(int64_t channel, int64_t first, int64_t last) const {
    const uint32_t* a = operands.a + channel * operands.channel_words;
    const uint32_t* b = operands.b + channel * operands.channel_words;
    const uint32_t* right = outgoing ? b : a;
    const uint32_t* left = (outgoing ? a : b) + operands.words(first, 0);
    const int64_t left_tiles = (last - first) * operands.depths;
    left = widen_left<T>(left, left_tiles,
                         kWideLeft<T> ? scratch<uint32_t>(kWideLeftTiles,
                                                          left_tiles * LeftTile<T>::words)
                                      : nullptr);
    float* results = scratch<float>(kResults, kBlockResults);
    T* channel_out = out + channel * n * n;
    const TileRegisters registers;
    for (int64_t j = 0; j < operands.blocks; j += 2) {
      const uint32_t* right0 = right + operands.words(j, 0);
      const uint32_t* right1 = j + 1 < operands.blocks ? right + operands.words(j + 1, 0) : right0;
      for (int64_t i = first; i < last; i += 2) {
        const int64_t row_words = operands.depths * LeftTile<T>::words;
        const uint32_t* left0 = left + (i - first) * row_words;
        const uint32_t* left1 = i + 1 < last ? left0 + row_words : left0;
        const BlockProduct<T> product(left0, left1, right0, right1, operands.depths);
        product.add(0, operands.depths);
        product.finish(results);
        write_block(results, channel_out, i * kSide, j * kSide);
      }
    }
  }

  void write_block(const float* results, T* channel_out, int64_t first_row,
                   int64_t first_column) const {
    const int64_t rows = std::min(2 * kSide, n - first_row);
    const int64_t columns = std::min(2 * kSide, n - first_column);
    for (int64_t row = 0; row < rows; ++row) {
      T* to = channel_out + (first_row + row) * n + first_column;
      const float* from = results + row / kSide * 2 * kTile + row % kSide * kSide;
      for (int64_t column = 0; column < columns; column += Floats::width) {
        const Floats values = load(from + column / kSide * kTile + column % kSide);
        if (columns - column >= Floats::width) {
          store(to + column, values);
        } else {
          store_partial(to + column, values, columns - column);
        }
      }
    }
  }

  void run(xla::ffi::ThreadPool pool) const {
    const int64_t depths = operands.depths;
    parallel_for(pool, operands.blocks * depths,
                 [&](int64_t index) { project(index / depths, index % depths); });
    // Row blocks whose left tiles stay in a second-level cache; an even number of them.
    constexpr int64_t kLeftBytes = 1 << 19;
    const int64_t block_bytes = depths * kTile * static_cast<int64_t>(sizeof(uint32_t));
    const int64_t rows = std::max<int64_t>(2, kLeftBytes / block_bytes / 2 * 2);
    const int64_t parts = pieces(operands.blocks, rows);
    parallel_for(pool, hidden * parts, [&](int64_t index) {
      const int64_t first = index % parts * rows;
      multiply(index / parts, first, std::min(first + rows, operands.blocks));
    });
  }
};

}  // namespace perfkit

#endif  // PERFKIT_KERNELS_TRIANGLE_CONTRACT_H_
