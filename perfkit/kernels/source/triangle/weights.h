// Weights packed in left tiles (tiles.h).
#ifndef PERFKIT_KERNELS_WEIGHTS_H_
#define PERFKIT_KERNELS_WEIGHTS_H_

#include <cstdint>

#include "triangle/panels.h"
#include "triangle/tiles.h"
#include "triangle/words.h"

namespace perfkit {

// Slots of scratch() in kernels that work on panels.
enum ScratchSlot { kWeights, kPanels, kMasks, kStaging, kResults, kWideLeftTiles };

// Weights in left tiles, in the form that block_product() reads.
template <class T>
class Weights {
 public:
  static int64_t words(int64_t inputs, int64_t columns) {
    return inputs / kDepth<T> * (columns / kSide) * LeftTile<T>::words;
  }

  Weights(const T* w, int64_t inputs, int64_t columns, uint32_t* tiles)
      : tiles_(tiles), inputs_(inputs) {
    const int64_t count = inputs / kDepth<T>;
    uint32_t packed[kMostChannels * kSide];
    for (int64_t block = 0; block < columns / kSide; ++block) {
      uint32_t* to = tiles + block * count * LeftTile<T>::words;
      pack_weights<T>(w, inputs, columns, block * kSide, kWideLeft<T> ? packed : to);
      widen_left<T>(kWideLeft<T> ? packed : to, count, to);
    }
  }

  // The tiles of columns 16 * block to 16 * block + 15.
  const uint32_t* block(int64_t block) const {
    return tiles_ + block * (inputs_ / kDepth<T>) * LeftTile<T>::words;
  }

 private:
  const uint32_t* tiles_;
  int64_t inputs_;
};

}  // namespace perfkit

#endif  // PERFKIT_KERNELS_WEIGHTS_H_
