// Triangle multiplication: the gated projections with the batched product, and what follows it.
//
// contract() projects the layer-normed pair representation x[N, N, channels] to a and b, both
// [hidden, N, N], and multiplies them for each hidden channel:
//
//   outgoing  out[c, i, j] = sum_k a[c, i, k] b[c, j, k]
//   incoming  out[c, i, j] = sum_k a[c, k, j] b[c, k, i]
//
// Both directions take one path. A piece of work projects those positions of x that make one tile
// of a and one of b for each channel. With 16 outer and `depth` inner positions (outgoing) it has
// left tiles, with `depth` outer and 16 inner positions (incoming) right tiles. Those of b are
// transposed, so that one operand is left and the other right.
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "panels.h"
#include "parallel.h"
#include "tiles.h"
#include "vector.h"
#include "words.h"
#include "xla/ffi/api/ffi.h"

namespace perfkit {
namespace {

namespace ffi = xla::ffi;

enum ScratchSlot { kWeights, kPanels, kMasks, kStaging, kResults, kWideLeftTiles };

int64_t divided(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Where the tiles of the operands a and b are.
template <class T>
struct Operands {
  static constexpr int64_t depth = kSide * kValues<T>;

  Operands(uint32_t* tiles, int64_t hidden, int64_t n)
      : blocks(divided(n, kSide)),
        depths(divided(n, depth)),
        // An odd number of kilobytes, so that the channels fall into different sets of a cache.
        channel_words(((blocks * depths) | 1) * kTile),
        a(tiles),
        b(tiles + hidden * channel_words) {}

  int64_t words(int64_t block, int64_t inner) const { return (block * depths + inner) * kTile; }

  int64_t blocks, depths, channel_words;
  uint32_t *a, *b;
};

// Weights in left tiles, in the form that block_product() reads.
template <class T>
class Weights {
 public:
  static int64_t words(int64_t inputs, int64_t columns) {
    return inputs / Operands<T>::depth * (columns / kSide) * LeftTile<T>::words;
  }

  Weights(const T* w, int64_t inputs, int64_t columns, uint32_t* tiles)
      : tiles_(tiles), inputs_(inputs) {
    const int64_t count = inputs / Operands<T>::depth;
    uint32_t packed[kMostChannels * kSide];
    for (int64_t block = 0; block < columns / kSide; ++block) {
      uint32_t* to = tiles + block * count * LeftTile<T>::words;
      pack_weights<T>(w, inputs, columns, block * kSide, kWideLeft<T> ? packed : to);
      widen_left<T>(kWideLeft<T> ? packed : to, count, to);
    }
  }

  // The tiles of columns 16 * block to 16 * block + 15.
  const uint32_t* block(int64_t block) const {
    return tiles_ + block * (inputs_ / Operands<T>::depth) * LeftTile<T>::words;
  }

 private:
  const uint32_t* tiles_;
  int64_t inputs_;
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

  // Gates, masks and rounds the results of a pair of panels for sixteen channels: the rows of the
  // pair in the tiles of these channels.
  void write_rows(const float* results, const T* bias, const T* bias_of_gate, const float* masks,
                  uint32_t* rows) const {
    for (int64_t c = 0; c < kSide; ++c) {
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
    constexpr int64_t depth = Operands<T>::depth;
    const int64_t panel_words = channels / kValues<T> * kSide;
    const int64_t tiles = channels / depth;
    uint32_t* panels = scratch<uint32_t>(kPanels, panel_words * depth);
    float* masks = scratch<float>(kMasks, depth * kSide);
    uint32_t* staging = scratch<uint32_t>(kStaging, kSide * kTile);
    float* results = scratch<float>(kResults, kBlockResults);
    const int64_t pairs = outgoing ? read_panels(block * kSide, inner * depth, panels, masks)
                                   : read_panels(inner * depth, block * kSide, panels, masks);
    constexpr int64_t pair_words = 2 * kSide / kValues<T>;
    const TileRegisters registers;
    for (int64_t column = 0; column < 2 * hidden; column += kSide) {
      for (int64_t pair = 0; pair < pairs; ++pair) {
        const uint32_t* panel = panels + 2 * pair * panel_words;
        block_product<T>(projection.block(column / kSide), gate.block(column / kSide), panel,
                         panel + panel_words, tiles, results);
        write_rows(results, projection_bias + column, gate_bias + column,
                   masks + 2 * pair * kSide, staging + pair * pair_words);
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
        block_product<T>(left0, left1, right0, right1, operands.depths, results);
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

  void run(ffi::ThreadPool pool) const {
    const int64_t depths = operands.depths;
    parallel_for(pool, operands.blocks * depths,
                 [&](int64_t index) { project(index / depths, index % depths); });
    // Row blocks whose left tiles stay in a second-level cache; an even number of them.
    constexpr int64_t kLeftBytes = 1 << 19;
    const int64_t block_bytes = depths * kTile * static_cast<int64_t>(sizeof(uint32_t));
    const int64_t rows = std::max<int64_t>(2, kLeftBytes / block_bytes / 2 * 2);
    const int64_t parts = divided(operands.blocks, rows);
    parallel_for(pool, hidden * parts, [&](int64_t index) {
      const int64_t first = index % parts * rows;
      multiply(index / parts, first, std::min(first + rows, operands.blocks));
    });
  }
};

template <class T>
struct Epilogue {
  const T *product, *x, *output_bias, *gate_bias, *keep;
  const float *in_scale, *in_offset, *scale, *offset;
  int64_t positions, channels, hidden;
  bool add_input;
  Weights<T> output, gate;
  T* out;

  // Positions first to first + count - 1, at most 32.
  void run_pair(int64_t first, int64_t count) const {
    constexpr int64_t depth = Operands<T>::depth;
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
    float* results = scratch<float>(kResults, 2 * kBlockResults);
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
      panel_from_channels<T>(product + position, positions, present, hidden, product_panel);
      normalize_panel<T>(product_panel, hidden, scale, offset, product_panel);
    }
    for (int64_t c = 0; c < channels; c += 2 * kSide) {
      const int64_t block = c / kSide;
      block_product<T>(output.block(block), output.block(block + 1), products,
                       products + product_words, hidden / depth, results);
      block_product<T>(gate.block(block), gate.block(block + 1), normed, normed + panel_words,
                       channels / depth, results + kBlockResults);
      write_channels(results, c, raw);
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

  // Gates the results of 32 channels and adds the input: writes these channels over those of `raw`.
  void write_channels(const float* results, int64_t first, uint32_t* raw) const {
    const int64_t panel_words = channels / kValues<T> * kSide;
    for (int64_t p = 0; p < 2; ++p) {
      for (int64_t c = 0; c < 2 * kSide; c += kValues<T>) {
        uint32_t* words = raw + p * panel_words + (first + c) / kValues<T> * kSide;
        for (int64_t lane = 0; lane < kSide; lane += Floats::width) {
          Floats inputs[2], values[2];
          unpack<T>(words + lane, inputs);
          PERFKIT_UNROLL
          for (int v = 0; v < kValues<T>; ++v) {
            const int64_t channel = c + v;
            const float* result = results + (channel / kSide * 2 + p) * kTile +
                                  channel % kSide * kSide + lane;
            values[v] = gated<T>(
                load(result) + broadcast(to_float(output_bias[first + channel])),
                load(result + kBlockResults) + broadcast(to_float(gate_bias[first + channel])));
            if (add_input) values[v] = values[v] + inputs[v];
          }
          pack<T>(words + lane, values);
        }
      }
    }
  }

  void run(ffi::ThreadPool pool) const {
    constexpr int64_t kPositions = 256;
    parallel_for(pool, divided(positions, kPositions), [&](int64_t index) {
      const TileRegisters registers;
      const int64_t last = std::min((index + 1) * kPositions, positions);
      for (int64_t first = index * kPositions; first < last; first += 2 * kSide) {
        run_pair(first, std::min(2 * kSide, last - first));
      }
    });
  }
};

template <class T>
const T* data(const ffi::AnyBuffer& buffer) {
  return static_cast<const T*>(buffer.untyped_data());
}

template <class T>
ffi::Error contract(ffi::ThreadPool pool, const ffi::AnyBuffer& x, const ffi::AnyBuffer& scale,
                    const ffi::AnyBuffer& offset, const ffi::AnyBuffer& projection,
                    const ffi::AnyBuffer& projection_bias, const ffi::AnyBuffer& gate,
                    const ffi::AnyBuffer& gate_bias, const ffi::AnyBuffer& mask, bool outgoing,
                    ffi::AnyBuffer& out, ffi::AnyBuffer& tiles) {
  const int64_t n = x.dimensions()[0], channels = x.dimensions()[2];
  const int64_t columns = projection.dimensions()[1];
  const Operands<T> operands(static_cast<uint32_t*>(tiles.untyped_data()), columns / 2, n);
  const int64_t words = Weights<T>::words(channels, columns);
  uint32_t* packed = scratch<uint32_t>(kWeights, 2 * words);
  Contraction<T>{data<T>(x),
                 data<T>(projection_bias),
                 data<T>(gate_bias),
                 data<T>(mask),
                 data<float>(scale),
                 data<float>(offset),
                 n,
                 channels,
                 columns / 2,
                 outgoing,
                 Weights<T>(data<T>(projection), channels, columns, packed),
                 Weights<T>(data<T>(gate), channels, columns, packed + words),
                 operands,
                 static_cast<T*>(out.untyped_data())}
      .run(pool);
  return ffi::Error::Success();
}

ffi::Error contract_any(ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::AnyBuffer scale,
                        ffi::AnyBuffer offset, ffi::AnyBuffer projection,
                        ffi::AnyBuffer projection_bias, ffi::AnyBuffer gate,
                        ffi::AnyBuffer gate_bias, ffi::AnyBuffer mask, bool outgoing,
                        ffi::Result<ffi::AnyBuffer> out, ffi::Result<ffi::AnyBuffer> tiles) {
  const auto run = x.element_type() == ffi::F32 ? contract<float> : contract<bfloat16>;
  return run(pool, x, scale, offset, projection, projection_bias, gate, gate_bias, mask, outgoing,
             *out, *tiles);
}

template <class T>
ffi::Error epilogue(ffi::ThreadPool pool, const ffi::AnyBuffer& product, const ffi::AnyBuffer& x,
                    const ffi::AnyBuffer& in_scale, const ffi::AnyBuffer& in_offset,
                    const ffi::AnyBuffer& scale, const ffi::AnyBuffer& offset,
                    const ffi::AnyBuffer& output, const ffi::AnyBuffer& output_bias,
                    const ffi::AnyBuffer& gate, const ffi::AnyBuffer& gate_bias, const T* keep,
                    bool add_input, ffi::AnyBuffer& out) {
  const int64_t positions = x.dimensions()[0], channels = x.dimensions()[1];
  const int64_t hidden = product.dimensions()[0];
  const int64_t output_words = Weights<T>::words(hidden, channels);
  uint32_t* packed = scratch<uint32_t>(
      kWeights, output_words + Weights<T>::words(channels, channels));
  Epilogue<T>{data<T>(product),
              data<T>(x),
              data<T>(output_bias),
              data<T>(gate_bias),
              keep,
              data<float>(in_scale),
              data<float>(in_offset),
              data<float>(scale),
              data<float>(offset),
              positions,
              channels,
              hidden,
              add_input,
              Weights<T>(data<T>(output), hidden, channels, packed),
              Weights<T>(data<T>(gate), channels, channels, packed + output_words),
              static_cast<T*>(out.untyped_data())}
      .run(pool);
  return ffi::Error::Success();
}

ffi::Error epilogue_any(ffi::ThreadPool pool, ffi::AnyBuffer product, ffi::AnyBuffer x,
                        ffi::AnyBuffer in_scale, ffi::AnyBuffer in_offset, ffi::AnyBuffer scale,
                        ffi::AnyBuffer offset, ffi::AnyBuffer output, ffi::AnyBuffer output_bias,
                        ffi::AnyBuffer gate, ffi::AnyBuffer gate_bias, ffi::RemainingArgs keep,
                        bool add_input, ffi::Result<ffi::AnyBuffer> out) {
  const void* kept = nullptr;
  if (keep.size() > 0) {
    const auto buffer = keep.get<ffi::AnyBuffer>(0);
    if (buffer.has_error()) return buffer.error();
    kept = buffer->untyped_data();
  }
  if (x.element_type() == ffi::F32) {
    return epilogue<float>(pool, product, x, in_scale, in_offset, scale, offset, output,
                           output_bias, gate, gate_bias, static_cast<const float*>(kept),
                           add_input, *out);
  }
  return epilogue<bfloat16>(pool, product, x, in_scale, in_offset, scale, offset, output,
                            output_bias, gate, gate_bias, static_cast<const bfloat16*>(kept),
                            add_input, *out);
}

}  // namespace
}  // namespace perfkit

XLA_FFI_DEFINE_HANDLER_SYMBOL(triangle_contract, perfkit::contract_any,
                              xla::ffi::Ffi::Bind()
                                  .Ctx<xla::ffi::ThreadPool>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Attr<bool>("outgoing")
                                  .Ret<xla::ffi::AnyBuffer>()
                                  .Ret<xla::ffi::AnyBuffer>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(triangle_epilogue, perfkit::epilogue_any,
                              xla::ffi::Ffi::Bind()
                                  .Ctx<xla::ffi::ThreadPool>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .RemainingArgs()
                                  .Attr<bool>("add_input")
                                  .Ret<xla::ffi::AnyBuffer>());
