// The gated output projection of triangle multiplication.
#ifndef PERFKIT_KERNELS_TRIANGLE_EPILOGUE_H_
#define PERFKIT_KERNELS_TRIANGLE_EPILOGUE_H_

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

template <class T>
struct Epilogue {
  const T *product, *x, *output_bias, *gate_bias, *keep;
  const float *in_scale, *in_offset, *scale, *offset;
  int64_t positions, channels, hidden;
  bool add_input;
  Weights<T> output, gate;
  T* out;

  // Positions whose product is copied together.
  static constexpr int64_t kPositions = 256;

  // Positions first to first + count - 1, at most 32. `block` holds the product from the first of
  // these on, with kPositions elements for each channel.
  void run_pair(int64_t first, int64_t count, const T* block) const {
    constexpr int64_t depth = kDepth<T>;
    const int64_t words = channels / kValues<T>;
    const int64_t panel_words = words * kSide;
    const int64_t product_words = hidden / kValues<T> * kSide;
    if (keep != nullptr && none_kept(first, count)) {
      const size_t bytes = static_cast<size_t>(count * channels) * sizeof(T);
      if (add_input) {
        std::memcpy(out + first * channels, x + first * channels, bytes);
      } else {
        std::memset(out + first * channels, 0, bytes);
      }
      return;
    }
    uint32_t* raw = scratch<uint32_t>(kPanels, 6 * std::max(panel_words, product_words));
    uint32_t* normed = raw + 2 * panel_words;
    uint32_t* products = normed + 2 * panel_words;
    float* results = scratch<float>(kResults, 4 * kBlockResults);
    for (int64_t p = 0; p < 2; ++p) {
      const int64_t position = first + p * kSide;
      const int64_t present = std::min(kSide, first + count - position);
      uint32_t* product_panel = products + p * product_words;
      if (present <= 0) {
        std::memset(raw + p * panel_words, 0, panel_words * sizeof(uint32_t));
        std::memset(normed + p * panel_words, 0, panel_words * sizeof(uint32_t));
        std::memset(product_panel, 0, product_words * sizeof(uint32_t));
        continue;
      }
      panel_from_rows(reinterpret_cast<const uint32_t*>(x + position * channels), words, present,
                      words, raw + p * panel_words);
      normalize_panel<T>(raw + p * panel_words, channels, in_scale, in_offset,
                         normed + p * panel_words);
      panel_from_channels<T>(block + p * kSide, kPositions, present, hidden, product_panel);
      normalize_panel<T>(product_panel, hidden, scale, offset, product_panel);
    }
    const auto output_of = [&](int64_t c) {
      return BlockProduct<T>(output.block(c / kSide), output.block(c / kSide + 1), products,
                             products + product_words, hidden / depth);
    };
    const auto gate_of = [&](int64_t c) {
      return BlockProduct<T>(gate.block(c / kSide), gate.block(c / kSide + 1), normed,
                             normed + panel_words, channels / depth);
    };
    run_product(output_of(0), results, [](int64_t) {});
    run_product(gate_of(0), results + kBlockResults, [](int64_t) {});
    for (int64_t c = 0; c < channels; c += kColumns) {
      const float* ready = results + c / kColumns % 2 * 2 * kBlockResults;
      if (c + kColumns == channels) {
        for (int64_t part = 0; part < 2 * kParts; ++part) write_channels(ready, c, part, raw);
      } else {
        // The products of the next channels run while the vector units gate these.
        float* next = results + (c / kColumns + 1) % 2 * 2 * kBlockResults;
        run_product(output_of(c + kColumns), next,
                    [&](int64_t part) { write_channels(ready, c, part, raw); });
        run_product(gate_of(c + kColumns), next + kBlockResults,
                    [&](int64_t part) { write_channels(ready, c, kParts + part, raw); });
      }
    }
    for (int64_t p = 0; p < 2; ++p) {
      const int64_t position = first + p * kSide;
      const int64_t present = std::min(kSide, first + count - position);
      if (present <= 0) break;
      rows_from_panel(raw + p * panel_words, words, words, present,
                      reinterpret_cast<uint32_t*>(out + position * channels));
    }
  }

  bool none_kept(int64_t first, int64_t count) const {
    for (int64_t i = first; i < first + count; ++i) {
      if (to_float(keep[i]) != 0.0f) return false;
    }
    return true;
  }

  // Channels whose results are made together, and the parts in which a panel of them is written.
  static constexpr int64_t kColumns = 2 * kSide, kParts = 4;

  // Makes the results of a product; calls between(part) for each part of it.
  template <class Between>
  static void run_product(const BlockProduct<T>& product, float* results, const Between& between) {
    for (int64_t part = 0; part < kParts; ++part) {
      product.add(part * product.tiles() / kParts, (part + 1) * product.tiles() / kParts);
      between(part);
    }
    product.finish(results);
  }

  // Gates one part of the results of the channels from `first` on and adds the input: writes them
  // over `raw`. The first half of the parts belongs to the first panel.
  void write_channels(const float* results, int64_t first, int64_t part, uint32_t* raw) const {
    constexpr int64_t rows = kColumns / kParts;
    const int64_t p = part / kParts;
    for (int64_t c = part % kParts * rows; c < (part % kParts + 1) * rows; c += kValues<T>) {
      uint32_t* words = raw + (p * channels + first + c) / kValues<T> * kSide;
      for (int64_t lane = 0; lane < kSide; lane += Floats::width) {
        Floats inputs[2], values[2];
        unpack<T>(words + lane, inputs);
        PERFKIT_UNROLL
        for (int v = 0; v < kValues<T>; ++v) {
          const int64_t channel = c + v;
          const float* result =
              results + (channel / kSide * 2 + p) * kTile + channel % kSide * kSide + lane;
          values[v] = gated<T>(
              load(result) + broadcast(to_float(output_bias[first + channel])),
              load(result + kBlockResults) + broadcast(to_float(gate_bias[first + channel])));
          if (add_input) values[v] = values[v] + inputs[v];
        }
        pack<T>(words + lane, values);
      }
    }
  }

  // Copies the product of a block of positions. Its channels may lie at a distance at which they
  // share one set of a cache, which would not keep a line of each until its second half is read.
  const T* copy_block(int64_t first, int64_t count) const {
    T* block = scratch<T>(kStaging, hidden * kPositions);
    for (int64_t channel = 0; channel < hidden; ++channel) {
      std::memcpy(block + channel * kPositions, product + channel * positions + first,
                  static_cast<size_t>(count) * sizeof(T));
    }
    return block;
  }

  void run(xla::ffi::ThreadPool pool) const {
    parallel_for(pool, pieces(positions, kPositions), [&](int64_t index) {
      const int64_t begin = index * kPositions;
      const int64_t end = std::min(begin + kPositions, positions);
      const TileRegisters registers;
      const T* block = copy_block(begin, end - begin);
      for (int64_t first = begin; first < end; first += 2 * kSide) {
        run_pair(first, std::min(2 * kSide, end - first), block + first - begin);
      }
    });
  }
};

}  // namespace perfkit

#endif  // PERFKIT_KERNELS_TRIANGLE_EPILOGUE_H_
