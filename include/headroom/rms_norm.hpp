// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/view.hpp>

#include <cmath>
#include <cstddef>
#include <span>

namespace headroom::inline HEADROOM_ISA {

/// Root-mean-square normalisation of every row, in place:
///
///   x = gain * x / sqrt(mean(x^2) + eps)
///
/// \param x     [tokens, heads, dim] of float or double; each row of dim numbers on its own
/// \param gain  [dim], of any storage scalar: a span, a std::vector, an Eigen vector
/// \param eps   added to the mean square; not negative
/// \throws std::invalid_argument if gain is not as wide as a row, or eps is wrong; x is then
///         unchanged
/// \error  squares are summed in Scalar: of floats, a row whose squares add up to more than 3.4e38
///         becomes 0
/// \source Zhang and Sennrich, arXiv 1910.07467, equation (4)
template <class Scalar, class Gain>
void rms_norm(view<Scalar> x, std::span<const Gain> gain, double eps) {
  static_assert(detail::compute_scalar<Scalar> && detail::storage_scalar<Gain>,
                "rms_norm: x must be of float or double, and gain of float, double, Eigen::half or "
                "Eigen::bfloat16");
  detail::require(static_cast<Index>(gain.size()) == x.dim(), "rms_norm: gain has ", gain.size(),
                  " numbers, expected the width of a row, ", x.dim());
  detail::require(eps >= 0, "rms_norm: eps = ", eps, ", expected 0 or a positive number");
  using Row = Eigen::Map<Eigen::Array<Scalar, Eigen::Dynamic, 1>>;
  const Eigen::Map<const Eigen::Array<Gain, Eigen::Dynamic, 1>> gains(gain.data(), x.dim());
  for (Index t = 0; t < x.tokens(); ++t)
    for (Index h = 0; h < x.heads(); ++h) {
      Row row(x.row(t, h), x.dim());
      const Scalar mean_square = row.square().sum() / static_cast<Scalar>(x.dim());
      row *= Scalar(1) / std::sqrt(mean_square + static_cast<Scalar>(eps));
      row *= gains.template cast<Scalar>();
    }
}

template <class Scalar, class Gains>
requires requires(const Gains& gain) {
  std::span(gain.data(), static_cast<std::size_t>(gain.size()));
}
void rms_norm(view<Scalar> x, const Gains& gain, double eps) {
  rms_norm(x, std::span(gain.data(), static_cast<std::size_t>(gain.size())), eps);
}

}  // namespace headroom::inline HEADROOM_ISA
