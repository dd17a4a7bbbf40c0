// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>

#include <utility>
#include <vector>

namespace headroom::inline HEADROOM_ISA::detail {

/// A number for each channel of each group, or none. What was moved from has none, unless that was
/// to itself: a moved vector leaves this open, and a flag beside it would stay.
class channel_scales {
 public:
  channel_scales() = default;
  channel_scales(std::vector<float> scales, bool given)
      : scales_(std::move(scales)), given_(given) {}

  channel_scales(const channel_scales&) = default;
  channel_scales(channel_scales&& other) noexcept { swap(other); }
  channel_scales& operator=(const channel_scales&) = default;
  channel_scales& operator=(channel_scales&& other) noexcept {
    channel_scales taken(std::move(other));
    swap(taken);
    return *this;
  }

  /// Those of `count` channels in place of them, not given, in the same memory.
  void take(const float* scales, Index count) {
    scales_.assign(scales, scales + count);
    given_ = false;
  }

  bool empty() const { return scales_.empty(); }

  /// Whether they are the user's, to be kept, and not from the first tokens.
  bool given() const { return given_; }

  const float* data() const { return scales_.data(); }  // [KV_groups, dim]

 private:
  void swap(channel_scales& other) noexcept {
    scales_.swap(other.scales_);
    std::swap(given_, other.given_);
  }

  std::vector<float> scales_;
  bool given_ = false;
};

}  // namespace headroom::inline HEADROOM_ISA::detail
