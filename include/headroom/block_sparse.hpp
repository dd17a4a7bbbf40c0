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

// Attention of blocks of queries to lists of blocks of keys.

namespace headroom::inline HEADROOM_ISA {

/// Some blocks of a source's tokens, by their indices: block b is tokens [b * block_tokens,
/// (b + 1) * block_tokens), or what there is of them. A source itself, like selected_tokens.
template <kv_source Source_, std::integral BlockIndex = Index>
class selected_blocks {
 public:
  using Source = Source_;
  using KeyCodec = typename Source::KeyCodec;
  using ValueCodec = typename Source::ValueCodec;
  static constexpr bool values_in_keys = detail::has_values_in_keys<Source>;

  /// \param block_tokens  tokens of a block, at least 1
  /// \param blocks        indices of blocks, ascending, each once
  /// \throws std::invalid_argument naming the index that is not
  selected_blocks(const Source& source, Index block_tokens, std::span<const BlockIndex> blocks)
      : selected_blocks("selected_blocks", source, block_tokens, blocks) {}
  selected_blocks(const Source&&, Index, std::span<const BlockIndex>) = delete;

  /// The same for another entry point, whose name, and that of the list, refusals give.
  selected_blocks(const detail::caller& who, const Source& source, Index block_tokens,
                  std::span<const BlockIndex> blocks)
      : source_(&source), block_tokens_(block_tokens), blocks_(blocks) {
    detail::require(block_tokens >= 1, who, ": blocks are of ", block_tokens,
                    " keys, expected at least 1");
    const Index count = static_cast<Index>(blocks.size());
    const Index tokens = source.tokens(), most = detail::parts(tokens, block_tokens);
    for (Index i = 0; i < count; ++i) {
      detail::require(0 <= block(i) && block(i) < most, who, ": blocks[", i, "] = ", block(i),
                      ", expected 0 to ", most - 1, ", one of the ", most, " blocks of keys");
      detail::require(i == 0 || block(i - 1) < block(i), who, ": blocks[", i, "] = ", block(i),
                      " after ", i == 0 ? 0 : block(i - 1), ", expected ascending, each once");
    }
    // Only the last block of the source may be short, and it can only come last.
    if (count > 0)
      tokens_ = (count - 1) * block_tokens +
                std::min(block_tokens, tokens - block(count - 1) * block_tokens);
  }

  Index tokens() const { return tokens_; }
  Index groups() const { return source_->groups(); }
  Index qk_dim() const { return source_->qk_dim(); }
  Index v_dim() const { return source_->v_dim(); }

  /// The i-th of these tokens among all, as of any kv_selection.
  Index token(Index i) const {
    return block(i / block_tokens_) * block_tokens_ + i % block_tokens_;
  }
  /// How many of them come before token t.
  Index place(Index t) const {
    if (t <= 0) return 0;
    const Index of_token = t / block_tokens_;
    const auto before = [](BlockIndex a, Index b) { return static_cast<Index>(a) < b; };
    const auto found = std::lower_bound(blocks_.begin(), blocks_.end(), of_token, before);
    const Index whole = (found - blocks_.begin()) * block_tokens_;
    const bool listed = found != blocks_.end() && static_cast<Index>(*found) == of_token;
    return std::min(whole + (listed ? t % block_tokens_ : 0), tokens_);
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
  Index block(Index i) const { return static_cast<Index>(blocks_[static_cast<std::size_t>(i)]); }

  // How many tokens from the one at `begin` on follow one another.
  Index run(Index begin, Index end) const {
    Index b = begin / block_tokens_ + 1;
    while (b * block_tokens_ < end && block(b) == block(b - 1) + 1) ++b;
    return std::min(b * block_tokens_, end) - begin;
  }

  const Source* source_;
  Index block_tokens_;
  std::span<const BlockIndex> blocks_;
  Index tokens_ = 0;
};

/// How many queries and how many keys make a block.
struct block_shape {
  Index queries;  ///< at least 1; the last block may have fewer
  Index keys;     ///< likewise
};

/// Attention where the queries of block i see, of the keys that the mask shows them, those of the
/// blocks they list alone: blocks[offsets[i]] to blocks[offsets[i+1] - 1]. The lists are the rows
/// of a sparse matrix of blocks in CSR; work is cut by what they hold.
///
/// \param heads    an attention: the sizes
/// \param q        [q_len, Q_heads, qk_dim]; block i is queries [i * queries, (i + 1) * queries)
/// \param source   all keys and values; block b is tokens [b * keys, (b + 1) * keys)
/// \param shape    of a block; the last of the queries and of the keys may be short
/// \param offsets  [blocks of queries + 1] integers, from 0, never falling, to the blocks listed
/// \param blocks   indices of blocks of keys, in memory one after another: ascending for each block
///                 of queries, each once; shared by all heads
/// \param out, mask, options, executor  as in attention; positions are those in the source
/// \throws std::invalid_argument naming the argument, and the block of queries, that disagrees;
///         nothing is written
/// \error, \post  as in attention; numbers in blocks that are not listed do not reach the result
/// \cost   2 * Q_heads * (qk_dim + v_dim) flops for each query and key of a block listed, less what
///         the mask hides; keys and values are read for each block of queries that lists them.
///         Memory linear in the blocks of queries, and of the unmerged states of long lists, kept
///         from call to call
/// \source blocks in CSR as a format for attention: Ye et al., FlashInfer, arXiv 2501.01005
template <int Q_heads, int KV_groups, int qk_dim, int v_dim, viewable Query, kv_source Source,
          detail::offset_range Offsets, detail::offset_range Blocks, viewable Out,
          attention_mask Mask = none, executor Executor = serial>
void attend_blocks(const attention<Q_heads, KV_groups, qk_dim, v_dim>& heads, const Query& q,
                   const Source& source, const block_shape& shape, const Offsets& offsets,
                   const Blocks& blocks, Out&& out, const Mask& mask = {},
                   const attention_options<scalar_of<Out>>& options = {},
                   const Executor& executor = {}) {
  using BlockIndex = std::ranges::range_value_t<const Blocks>;
  if constexpr (detail::check_scalars<Query, Out>()) {
    const char* const who = "attend_blocks";
    const auto sizes = detail::sizes_of(who, heads);
    const auto queries = detail::queries_of(sizes, q);
    const auto output = detail::output_of(sizes, out);
    detail::check_source(sizes, source);
    detail::check_arguments(sizes, queries, output, options);
    mask.check({sizes.Q_heads, queries.tokens(), Index(source.tokens())});
    detail::require(shape.queries >= 1 && shape.keys >= 1, who, ": shape is ", shape.queries,
                    " queries x ", shape.keys, " keys, expected at least 1 of each");
    const Index lists = detail::parts(queries.tokens(), shape.queries);
    detail::check_offsets(who, "offsets", offsets, lists, detail::length(blocks),
                          "the number of blocks");
    const auto selection = [&](Index i) {
      const Index begin = detail::offset(offsets, i), end = detail::offset(offsets, i + 1);
      return selected_blocks<Source, BlockIndex>(
          {who, i, "query block"}, source, shape.keys,
          {std::ranges::data(blocks) + begin, static_cast<std::size_t>(end - begin)});
    };
    for (Index i = 0; i < lists; ++i) selection(i);
    detail::attend_lists(sizes, queries, output, Index(source.tokens()), shape.queries, selection,
                         mask, options, executor);
  }
}

}  // namespace headroom::inline HEADROOM_ISA
