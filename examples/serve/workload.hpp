// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "tensor.hpp"

namespace serve {

using generate::Index;
using generate::Matrix;

/// What somebody asks for, in token ids.
struct request {
  Index arrival;              ///< the step at which it comes in
  std::vector<Index> prompt;  ///< what follows the system prompt: a token at least
  Index tokens;               ///< to write, 1 or more
  std::uint64_t seed;         ///< of the choice between likely tokens
};

/// Requests in order of arrival, and the system prompt that all of them begin with.
struct workload {
  std::vector<Index> system;
  double temperature;
  std::vector<request> requests;

  /// The tokens that a request begins with.
  std::vector<Index> beginning(const request& r) const {
    std::vector<Index> ids = system;
    ids.insert(ids.end(), r.prompt.begin(), r.prompt.end());
    return ids;
  }
};

}  // namespace serve
