// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: what frees its numbers when it goes is an owner, what only refers to numbers is none.
#include <headroom/detail/owner.hpp>

#include <array>
#include <ranges>
#include <span>
#include <string_view>
#include <vector>

#include "support/catch.hpp"

namespace {

namespace detail = headroom::detail;

using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct unmarked_span : std::ranges::view_base {
  const float* begin() const { return nullptr; }
  const float* end() const { return nullptr; }
};

struct list_of_its_own {
  float numbers[2] = {};

  const float* begin() const { return numbers; }
  const float* end() const { return numbers + 2; }
};

}  // namespace

TEST_CASE("matrices and arrays own their numbers; maps, blocks and expressions do not") {
  STATIC_REQUIRE(detail::owning_matrix<matrix>);
  STATIC_REQUIRE(detail::owning_matrix<Eigen::Matrix3d>);
  STATIC_REQUIRE(detail::owning_matrix<Eigen::ArrayXXf>);
  STATIC_REQUIRE_FALSE(detail::owning_matrix<Eigen::Map<matrix>>);
  STATIC_REQUIRE_FALSE(detail::owning_matrix<Eigen::Map<const matrix>>);
  STATIC_REQUIRE_FALSE(detail::owning_matrix<Eigen::Ref<const matrix>>);
  STATIC_REQUIRE_FALSE(detail::owning_matrix<Eigen::Block<matrix>>);
  STATIC_REQUIRE_FALSE(detail::owning_matrix<decltype(2 * matrix())>);
  STATIC_REQUIRE_FALSE(detail::owning_matrix<std::vector<float>>);
  STATIC_REQUIRE_FALSE(detail::owning_matrix<float>);
}

TEST_CASE("vectors and arrays own their numbers; spans and views do not") {
  STATIC_REQUIRE(detail::owning_range<std::vector<float>>);
  STATIC_REQUIRE(detail::owning_range<std::vector<bool>>);
  STATIC_REQUIRE(detail::owning_range<std::array<float, 3>>);
  STATIC_REQUIRE(detail::owning_range<float[3]>);
  STATIC_REQUIRE(detail::owning_range<list_of_its_own>);
  STATIC_REQUIRE_FALSE(detail::owning_range<std::span<float>>);
  STATIC_REQUIRE_FALSE(detail::owning_range<std::span<const float, 3>>);
  STATIC_REQUIRE_FALSE(detail::owning_range<std::string_view>);
  STATIC_REQUIRE_FALSE(detail::owning_range<unmarked_span>);
  STATIC_REQUIRE_FALSE(detail::owning_range<float>);
}

TEST_CASE("a vector of Eigen's is an owner, a map of one is none") {
  // Where it is a range at all.
  STATIC_REQUIRE(detail::owning_range<Eigen::VectorXf> == std::ranges::range<Eigen::VectorXf>);
  STATIC_REQUIRE_FALSE(detail::owning_range<Eigen::Map<Eigen::VectorXf>>);
  STATIC_REQUIRE_FALSE(detail::owning_range<Eigen::Map<const Eigen::VectorXf>>);
}
