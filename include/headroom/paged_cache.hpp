// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/cache_checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/page_pool.hpp>
#include <headroom/paged_tokens.hpp>
#include <headroom/paged_view.hpp>
#include <headroom/view.hpp>

#include <algorithm>
#include <optional>

namespace headroom::inline HEADROOM_ISA {

/// The keys and values of the tokens so far, of one sequence and one layer, in pages of a
/// page_pool. It is used as a kv_cache is, gives the same results bit by bit, and forks:
///
///   page_pool<Eigen::bfloat16, 8, 128> pool(1000, 16);
///   paged_cache prompt(pool);
///   prompt.append(k, v);
///   paged_cache answer = prompt.fork();  // shares the prompt's pages
///
/// What removes tokens and how pages are shared is said at paged_tokens, and who may call what
/// from which thread at page_stock. Making and forking a sequence allocates its block table;
/// nothing is allocated later, unless by one whose table was moved away.
///
/// The parameters are those of the pool, from which they are deduced.
template <class Stored_, int KV_groups = Eigen::Dynamic, int qk_dim_ = Eigen::Dynamic,
          int v_dim_ = qk_dim_, class StoredValue_ = Stored_>
class paged_cache : public paged_tokens {
 public:
  using Pool = page_pool<Stored_, KV_groups, qk_dim_, v_dim_, StoredValue_>;
  using KeyCodec = typename Pool::KeyCodec;
  using ValueCodec = typename Pool::ValueCodec;
  using Key = typename Pool::Key;
  using Value = typename Pool::Value;
  static constexpr int fixed_groups = KV_groups, fixed_qk_dim = qk_dim_, fixed_v_dim = v_dim_;

  /// An empty sequence.
  ///
  /// \param pool      outlives the sequence
  /// \param capacity  most tokens it may have; all that the pool has room for, if not given
  /// \throws std::invalid_argument if the capacity is negative
  explicit paged_cache(Pool& pool, std::optional<Index> capacity = std::nullopt)
      : paged_tokens("paged_cache", pool, capacity) {}

  paged_cache(paged_cache&&) noexcept = default;
  paged_cache& operator=(paged_cache&&) noexcept = default;

  /// A sequence of the same tokens on the same pages. From here on each is changed without the
  /// other, and a page is copied when one of them writes to it; fork and truncate for a part.
  paged_cache fork() const { return *this; }

  Index groups() const { return pool().groups(); }
  Index qk_dim() const { return pool().qk_dim(); }
  Index v_dim() const { return pool().v_dim(); }

  /// Bytes that a token takes, on pages of its own.
  Index bytes_per_token() const { return pool().bytes_per_token(); }

  /// Adds tokens at the end, converting to what is stored, once.
  ///
  /// \param k  [tokens, KV_groups, qk_dim], a view or an Eigen row-major matrix
  /// \param v  [tokens, KV_groups, v_dim]
  /// \throws std::invalid_argument if a shape disagrees, std::length_error if capacity or pool have
  ///         no room; every sequence and the pool are then unchanged
  template <viewable Keys, viewable Values>
  void append(const Keys& k, const Values& v) {
    const detail::new_keys_and_values added("paged_cache", k, v, groups(), qk_dim(), v_dim());
    auto& keys = pool().keys_;
    auto& values = pool().values_;
    append_tokens(added.keys.tokens(), [&](Index t, const place& at) {
      for (Index g = 0; g < groups(); ++g) {
        KeyCodec::encode(added.keys.row(t, g), keys.row(at.page, g, at.slot), qk_dim());
        ValueCodec::encode(added.values.row(t, g), values.row(at.page, g, at.slot), v_dim());
      }
    });
  }

  /// Adds tokens [begin, end) of another source at the end, as they are stored there: of a sequence
  /// on another pool, or of a kv_cache, where one waits that had to give up its pages.
  ///
  /// \param other  a source of the same codecs and sizes, see kv_cache; may be this sequence
  /// \throws std::invalid_argument if a size disagrees or there are no such tokens,
  ///         std::length_error if capacity or pool have no room; every sequence and the pool are
  ///         then unchanged
  template <detail::stored_as<paged_cache> Source>
  void append(const Source& other, Index begin, Index end) {
    detail::require_appended("paged_cache", *this, other, begin, end);
    auto& keys = pool().keys_;
    auto& values = pool().values_;
    append_tokens(end - begin, [&](Index t, const place& at) {
      const Index from = begin + t;
      for (Index g = 0; g < groups(); ++g) {
        std::copy_n(other.keys(g, from, from + 1).rows, KeyCodec::storage_size(qk_dim()),
                    keys.row(at.page, g, at.slot));
        std::copy_n(other.values(g, from, from + 1).rows, ValueCodec::storage_size(v_dim()),
                    values.row(at.page, g, at.slot));
      }
    });
  }

  /// Writes keys in place of those from token `first` on, whose values stay. Forks keep theirs.
  ///
  /// \param k  [tokens, KV_groups, qk_dim]
  /// \throws std::invalid_argument if a shape disagrees, or if there are fewer tokens,
  ///         std::length_error as unshare; every sequence and the pool are then unchanged
  template <viewable Keys>
  void write_keys(Index first, const Keys& k) {
    const auto keys = detail::new_rows("paged_cache", "k", k, groups(), qk_dim());
    detail::require_written("paged_cache", "keys", first, keys.tokens(), tokens());
    write_tokens(first, keys.tokens(), [&](Index t, const place& at) {
      for (Index g = 0; g < groups(); ++g)
        KeyCodec::encode(keys.row(t, g), pool().keys_.row(at.page, g, at.slot), qk_dim());
    });
  }

  token_run<Key> keys(Index g, Index begin, Index end) const {
    return run(pool().key_pages(), g, begin, end);
  }
  token_run<Value> values(Index g, Index begin, Index end) const {
    return run(pool().value_pages(), g, begin, end);
  }

 private:
  paged_cache(const paged_cache&) = default;

  Pool& pool() const { return static_cast<Pool&>(paged_tokens::pool()); }
};

}  // namespace headroom::inline HEADROOM_ISA
