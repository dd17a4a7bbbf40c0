// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/rope.hpp>
#include <headroom/view.hpp>

#include <concepts>
#include <cstddef>
#include <iterator>
#include <numeric>
#include <type_traits>
#include <vector>

namespace headroom::inline HEADROOM_ISA {

/// Which pairs of channels turn by which axis, of as many as each has.
enum class axis_order {
  consecutive,  ///< those of the first axis, then those of the next: Qwen2-VL, Qwen2.5-VL
  interleaved,  ///< of n axes pair k turns by axis k mod n, as long as that has pairs left, by the
                ///< first one else: Qwen3-VL
};

/// Rotary position embedding of tokens that stand at a position on each of several axes, as patches
/// of an image do: time, height and width. Each pair of channels turns by one of them,
///
///   y = a R(p_i theta_k) x,   i the axis of pair k
///
/// in all else as `rope` does, which a token at the same position on all axes is rotated as, bit
/// for bit: text. A mask's positions are those in the sequence, whatever these are. Layers hold a
/// `rope` and do not take this one: rotate queries and keys yourself, and call attention.
///
/// \source Wang et al. 2024 (Qwen2-VL), arXiv 2409.12191, section 2.1.
class multi_axis_rope {
 public:
  /// The frequencies of `one`, each for one axis.
  ///
  /// \param pairs_of_axis  of each axis, pairs that turn by it ("mrope_section")
  /// \param order          which of all pairs these are
  /// \throws std::invalid_argument if there is no axis, if one has less than no pairs, if they are
  ///         not rotary_dim / 2 together, or if one has more than every n-th of them, interleaved
  multi_axis_rope(const rope& one, const std::vector<Index>& pairs_of_axis,
                  axis_order order = axis_order::consecutive)
      : one_(one), axes_(std::ssize(pairs_of_axis)) {
    const char* const who = "multi_axis_rope";
    detail::require(axes_ > 0, who, ": pairs_of_axis is empty, expected at least one axis");
    for (Index axis = 0; axis < axes_; ++axis)
      detail::require(pairs_of(pairs_of_axis, axis) >= 0, who, ": pairs_of_axis[", axis,
                      "] = ", pairs_of(pairs_of_axis, axis), ", expected at least 0");
    const Index pairs = one.rotary_dim() / 2;
    const Index all = std::accumulate(pairs_of_axis.begin(), pairs_of_axis.end(), Index(0));
    detail::require(all == pairs, who, ": pairs_of_axis are ", all,
                    " together, expected rotary_dim / 2 = ", pairs);
    turns_.reserve(static_cast<std::size_t>(pairs));
    if (order == axis_order::consecutive) {
      for (Index axis = 0; axis < axes_; ++axis)
        for (Index i = 0; i < pairs_of(pairs_of_axis, axis); ++i)
          turns_.push_back({axis, std::ssize(turns_)});
    } else {
      for (Index k = 0; k < pairs; ++k)
        turns_.push_back({k / axes_ < pairs_of(pairs_of_axis, k % axes_) ? k % axes_ : 0, k});
      for (Index axis = 1; axis < axes_; ++axis) {
        const Index most = (pairs - axis + axes_ - 1) / axes_;
        detail::require(pairs_of(pairs_of_axis, axis) <= most, who, ": pairs_of_axis[", axis,
                        "] = ", pairs_of(pairs_of_axis, axis), ", expected at most ", most,
                        ", one in ", axes_, " of the ", pairs, " pairs");
      }
    }
  }

  /// All frequencies of `one` for each axis, one axis after another: the two-dimensional embedding
  /// of vision encoders. Its rotary_dim is that of `one` for each of them.
  ///
  /// \throws std::invalid_argument if there is no axis
  static multi_axis_rope of_each_axis(const rope& one, Index axes) {
    detail::require(axes > 0, "multi_axis_rope: axes = ", axes, ", expected at least 1");
    multi_axis_rope result(one, {one.rotary_dim() / 2});
    result.axes_ = axes;
    result.turns_.clear();
    for (Index axis = 0; axis < axes; ++axis)
      for (Index k = 0; k < one.rotary_dim() / 2; ++k) result.turns_.push_back({axis, k});
    return result;
  }

  Index axes() const { return axes_; }
  Index rotary_dim() const { return 2 * std::ssize(turns_); }
  rope_pairing pairing() const { return one_.pairing(); }

  /// The axis that pair k turns by.
  Index axis(Index k) const { return turns_[static_cast<std::size_t>(k)].axis; }

  /// Rotates in place.
  ///
  /// \param x          [tokens, heads, dim], dim at least rotary_dim; float, double, half, bfloat16
  /// \param positions  [tokens, axes], any Eigen matrix of integers, of any sign
  /// \throws std::invalid_argument naming the argument whose shape disagrees; x is then unchanged
  template <class Scalar, class Positions>
  void operator()(view<Scalar> x, const Eigen::DenseBase<Positions>& positions) const {
    (*this)(x, x, positions);
  }

  /// Rotates x into out, as `rope` does.
  ///
  /// \throws as above; out is then unchanged
  template <class In, class Out, class Positions>
  void operator()(view<In> x, view<Out> out, const Eigen::DenseBase<Positions>& positions) const {
    static_assert(!std::is_const_v<Out>,
                  "multi_axis_rope: the view that is written must not be of const");
    static_assert(std::integral<typename Positions::Scalar>,
                  "multi_axis_rope: positions must be a matrix of integers");
    using Real = detail::rope_real<In, Out>;
    const char* const who = "multi_axis_rope";
    detail::check_rotation(who, rotary_dim(), x, out);
    detail::require(positions.rows() == x.tokens() && positions.cols() == axes_, who,
                    ": positions are [", positions.rows(), ", ", positions.cols(),
                    "], expected [tokens, axes] = [", x.tokens(), ", ", axes_, "]");
    detail::rotate(x, out, rotary_dim(), pairing(),
                   [&](Index t, Index k, Real& cosine, Real& sine) {
                     const turn of = turns_[static_cast<std::size_t>(k)];
                     const auto position = positions.derived().coeff(t, of.axis);
                     const rope::turn a = one_.at(static_cast<Index>(position), of.pair);
                     cosine = static_cast<Real>(a.cos);
                     sine = static_cast<Real>(a.sin);
                   });
  }

 private:
  static Index pairs_of(const std::vector<Index>& pairs_of_axis, Index axis) {
    return pairs_of_axis[static_cast<std::size_t>(axis)];
  }

  // What a pair of channels turns by.
  struct turn {
    Index axis;
    Index pair;  // of one_
  };

  rope one_;
  Index axes_;
  std::vector<turn> turns_;
};

}  // namespace headroom::inline HEADROOM_ISA
