// How often a size fits into a count, rounded up.
#ifndef PERFKIT_KERNELS_COUNTS_H_
#define PERFKIT_KERNELS_COUNTS_H_

#include <cstdint>

namespace perfkit {

inline int64_t pieces(int64_t count, int64_t size) { return (count + size - 1) / size; }
inline int64_t rounded_up(int64_t value, int64_t step) { return pieces(value, step) * step; }

}  // namespace perfkit

#endif  // PERFKIT_KERNELS_COUNTS_H_
