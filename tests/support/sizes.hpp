// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <vector>

// Sizes that kernels get wrong: nothing, one, one less and one more than a block, primes.

namespace headroom_tests {

/// Widths of a row: around packets of 4, 8 and 16 numbers, and around stripes of them.
inline const std::vector<Eigen::Index> awkward_widths = {1,  2,  3,  4,  5,  7,  8,  9,  15, 16,
                                                         17, 19, 31, 32, 33, 63, 64, 65, 96, 128};

/// Numbers of tokens: around tiles of 96 keys and blocks of 192 rows.
inline const std::vector<Eigen::Index> awkward_lengths = {0,   1,   2,   3,   5,   7,   16,  19,
                                                          31,  32,  63,  64,  65,  95,  96,  97,
                                                          127, 129, 191, 192, 193, 199, 257, 300};

/// Numbers of keys around the place where a decode step splits them (1536), and far beyond.
inline const std::vector<Eigen::Index> long_lengths = {700, 1535, 1536, 1537, 1729, 2049, 3073};

}  // namespace headroom_tests
