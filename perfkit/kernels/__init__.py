"""Native kernels: C++ functions that traced programs call through JAX's FFI."""
