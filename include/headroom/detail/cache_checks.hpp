// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/view.hpp>

#include <concepts>
#include <stdexcept>
#include <string>

// What caches take and refuse, each under its own name.

namespace headroom::inline HEADROOM_ISA::detail {

// A source whose tokens a cache can take as they are stored.
template <class Source, class Cache>
concept stored_as = kv_source<Source> &&
    std::same_as<typename Source::KeyCodec, typename Cache::KeyCodec> &&
    std::same_as<typename Source::ValueCodec, typename Cache::ValueCodec> &&
    (has_values_in_keys<Source> == has_values_in_keys<Cache>);

inline void require_room(const char* who, Index tokens, Index size, Index capacity) {
  if (tokens > capacity - size)
    throw std::length_error(text(who) + ": appending " + text(tokens) + " tokens to " + text(size) +
                            " exceeds the capacity of " + text(capacity));
}

// Tokens [begin, end) are of a cache of `size`.
inline void require_tokens(const char* who, const char* what, Index begin, Index end, Index size) {
  require(0 <= begin && begin <= end && end <= size, who, ": ", what, " tokens [", begin, ", ", end,
          "), expected a range within size = ", size);
}

// `count` tokens from `first` on, whose `what` is to be written, are of a cache of `size`.
inline void require_written(const char* who, const char* what, Index first, Index count,
                            Index size) {
  require(0 <= first && count <= size - first, who, ": writing ", what, " of ", count,
          " tokens from ", first, " on, expected a range within size = ", size);
}

// A size of another source, called `other`, is that of this cache.
inline void require_same_size(const char* who, const char* name, Index others, Index own) {
  require(others == own, who, ": other has ", name, " = ", others, ", expected ", own);
}

// Tokens [begin, end) of another source fit behind those of a cache, of latents or not.
template <class Cache, class Source>
void require_appended(const char* who, const Cache& cache, const Source& other, Index begin,
                      Index end) {
  require_same_size(who, "KV_groups", Index(other.groups()), Index(cache.groups()));
  if constexpr (has_values_in_keys<Cache>) {
    require_same_size(who, "latent_rank", other.v_dim(), cache.v_dim());
    require_same_size(who, "rope", other.qk_dim() - other.v_dim(), cache.qk_dim() - cache.v_dim());
  } else {
    require_same_size(who, "qk_dim", other.qk_dim(), cache.qk_dim());
    require_same_size(who, "v_dim", other.v_dim(), cache.v_dim());
  }
  require_tokens(who, "appending other's", begin, end, other.tokens());
  require_room(who, end - begin, cache.tokens(), cache.capacity());
}

inline void require_token(const char* who, Index token, Index size) {
  require(0 <= token && token < size, who, ": token ", token, ", expected one of size = ", size);
}

inline void require_truncation(const char* who, Index tokens, Index size) {
  require(0 <= tokens && tokens <= size, who, ": truncate to ", tokens,
          " tokens, expected 0 to size = ", size);
}

// What is to be written into a cache, called `who`. Integers would be stored without a word, but
// attention refuses them: they are codes of a quantized tensor more often than numbers.
template <viewable Rows>
view<const scalar_of<Rows>> given_rows(const char* who, const char* name, const Rows& given,
                                       Index heads) {
  static_assert(storage_scalar<scalar_of<Rows>>,
                "headroom: what a cache is given must be of float, double, Eigen::half or "
                "Eigen::bfloat16; convert integers first, codes with their scale");
  return view_argument(who, name, given, heads);
}

// Keys or values for a cache of these sizes, called `who`.
template <viewable Rows>
view<const scalar_of<Rows>> new_rows(const char* who, const char* name, const Rows& given,
                                     Index groups, Index dim) {
  const view<const scalar_of<Rows>> rows = given_rows(who, name, given, groups);
  require(rows.heads() == groups, who, ": ", name, " has ", rows.heads(),
          " heads, expected KV_groups = ", groups);
  require(rows.dim() == dim, who, ": ", name, " has width ", rows.dim(), ", expected ", dim);
  return rows;
}

// Both.
template <viewable Keys, viewable Values>
struct new_keys_and_values {
  view<const scalar_of<Keys>> keys;
  view<const scalar_of<Values>> values;

  new_keys_and_values(const char* who, const Keys& k, const Values& v, Index groups, Index qk_dim,
                      Index v_dim)
      : keys(new_rows(who, "k", k, groups, qk_dim)), values(new_rows(who, "v", v, groups, v_dim)) {
    require(values.tokens() == keys.tokens(), who, ": v has ", values.tokens(),
            " tokens, expected ", keys.tokens(), " as k");
  }
};

}  // namespace headroom::inline HEADROOM_ISA::detail
