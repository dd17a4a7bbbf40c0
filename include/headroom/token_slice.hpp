// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/cache_checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/kv_source.hpp>

namespace headroom::inline HEADROOM_ISA {

/// Tokens [begin, end) of a source, as a source: what forks of a paged_cache begin with and what
/// each has after it, for attend_cascade; a document among others; what was there before a turn.
///
///   const headroom::token_slice prompt(fork, 0, 400), rest(fork, 400, fork.tokens());
///
/// Key 0 is token `begin`, and positions count from there. The source is referred to; it must
/// outlive the slice and keep these tokens, but may grow.
template <kv_source Source_>
class token_slice {
 public:
  using Source = Source_;
  using KeyCodec = typename Source::KeyCodec;
  using ValueCodec = typename Source::ValueCodec;
  static constexpr bool one_run = detail::has_one_run<Source>;
  static constexpr bool values_in_keys = detail::has_values_in_keys<Source>;

  /// \throws std::invalid_argument if the source has no such tokens
  token_slice(const Source& source, Index begin, Index end)
      : source_(&source), begin_(begin), tokens_(end - begin) {
    detail::require_tokens("token_slice", "taking", begin, end, source.tokens());
  }
  token_slice(const Source&&, Index, Index) = delete;

  Index tokens() const { return tokens_; }
  Index groups() const { return source_->groups(); }
  Index qk_dim() const { return source_->qk_dim(); }
  Index v_dim() const { return source_->v_dim(); }

  auto keys(Index g, Index begin, Index end) const {
    return source_->keys(g, begin_ + begin, begin_ + end);
  }
  auto values(Index g, Index begin, Index end) const {
    return source_->values(g, begin_ + begin, begin_ + end);
  }

 private:
  const Source* source_;
  Index begin_;
  Index tokens_;
};

}  // namespace headroom::inline HEADROOM_ISA
