// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>  // some compilers' headers declare these functions otherwise: let them be first

#include <atomic>
#include <cstddef>
#include <cstdlib>

// Counts every allocation of the program, whoever makes it: malloc and its relatives are defined
// here, in front of the C library's, and operator new and Eigen come to them. Include it in one
// file of a program. Needs glibc, which has its allocator under second names too, and no sanitizer,
// which has an allocator of its own; elsewhere counts_allocations is false and the count stays 0.

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define HEADROOM_TESTS_SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HEADROOM_TESTS_SANITIZED
#endif

namespace headroom_tests {

inline std::atomic<long> allocations = 0;

/// Allocations made by `work`, on any thread.
template <class Work>
long allocations_of(const Work& work) {
  const long before = allocations;
  work();
  return allocations - before;
}

#if defined(__GLIBC__) && !defined(HEADROOM_TESTS_SANITIZED)
inline constexpr bool counts_allocations = true;
#else
inline constexpr bool counts_allocations = false;
#endif

}  // namespace headroom_tests

#if defined(__GLIBC__) && !defined(HEADROOM_TESTS_SANITIZED)
extern "C" {

void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t size) noexcept {
  ++headroom_tests::allocations;
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) noexcept {
  ++headroom_tests::allocations;
  return __libc_calloc(count, size);
}
void* realloc(void* old, std::size_t size) noexcept {
  ++headroom_tests::allocations;
  return __libc_realloc(old, size);
}
void* memalign(std::size_t alignment, std::size_t size) noexcept {
  ++headroom_tests::allocations;
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  return memalign(alignment, size);
}
int posix_memalign(void** result, std::size_t alignment, std::size_t size) noexcept {
  *result = memalign(alignment, size);
  return *result == nullptr && size != 0 ? 12 : 0;  // ENOMEM
}

}  // extern "C"
#endif
#undef HEADROOM_TESTS_SANITIZED
