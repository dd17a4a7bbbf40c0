// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/inputs.hpp"

#include <headroom/detail/memory.hpp>
#include <memory>

namespace headroom_bench {

/// Weights [out_features, in_features], on huge pages as the library's caches are.
template <class Weight>
class drawn_weights {
 public:
  using Map = Eigen::Map<const row_major<Weight>>;

  explicit drawn_weights(const matrix& drawn)
      : numbers_(headroom::detail::uninitialised<Weight>(drawn.size())),
        map_(numbers_.get(), drawn.rows(), drawn.cols()) {
    const row_major<Weight> stored = drawn.template cast<Weight>();
    std::uninitialized_copy_n(stored.data(), stored.size(), numbers_.get());
  }

  const Map& operator()() const { return map_; }

 private:
  headroom::detail::aligned_array<Weight> numbers_;
  Map map_;
};

}  // namespace headroom_bench
