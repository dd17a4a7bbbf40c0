// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/packet_stored.hpp>
#include <headroom/rope_scaling.hpp>
#include <headroom/view.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <iterator>
#include <ranges>
#include <span>
#include <type_traits>
#include <vector>

namespace headroom::inline HEADROOM_ISA {

/// Which two channels turn together. The two are the same map up to a fixed permutation of the
/// channels, so they give the same scores as long as q and k agree; a cache of rotated keys of one
/// pairing is not a cache of the other. (transformers' DeepSeek-V3 reads interleaved pairs and
/// writes them half-split: again a permutation, which scores do not see.)
enum class rope_pairing {
  half,         ///< (k, k + r/2): GPT-NeoX, transformers' Llama
  interleaved,  ///< (2k, 2k + 1): GPT-J, Meta's Llama, DeepSeek
};

/// Where the tokens of a view stand in their sequence: consecutive positions from a first one, or
/// one position per token. Refers to the list, so it must not outlive it.
class token_positions {
 public:
  /// Consecutive positions from a first one.
  token_positions(Index first) : first_(first) {}

  /// One position per token, each an Index and no other integer; any order, repetitions allowed.
  template <std::ranges::contiguous_range Ids>
  requires std::ranges::sized_range<Ids> && std::same_as<std::ranges::range_value_t<Ids>, Index>
  token_positions(const Ids& ids)
      : ids_(std::ranges::data(ids), std::ranges::size(ids)), listed_(true) {}

  template <std::ranges::contiguous_range Ids>
  requires std::integral<std::ranges::range_value_t<Ids>> &&
      (!std::same_as<std::ranges::range_value_t<Ids>, Index>)token_positions(const Ids&) {
    static_assert(std::same_as<std::ranges::range_value_t<Ids>, Index>,
                  "token_positions: a list of positions is read where it lies, so it must be of "
                  "Eigen::Index, which is std::ptrdiff_t");
  }

  Index operator[](Index t) const {
    return listed_ ? ids_[static_cast<std::size_t>(t)] : first_ + t;
  }

  /// Whether there is a list; if not, ids() is empty.
  bool listed() const { return listed_; }
  std::span<const Index> ids() const { return ids_; }

  /// Whether there is one for each of so many tokens.
  bool fit(Index tokens) const { return !listed_ || std::ssize(ids_) == tokens; }

 private:
  std::span<const Index> ids_;
  Index first_ = 0;
  bool listed_ = false;
};

namespace detail {

/// Pairs whose cos and sin are held on the stack at once: a head of up to 256 channels in one go.
inline constexpr Index rope_pairs_at_once = 128;

/// What rows of In and Out are rotated in.
template <class In, class Out>
using rope_real = std::conditional_t<
    std::is_same_v<std::remove_const_t<In>, double> || std::is_same_v<Out, double>, double, float>;

/// Turns pairs [begin, begin + count) of one row; x and y may be the same row.
template <rope_pairing pairing, class Real, class In, class Out>
void rotate_row(const In* x, Out* y, Index pairs, Index begin, Index count, const Real* cosine,
                const Real* sine) {
  constexpr Index step = pairing == rope_pairing::half ? 1 : 2;
  const Index partner = pairing == rope_pairing::half ? pairs : 1;
  Index i = 0;
  if constexpr (pairing == rope_pairing::half && std::same_as<Real, float>) {
    const Index whole = count / lanes * lanes;
    for (; i < whole; i += lanes) {
      const Index a = begin + i, b = a + partner;
      const packet x1 = load(x + a), x2 = load(x + b), c = load(cosine + i), s = load(sine + i);
      store(y + a, subtract(multiply(x1, c), multiply(x2, s)));
      store(y + b, add(multiply(x2, c), multiply(x1, s)));
    }
  }
  for (; i < count; ++i) {
    const Index a = step * (begin + i), b = a + partner;
    const Real x1 = static_cast<Real>(x[a]), x2 = static_cast<Real>(x[b]);
    y[a] = static_cast<Out>(x1 * cosine[i] - x2 * sine[i]);
    y[b] = static_cast<Out>(x2 * cosine[i] + x1 * sine[i]);
  }
}

/// The rules about the shapes of a rotation, checked before anything is written.
template <class In, class Out>
void check_rotation(const char* who, Index rotary_dim, const view<In>& x, const view<Out>& out) {
  require(x.dim() >= rotary_dim, who, ": x has head width ", x.dim(),
          ", expected at least rotary_dim = ", rotary_dim);
  require(x.tokens() == out.tokens() && x.heads() == out.heads() && x.dim() == out.dim(), who,
          ": out is [", out.tokens(), ", ", out.heads(), ", ", out.dim(),
          "], expected the shape of x, [", x.tokens(), ", ", x.heads(), ", ", x.dim(), "]");
}
template <class In, class Out>
void check_rotation(const char* who, Index rotary_dim, const view<In>& x, const view<Out>& out,
                    const token_positions& positions) {
  check_rotation(who, rotary_dim, x, out);
  require(positions.fit(x.tokens()), who, ": ", positions.ids().size(),
          " positions, expected one per token = ", x.tokens());
}

/// The rotation itself. `angles(t, k, cosine, sine)` supplies pair k's numbers for token t; they
/// serve all its heads.
template <class In, class Out, class Angles>
void rotate(const view<In>& x, const view<Out>& out, Index rotary_dim, rope_pairing pairing,
            const Angles& angles) {
  using Real = rope_real<In, Out>;
  const Index pairs = rotary_dim / 2;
  Real cosine[rope_pairs_at_once], sine[rope_pairs_at_once];
  for (Index t = 0; t < x.tokens(); ++t) {
    for (Index begin = 0; begin < pairs; begin += rope_pairs_at_once) {
      const Index count = std::min(rope_pairs_at_once, pairs - begin);
      for (Index i = 0; i < count; ++i) angles(t, begin + i, cosine[i], sine[i]);
      for (Index h = 0; h < x.heads(); ++h) {
        if (pairing == rope_pairing::half)
          rotate_row<rope_pairing::half>(x.row(t, h), out.row(t, h), pairs, begin, count, cosine,
                                         sine);
        else
          rotate_row<rope_pairing::interleaved>(x.row(t, h), out.row(t, h), pairs, begin, count,
                                                cosine, sine);
      }
    }
    for (Index h = 0; h < x.heads(); ++h)
      std::transform(x.row(t, h) + rotary_dim, x.row(t, h) + x.dim(), out.row(t, h) + rotary_dim,
                     [](const auto& number) { return static_cast<Out>(number); });
  }
}

}  // namespace detail

/// How a `rope` turns: the rotary part of a model's configuration file.
struct rope_options {
  double base = 10000;                        ///< "rope_theta", above 1
  rope_pairing pairing = rope_pairing::half;  ///< which two channels turn together
  rope_scaling scaling = unscaled_rope{};     ///< frequencies of a stretched model
  double amplitude = 1;                       ///< factor on cos and sin, see rope_magnitude
};

/// Rotary position embedding of the first rotary_dim channels of every head; the others pass.
///
///   y1 = a (x1 cos(p theta_k) - x2 sin(p theta_k))
///   y2 = a (x2 cos(p theta_k) + x1 sin(p theta_k))
///
/// for each pair (x1, x2) with frequency theta_k, position p and amplitude a. With a = 1 this is a
/// rotation R(p): R(m)^T R(n) = R(n - m), so scores depend on distances only, and rotating cached
/// keys again, by positions that may be negative, moves them along the sequence.
///
/// Angles are computed in double on each call, rotary_dim / 2 sines and cosines a token; a
/// `rope_table` (rope_table.hpp) keeps them and gives the same results bit for bit. Rotation is in
/// float, in double for double views. Nothing is allocated after construction.
///
/// \source Su et al. 2021 (RoFormer), arXiv 2104.09864.
class rope {
 public:
  /// \param rotary_dim  channels to rotate, r; even, at least 2
  /// \throws std::invalid_argument naming the number that is out of range
  explicit rope(Index rotary_dim, const rope_options& options = {})
      : frequencies_(rope_frequencies(rotary_dim, options.base, options.scaling)),
        amplitude_(options.amplitude),
        pairing_(options.pairing) {
    detail::require_number(std::isfinite(amplitude_), "rope: amplitude", amplitude_,
                           "a finite number");
  }

