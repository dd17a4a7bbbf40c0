// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/mask.hpp>
#include <headroom/view.hpp>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

namespace headroom_tests {

/// How a tensor lies in memory.
enum class layout {
  tokens_major,    ///< [T, H, D], dense: a sanitizer sees the first read outside it
  heads_major,     ///< [H, T, D], dense
  padded,          ///< [T, H, D] with gaps after every row and token, and margins
  heads_padded,    ///< [H, T, D] with gaps and margins
  tokens_reversed  ///< the last token comes first: a negative stride
};

inline const std::vector<layout> all_layouts = {layout::tokens_major, layout::heads_major,
                                                layout::padded, layout::heads_padded,
                                                layout::tokens_reversed};

/// Owns numbers [tokens, heads, dim]. Every byte of its memory, inside and between the rows, starts
/// as a NaN: a kernel that reads what it must not read shows it in its result, and one that writes
/// where it must not is found by gaps_untouched().
template <class Scalar_>
class tensor {
 public:
  using Scalar = Scalar_;
  using Index = Eigen::Index;

  tensor() = default;

  tensor(Index tokens, Index heads, Index dim, layout order = layout::tokens_major)
      : tokens_(tokens), heads_(heads), dim_(dim) {
    const bool padded = order == layout::padded || order == layout::heads_padded;
    const Index margin = padded ? 7 : 0, row = padded ? dim + 3 : dim;
    if (order == layout::heads_major || order == layout::heads_padded) {
      token_stride_ = row;
      head_stride_ = tokens * row + (padded ? 5 : 0);
    } else {
      head_stride_ = row;
      token_stride_ = heads * row + (padded ? 5 : 0);
    }
    const Index size = tokens * heads * dim == 0
                           ? 0
                           : (tokens - 1) * token_stride_ + (heads - 1) * head_stride_ + dim;
    memory_.resize(static_cast<std::size_t>(size + 2 * margin));
    auto* bytes = reinterpret_cast<unsigned char*>(memory_.data());
    std::fill(bytes, bytes + memory_.size() * sizeof(Scalar), poison_byte);
    first_ = margin;
    if (order == layout::tokens_reversed && tokens > 0) {
      first_ += (tokens - 1) * token_stride_;
      token_stride_ = -token_stride_;
    }
  }

  Index tokens() const { return tokens_; }
  Index heads() const { return heads_; }
  Index dim() const { return dim_; }

  headroom::view<Scalar> view() {
    return {memory_.data() + first_, tokens_, heads_, dim_, token_stride_, head_stride_};
  }
  headroom::view<const Scalar> view() const {
    return {memory_.data() + first_, tokens_, heads_, dim_, token_stride_, head_stride_};
  }

  /// The same numbers as one per token and head; dim() must be 1.
  headroom::token_head_view<Scalar> per_head() {
    return {memory_.data() + first_, tokens_, heads_, token_stride_, head_stride_};
  }

  Scalar& operator()(Index t, Index h, Index d) { return view()(t, h, d); }
  const Scalar& operator()(Index t, Index h, Index d) const { return view()(t, h, d); }

  /// Whether everything that is not an element is still poison.
  bool gaps_untouched() const {
    std::vector<bool> inside(memory_.size(), false);
    for (Index t = 0; t < tokens_; ++t)
      for (Index h = 0; h < heads_; ++h)
        for (Index d = 0; d < dim_; ++d)
          inside[static_cast<std::size_t>(view().row(t, h) + d - memory_.data())] = true;
    const auto* bytes = reinterpret_cast<const unsigned char*>(memory_.data());
    for (std::size_t i = 0; i < memory_.size(); ++i)
      if (!inside[i] && std::any_of(bytes + i * sizeof(Scalar), bytes + (i + 1) * sizeof(Scalar),
                                    [](unsigned char byte) { return byte != poison_byte; }))
        return false;
    return true;
  }

 private:
  static constexpr unsigned char poison_byte = 0xff;  // all ones is a NaN in every scalar

  Index tokens_ = 0;
  Index heads_ = 0;
  Index dim_ = 0;
  Index token_stride_ = 0;
  Index head_stride_ = 0;
  Index first_ = 0;
  std::vector<Scalar> memory_;
};

template <class Scalar>
Scalar quiet_nan() {
  return static_cast<Scalar>(std::numeric_limits<float>::quiet_NaN());
}

template <class Scalar>
void fill_row(const headroom::view<Scalar>& target, Eigen::Index t, Eigen::Index h, Scalar number) {
  std::fill(target.row(t, h), target.row(t, h) + target.dim(), number);
}

/// Overwrites, with `poison`, the keys and values that no query of their group sees.
///
/// \param q_len, Q_heads   sizes of the queries
/// \param first_position   position of the first query
template <class Key, class Value, class Mask>
void poison_unseen(const headroom::view<Key>& k, const headroom::view<Value>& v, const Mask& mask,
                   Eigen::Index q_len, Eigen::Index Q_heads, Eigen::Index first_position,
                   float poison = std::numeric_limits<float>::quiet_NaN()) {
  using Eigen::Index;
  const Index kv_len = k.tokens(), heads_per_group = Q_heads / k.heads();
  for (Index g = 0; g < k.heads(); ++g) {
    std::vector<bool> seen(static_cast<std::size_t>(kv_len), false);
    for (Index h = g * heads_per_group; h < (g + 1) * heads_per_group; ++h)
      for (Index t = 0; t < q_len; ++t)
        for (Index j = 0; j < kv_len; ++j)
          if (headroom::sees(mask, headroom::query_row{h, t, first_position + t, kv_len}, j))
            seen[static_cast<std::size_t>(j)] = true;
    for (Index j = 0; j < kv_len; ++j)
      if (!seen[static_cast<std::size_t>(j)]) {
        fill_row(k, j, g, static_cast<Key>(poison));
        fill_row(v, j, g, static_cast<Value>(poison));
      }
  }
}

}  // namespace headroom_tests
