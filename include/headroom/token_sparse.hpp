// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/attention.hpp>
#include <headroom/detail/attend_lists.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/packed_offsets.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/mask.hpp>
#include <headroom/options.hpp>
#include <headroom/parallel.hpp>
#include <headroom/selected_mask.hpp>
#include <headroom/view.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <ranges>
#include <span>

// Attention to a list of tokens for each query, as an indexer picks them.

namespace headroom::inline HEADROOM_ISA {

/// Some tokens of a source, by their indices: a source itself, for all its groups, where the cost
/// of attention is that of the tokens listed. Neighbours in the list that are neighbours in the
/// source are read as one run.
///
/// Source and indices are referred to and must outlive it. Wherever positions matter, its mask is a
/// selected_mask; attend_tokens sees to that.
template <kv_source Source_, std::integral TokenIndex = Index>
class selected_tokens {
 public:
  using Source = Source_;
  using KeyCodec = typename Source::KeyCodec;
  using ValueCodec = typename Source::ValueCodec;
  static constexpr bool values_in_keys = detail::has_values_in_keys<Source>;

  /// \param tokens  indices of tokens, ascending, each once
  /// \throws std::invalid_argument naming the index that is not
  selected_tokens(const Source& source, std::span<const TokenIndex> tokens)
      : selected_tokens("selected_tokens", source, tokens) {}
  selected_tokens(const Source&&, std::span<const TokenIndex>) = delete;

  /// The same for another entry point, whose name, and that of the list, refusals give.
  selected_tokens(const detail::caller& who, const Source& source,
                  std::span<const TokenIndex> tokens)
      : source_(&source), tokens_(tokens) {
    const Index count = this->tokens(), most = source.tokens();
    for (Index i = 0; i < count; ++i) {
      detail::require(0 <= token(i) && token(i) < most, who, ": tokens[", i, "] = ", token(i),
                      ", expected 0 to ", most - 1, ", one of kv_len = ", most);
      detail::require(i == 0 || token(i - 1) < token(i), who, ": tokens[", i, "] = ", token(i),
                      " after ", i == 0 ? 0 : token(i - 1), ", expected ascending, each once");
    }
  }

  Index tokens() const { return static_cast<Index>(tokens_.size()); }
  Index groups() const { return source_->groups(); }
  Index qk_dim() const { return source_->qk_dim(); }
  Index v_dim() const { return source_->v_dim(); }

  /// The i-th of these tokens among all, as of any kv_selection.
  Index token(Index i) const { return static_cast<Index>(tokens_[static_cast<std::size_t>(i)]); }
  /// How many of them come before token t.
  Index place(Index t) const {
    const auto before = [](TokenIndex a, Index b) { return static_cast<Index>(a) < b; };
    return std::lower_bound(tokens_.begin(), tokens_.end(), t, before) - tokens_.begin();
  }
  /// Tokens there are to select from.
  Index all_tokens() const { return source_->tokens(); }

  auto keys(Index g, Index begin, Index end) const {
    return source_->keys(g, token(begin), token(begin) + run(begin, end));
  }
  auto values(Index g, Index begin, Index end) const {
    return source_->values(g, token(begin), token(begin) + run(begin, end));
  }

 private:
  // How many tokens from the one at `begin` on follow one another.
  Index run(Index begin, Index end) const {
    Index i = begin + 1;
    while (i < end && token(i) == token(i - 1) + 1) ++i;
    return i - begin;
  }

  const Source* source_;
  std::span<const TokenIndex> tokens_;
};

namespace detail {

/// The tokens that each of some queries lists, as selections of one source.
template <kv_source Source, offset_range Offsets, offset_range Tokens>
class token_lists {
  using TokenIndex = std::ranges::range_value_t<const Tokens>;
  using Selection = selected_tokens<Source, TokenIndex>;