  Index rotary_dim() const { return 2 * std::ssize(frequencies_); }
  rope_pairing pairing() const { return pairing_; }
  double amplitude() const { return amplitude_; }

  /// Radians that each pair turns per position, [rotary_dim / 2], after scaling.
  std::span<const double> inverse_frequencies() const { return frequencies_; }

  /// a cos(p theta_k) and a sin(p theta_k).
  struct turn {
    double cos, sin;
  };
  turn at(Index position, Index k) const {
    const double angle = static_cast<double>(position) * frequencies_[static_cast<std::size_t>(k)];
    return {amplitude_ * std::cos(angle), amplitude_ * std::sin(angle)};
  }

  /// Rotates in place.
  ///
  /// \param x          [tokens, heads, dim], dim at least rotary_dim; float, double, half, bfloat16
  /// \param positions  position of x's first token, or one position per token; any sign
  /// \throws std::invalid_argument naming the argument whose shape disagrees; x is then unchanged.
  template <class Scalar>
  void operator()(view<Scalar> x, token_positions positions) const {
    (*this)(x, x, positions);
  }

  /// A matrix does not tell where its heads begin.
  template <detail::eigen_object Matrix>
  void operator()(const Matrix&, token_positions) const {
    static_assert(!detail::eigen_object<Matrix>,
                  "rope: takes a view, not a matrix, which does not say how many heads it has: "
                  "pass as_view(x, heads)");
  }

  /// Rotates x into out.
  ///
  /// \param x          [tokens, heads, dim], dim at least rotary_dim
  /// \param out        [tokens, heads, dim]  written; is x itself or overlaps it nowhere; may have
  ///                   another scalar, such as that of a cache
  /// \param positions  position of x's first token, or one position per token; any sign
  /// \throws std::invalid_argument naming the argument whose shape disagrees; out is then
  ///         unchanged
  template <class In, class Out>
  void operator()(view<In> x, view<Out> out, token_positions positions) const {
    static_assert(!std::is_const_v<Out>, "rope: the view that is written must not be of const");
    using Real = detail::rope_real<In, Out>;
    detail::check_rotation("rope", rotary_dim(), x, out, positions);
    detail::rotate(x, out, rotary_dim(), pairing_, [&](Index t, Index k, Real& cosine, Real& sine) {
      const turn a = at(positions[t], k);
      cosine = static_cast<Real>(a.cos);
      sine = static_cast<Real>(a.sin);
    });
  }

 private:
  std::vector<double> frequencies_;
  double amplitude_;
  rope_pairing pairing_;
};

}  // namespace headroom::inline HEADROOM_ISA
