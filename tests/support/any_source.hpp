// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/kv_source.hpp>

#include <tuple>
#include <variant>

namespace headroom_tests {

/// One of several sources of the same codecs, told apart at run time, so that the kernels are
/// compiled for one. The source is referred to.
template <class... Sources>
class any_source {
 public:
  using Index = Eigen::Index;
  using First = std::tuple_element_t<0, std::tuple<Sources...>>;
  using KeyCodec = typename First::KeyCodec;
  using ValueCodec = typename First::ValueCodec;
  static constexpr bool values_in_keys = (headroom::detail::has_values_in_keys<Sources> && ...);

  template <class Source>
  explicit any_source(const Source& source) : source_(&source) {}

  Index tokens() const {
    return ask([](const auto& s) { return Index(s.tokens()); });
  }
  Index groups() const {
    return ask([](const auto& s) { return s.groups(); });
  }
  Index qk_dim() const {
    return ask([](const auto& s) { return s.qk_dim(); });
  }
  Index v_dim() const {
    return ask([](const auto& s) { return s.v_dim(); });
  }

  auto keys(Index g, Index begin, Index end) const {
    return ask([&](const auto& s) { return s.keys(g, begin, end); });
  }
  auto values(Index g, Index begin, Index end) const {
    return ask([&](const auto& s) { return s.values(g, begin, end); });
  }

 private:
  template <class Question>
  auto ask(const Question& question) const {
    return std::visit([&](const auto* source) { return question(*source); }, source_);
  }

  std::variant<const Sources*...> source_;
};

}  // namespace headroom_tests
