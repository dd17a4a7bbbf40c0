// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

// Broken preconditions of the kernels, and of Eigen itself, throw: a test can then require them.
// The build includes this file before any other in every translation unit of a test.
#if defined(EIGEN_CORE_H) || defined(EIGEN_CORE_MODULE_H)
#error "include support/eigen_assert.hpp before Eigen"
#endif

#include <stdexcept>

namespace headroom_tests {

/// A false eigen_assert. Never std::invalid_argument, which is what a public entry point throws.
struct eigen_assertion : std::logic_error {
  using std::logic_error::logic_error;
};

}  // namespace headroom_tests

#define eigen_assert(condition) \
  (static_cast<bool>(condition) ? void() : throw headroom_tests::eigen_assertion(#condition))
