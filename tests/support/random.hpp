// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/view.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <random>
#include <vector>

namespace headroom_tests {

/// Random numbers that are the same on every platform: the engine is specified by the standard, and
/// the distributions, which are not, are written here.
class random_source {
 public:
  explicit random_source(std::uint64_t seed) : engine_(seed) {}

  /// Uniform in [0, 1).
  double uniform() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }

  /// Uniform in [least, most].
  Eigen::Index integer(Eigen::Index least, Eigen::Index most) {
    return least +
           static_cast<Eigen::Index>(engine_() % static_cast<std::uint64_t>(most - least + 1));
  }

  bool chance(double probability) { return uniform() < probability; }

  /// Standard normal, by Box and Muller.
  double normal() {
    return std::sqrt(-2 * std::log(1 - uniform())) * std::cos(2 * std::numbers::pi * uniform());
  }

  template <class T>
  T pick(const std::vector<T>& choices) {
    return choices[static_cast<std::size_t>(
        integer(0, static_cast<Eigen::Index>(choices.size()) - 1))];
  }

  /// Independent normal numbers, rounded to the view's scalar.
  template <class Scalar>
  void fill(const headroom::view<Scalar>& target, double deviation = 1) {
    for (Eigen::Index t = 0; t < target.tokens(); ++t)
      for (Eigen::Index h = 0; h < target.heads(); ++h)
        for (Eigen::Index d = 0; d < target.dim(); ++d)
          target(t, h, d) = static_cast<Scalar>(deviation * normal());
  }

  template <class Scalar = float>
  std::vector<Scalar> numbers(Eigen::Index count, double deviation = 1) {
    std::vector<Scalar> result;
    for (Eigen::Index i = 0; i < count; ++i)
      result.push_back(static_cast<Scalar>(deviation * normal()));
    return result;
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace headroom_tests
