// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "workload.hpp"

namespace serve {

/// What is written for a request. Texts are equal if their logits were, too, to the last bit: what
/// is rounded in another way changes a token only now and then, but logits every time.
struct text {
  std::vector<Index> ids;
  std::uint64_t checksum = 14695981039346656037u;  ///< of all logits that tokens were chosen from

  /// Takes in the logits of the next token.
  void add_logits(const Eigen::RowVectorXf& logits) {
    for (const float number : logits) {  // FNV-1a, a number at a time
      std::uint32_t bits;
      std::memcpy(&bits, &number, sizeof bits);
      checksum = (checksum ^ bits) * 1099511628211u;
    }
  }

  friend bool operator==(const text&, const text&) = default;
};

}  // namespace serve
