// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/rope.hpp>
#include <headroom/view.hpp>

#include <type_traits>

namespace headroom::inline HEADROOM_ISA {

/// The cos and sin of positions [0, max_positions), computed once or taken from a file.
///
/// \tparam Real  scalar of the table; float serves float, half and bfloat16 views, double all views
template <class Real = float>
class rope_table {
  static_assert(std::is_same_v<Real, float> || std::is_same_v<Real, double>,
                "rope_table<Real>: Real must be float or double");
  using Table = Eigen::Array<Real, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

 public:
  /// The table of a rope: rotates as that rope does, bit for bit.
  /// \throws std::invalid_argument if max_positions is less than 1
  rope_table(const rope& source, Index max_positions) : pairing_(source.pairing()) {
    detail::require(max_positions >= 1, "rope_table: max_positions is ", max_positions,
                    ", expected at least 1");
    cos_.resize(max_positions, source.rotary_dim() / 2);
    sin_.resize(max_positions, source.rotary_dim() / 2);
    for (Index p = 0; p < max_positions; ++p)
      for (Index k = 0; k < cos_.cols(); ++k) {
        const rope::turn a = source.at(p, k);
        cos_(p, k) = static_cast<Real>(a.cos);
        sin_(p, k) = static_cast<Real>(a.sin);
      }
  }

  /// A copy of given caches, any Eigen matrix or array: the cos_cache and sin_cache of ONNX
  /// RotaryEmbedding, or the left and the right half of the one [max_positions, r] cache that vLLM
  /// and FlashInfer keep.
  ///
  /// \param cosine   [max_positions, rotary_dim / 2]
  /// \param sine     [max_positions, rotary_dim / 2]
  /// \param pairing  which two channels turn together, which the caches do not tell
  /// \throws std::invalid_argument if the two differ in shape or are empty
  template <class Cos, class Sin>
  rope_table(const Eigen::DenseBase<Cos>& cosine, const Eigen::DenseBase<Sin>& sine,
             rope_pairing pairing)
      : cos_(cosine.derived().array().template cast<Real>()),
        sin_(sine.derived().array().template cast<Real>()),
        pairing_(pairing) {
    detail::require(cos_.size() > 0, "rope_table: the cos cache is [", cos_.rows(), ", ",
                    cos_.cols(), "], expected [max_positions, rotary_dim / 2], not empty");
    detail::require(cos_.rows() == sin_.rows() && cos_.cols() == sin_.cols(),
                    "rope_table: the sin cache is [", sin_.rows(), ", ", sin_.cols(),
                    "], expected the shape of the cos cache, [", cos_.rows(), ", ", cos_.cols(),
                    "]");
  }

  Index max_positions() const { return cos_.rows(); }
  Index rotary_dim() const { return 2 * cos_.cols(); }
  rope_pairing pairing() const { return pairing_; }

  /// Rotates in place, as `rope` does.
  ///
  /// \throws as `rope` does, and std::invalid_argument where a position is not in [0,
  ///         max_positions()); x is then unchanged
  template <class Scalar>
  void operator()(view<Scalar> x, token_positions positions) const {
    (*this)(x, x, positions);
  }

  /// Rotates x into out, as `rope` does.
  ///
  /// \throws as above; out is then unchanged
  template <class In, class Out>
  void operator()(view<In> x, view<Out> out, token_positions positions) const {
    using Compute = detail::rope_real<In, Out>;
    static_assert(!std::is_const_v<Out>,
                  "rope_table: the view that is written must not be of const");
    static_assert(sizeof(Real) >= sizeof(Compute),
                  "rope_table: a table of floats would round the angles of a double view; use "
                  "rope_table<double>");
    detail::check_rotation("rope_table", rotary_dim(), x, out, positions);
    for (Index t = 0; t < x.tokens(); ++t)
      detail::require(positions[t] >= 0 && positions[t] < max_positions(), "rope_table: token ", t,
                      " has position ", positions[t], ", expected [0, ", max_positions(), ")");
    detail::rotate(x, out, rotary_dim(), pairing_,
                   [&](Index t, Index k, Compute& cosine, Compute& sine) {
                     cosine = static_cast<Compute>(cos_(positions[t], k));
                     sine = static_cast<Compute>(sin_(positions[t], k));
                   });
  }

 private:
  Table cos_, sin_;
  rope_pairing pairing_;
};

}  // namespace headroom::inline HEADROOM_ISA