 public:
  /// \throws std::invalid_argument naming the query whose list is none
  token_lists(const char* entry, const Source& listed, const Offsets& ends, const Tokens& lists,
              Index queries)
      : who_(entry), source_(listed), offsets_(ends), tokens_(lists) {
    check_offsets(entry, "offsets", ends, queries, length(lists), "the number of tokens");
    for (Index t = 0; t < queries; ++t) (*this)(t);
  }

  Selection operator()(Index t) const {
    const Index begin = offset(offsets_, t), end = offset(offsets_, t + 1);
    const std::span<const TokenIndex> list(std::ranges::data(tokens_) + begin,
                                           static_cast<std::size_t>(end - begin));
    return Selection({who_, t, "query"}, source_, list);
  }

 private:
  const char* who_;
  const Source& source_;
  const Offsets& offsets_;
  const Tokens& tokens_;
};

}  // namespace detail

/// Makes of a list in any order, as an indexer of the top k writes it, one that attend_tokens
/// takes: ascending, each token once, without the numbers below 0 that stand where there was no
/// token.
///
///   const Index count = order_tokens(std::span(top_k));  // then top_k[0] to top_k[count - 1]
///
/// \param list  written; what is behind the tokens has no meaning
/// \return how many tokens it has
template <std::signed_integral TokenIndex>
Index order_tokens(std::span<TokenIndex> list) {
  std::sort(list.begin(), list.end());
  const auto end = std::unique(list.begin(), list.end());
  const auto first = std::lower_bound(list.begin(), end, TokenIndex(0));
  return std::move(first, end, list.begin()) - list.begin();
}

/// Attention where query t sees, of the keys that the mask shows it, those it lists alone:
/// tokens[offsets[t]] to tokens[offsets[t+1] - 1]. The same as attention over the whole source
/// with a mask that shows no others, at the cost of the tokens listed.
///
/// \param heads    an attention: the sizes
/// \param q        [q_len, Q_heads, qk_dim]
/// \param source   all keys and values, of kv_len tokens
/// \param offsets  [q_len + 1] integers, from 0, never falling, to the number of tokens listed
/// \param tokens   indices into the source, in memory one after another: ascending for each query,
///                 each once, see order_tokens; shared by all heads
/// \param out, mask, options, executor  as in attention; positions are those in the source
/// \throws std::invalid_argument naming the argument, and the query, that disagrees; nothing is
///         written
/// \error, \post  as in attention; numbers of tokens that are not listed do not reach the result
/// \cost   2 * Q_heads * (qk_dim + v_dim) flops for each token listed, less what the mask hides;
///         its key and value are read for each query that lists it. Memory linear in q_len, and of
///         the unmerged states of long lists, kept from call to call
/// \source the selection of DeepSeek-V3.2, arXiv 2512.02556, section 2.1
template <int Q_heads, int KV_groups, int qk_dim, int v_dim, viewable Query, kv_source Source,
          detail::offset_range Offsets, detail::offset_range Tokens, viewable Out,
          attention_mask Mask = none, executor Executor = serial>
void attend_tokens(const attention<Q_heads, KV_groups, qk_dim, v_dim>& heads, const Query& q,
                   const Source& source, const Offsets& offsets, const Tokens& tokens, Out&& out,
                   const Mask& mask = {}, const attention_options<scalar_of<Out>>& options = {},
                   const Executor& executor = {}) {
  if constexpr (detail::check_scalars<Query, Out>()) {
    const char* const who = "attend_tokens";
    const auto sizes = detail::sizes_of(who, heads);
    const auto queries = detail::queries_of(sizes, q);
    const auto output = detail::output_of(sizes, out);
    const Index q_len = queries.tokens();
    detail::check_source(sizes, source);
    detail::check_arguments(sizes, queries, output, options);
    mask.check({sizes.Q_heads, q_len, Index(source.tokens())});
    const detail::token_lists lists(who, source, offsets, tokens, q_len);
    detail::attend_lists(sizes, queries, output, Index(source.tokens()), 1, lists, mask, options,
                         executor);
  }
}

}  // namespace headroom::inline HEADROOM_ISA
