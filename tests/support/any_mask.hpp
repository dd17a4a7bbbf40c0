// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/mask.hpp>

#include <utility>
#include <variant>

namespace headroom_tests {

/// One of several masks, told apart at run time, so that the kernels are compiled for one.
template <class... Masks>
class any_mask {
 public:
  static constexpr bool modifies_scores = (Masks::modifies_scores || ...);

  template <class Mask>
  explicit any_mask(Mask mask) : mask_(std::move(mask)) {}

  headroom::key_range keys(const headroom::query_row& row) const {
    return std::visit([&](const auto& mask) { return mask.keys(row); }, mask_);
  }
  bool visible(const headroom::query_row& row, Eigen::Index key) const {
    return std::visit([&](const auto& mask) { return bool(mask.visible(row, key)); }, mask_);
  }
  template <class Score>
  Score modify(Score score, const headroom::query_row& row, Eigen::Index key) const {
    return std::visit([&](const auto& mask) { return mask.modify(score, row, key); }, mask_);
  }
  void check(const headroom::mask_shape& shape) const {
    std::visit([&](const auto& mask) { mask.check(shape); }, mask_);
  }

 private:
  std::variant<Masks...> mask_;
};

}  // namespace headroom_tests
