// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/owner.hpp>
#include <headroom/mask.hpp>
#include <headroom/view.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>
#include <ranges>
#include <span>

// Masks that are data: a flag per key, a flag or a bias per query and key.

namespace headroom::inline HEADROOM_ISA {

namespace detail {

// A number that is added to a score. As a flag it would be read the wrong way round: where an
// additive mask has 0, it shows the key.
template <class T>
concept added_number = storage_scalar<T> || std::floating_point<T>;

}  // namespace detail

/// Key j is real iff valid[j]: the usual attention_mask of a padded batch, of bool or integers. The
/// flags are read, not copied, and must outlive the call; so a temporary std::vector is refused.
/// Padding counts where positions do, as with key_length: where queries end before it, or begin
/// behind it, say options.first_position.
template <class Flag = bool>
struct key_padding : mask_defaults {
  static_assert(!detail::added_number<Flag>,
                "key_padding: takes flags, bool or integers, that are true where a key is real; "
                "numbers that are added to scores, 0 where a key is real, are a dense_bias");

  std::span<const Flag> valid;  ///< [kv_len]

  explicit key_padding(std::span<const Flag> flags) : valid(flags) {}
  template <std::ranges::range Flags>
  explicit key_padding(const Flags& flags) {
    constexpr bool in_memory = std::ranges::contiguous_range<const Flags>;
    constexpr bool vector_of_eigen = detail::owning_vector<Flags>;
    static_assert(in_memory || vector_of_eigen,
                  "key_padding: the flags must lie in memory one by one; std::vector<bool> keeps "
                  "bits, so pass a std::vector<char>, an array of bool, or a std::span");
    if constexpr (in_memory)
      valid = flags;
    else if constexpr (vector_of_eigen)
      valid = {flags.data(), static_cast<std::size_t>(flags.size())};
  }
  template <detail::owning_range Flags>
  explicit key_padding(const Flags&&) = delete;  // a temporary: name the flags first

  key_range keys(const query_row& row) const { return {0, row.kv_len, false}; }
  bool visible(const query_row&, Index key) const {
    return static_cast<bool>(valid[static_cast<std::size_t>(key)]);
  }

  void check(const mask_shape& shape) const {
    detail::require(static_cast<Index>(valid.size()) == shape.kv_len, "key_padding: ", valid.size(),
                    " flags were given, expected kv_len = ", shape.kv_len);
  }
};
template <std::ranges::range Flags>
key_padding(const Flags&) -> key_padding<std::ranges::range_value_t<Flags>>;

namespace detail {

template <class Scalar>
void check_dense_shape(const char* name, const view<const Scalar>& values,
                       const mask_shape& shape) {
  const bool heads_fit = values.heads() == 1 || values.heads() == shape.Q_heads;
  require(values.tokens() == shape.q_len && values.dim() == shape.kv_len && heads_fit, name,
          ": [q_len, heads, kv_len] = [", values.tokens(), ", ", values.heads(), ", ", values.dim(),
          "] was given, expected [", shape.q_len, ", 1 or ", shape.Q_heads, ", ", shape.kv_len,
          "]");
}

template <class Scalar>
const Scalar& dense_value(const view<const Scalar>& values, const query_row& row, Index key) {
  return values(row.query, values.heads() == 1 ? 0 : row.head, key);
}

}  // namespace detail

/// Query t of head h sees key j iff allowed(t, h, j): a mask tensor, for masks that are no formula.
/// Takes a view [q_len, heads, kv_len] with heads either 1 (shared by all) or Q_heads, or an Eigen
/// row-major matrix [q_len, kv_len], of bool or integers. Read, not copied; must outlive the call,
/// so a temporary matrix is refused.
template <class Flag = bool>
struct dense_mask : mask_defaults {
  static_assert(!detail::added_number<Flag>,
                "dense_mask: takes flags, bool or integers, that are true where a key is seen; "
                "numbers that are added to scores, 0 where a key is seen, are a dense_bias");

  view<const Flag> allowed;  ///< [q_len, 1 or Q_heads, kv_len]

  template <viewable T>
  explicit dense_mask(const T& flags) : allowed(as_view(flags, 1)) {}
  explicit dense_mask(view<const Flag> flags) : allowed(flags) {}
  template <detail::owning_matrix T>
  explicit dense_mask(const T&&) = delete;  // a temporary: name the matrix first

  key_range keys(const query_row& row) const { return {0, row.kv_len, false}; }
  bool visible(const query_row& row, Index key) const {
    return static_cast<bool>(detail::dense_value(allowed, row, key));
  }
  void check(const mask_shape& shape) const {
    detail::check_dense_shape("dense_mask", allowed, shape);
  }
};
template <viewable T>
dense_mask(const T&) -> dense_mask<scalar_of<T>>;

/// Adds values(t, h, j) to the score of query t, head h, key j. An entry of minus infinity hides
/// the key altogether; a large negative finite one does not (a row of nothing else averages V).
/// Shapes and lifetime as in dense_mask.
template <class Scalar = float>
struct dense_bias : mask_defaults {
  static_assert(detail::added_number<Scalar>,
                "dense_bias: takes numbers that are added to scores, of float, double, Eigen::half "
                "or Eigen::bfloat16; flags, bool or integers, are a dense_mask");

  static constexpr bool modifies_scores = true;

  view<const Scalar> values;  ///< [q_len, 1 or Q_heads, kv_len]

  template <viewable T>
  explicit dense_bias(const T& bias) : values(as_view(bias, 1)) {}
  explicit dense_bias(view<const Scalar> bias) : values(bias) {}
  template <detail::owning_matrix T>
  explicit dense_bias(const T&&) = delete;  // a temporary: name the matrix first

  key_range keys(const query_row& row) const { return {0, row.kv_len, false}; }
  bool visible(const query_row& row, Index key) const {
    return detail::dense_value(values, row, key) != -std::numeric_limits<Scalar>::infinity();
  }
  template <class Score>
  Score modify(Score score, const query_row& row, Index key) const {
    Scalar value = detail::dense_value(values, row, key);
    if constexpr (sizeof(Scalar) > sizeof(Score))  // what is finite stays so
      if (std::isfinite(value))
        value = std::clamp<Scalar>(value, std::numeric_limits<Score>::lowest(),
                                   std::numeric_limits<Score>::max());
    return score + static_cast<Score>(value);
  }
  void check(const mask_shape& shape) const {
    detail::check_dense_shape("dense_bias", values, shape);
  }
};
template <viewable T>
dense_bias(const T&) -> dense_bias<scalar_of<T>>;

}  // namespace headroom::inline HEADROOM_ISA
