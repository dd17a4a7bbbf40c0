// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string>
#include <vector>

#include "server.hpp"

namespace serve {

/// Below which 50, 95 and 99 of a hundred values lie.
struct percentiles {
  static constexpr std::array<int, 3> ranks = {50, 95, 99};
  std::array<double, 3> values{};
};

/// The values of the nearest rank; zeros if there are none.
percentiles percentiles_of(std::vector<double> values);

/// What one way to serve a workload comes to.
struct figures {
  std::string name;
  service served;
  Index pool_bytes = 0;  ///< all layers
  Index page_bytes = 0;
  Index differing = 0;  ///< texts that are not, with their logits, those that are written alone

  double tokens_per_second() const;
  Index peak_bytes() const;
  Index most_bytes_saved() const;  ///< by sharing, at the moment when it saves most
  percentiles first_token_ms() const;
  percentiles pause_ms() const;
};

}  // namespace serve
