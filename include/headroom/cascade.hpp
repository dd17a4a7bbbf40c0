// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/attention.hpp>
#include <headroom/batch_sequence.hpp>
#include <headroom/detail/batch_calls.hpp>
#include <headroom/detail/call_batch.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/packed_offsets.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/detail/shared_window.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/mask.hpp>
#include <headroom/options.hpp>
#include <headroom/parallel.hpp>
#include <headroom/softmax_state.hpp>
#include <headroom/view.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <new>
#include <ranges>
#include <span>
#include <type_traits>

// Sequences that begin alike: the keys and values of what they share are read once for all.

namespace headroom::inline HEADROOM_ISA {

/// Keys and values with which the sequences [begin, end) of a batch begin: a system prompt of all,
/// a document of some, the prompt of several samples.
template <kv_source Source_>
class shared_prefix {
 public:
  using Source = Source_;

  /// The source is referred to and must outlive the call.
  ///
  /// \param begin, end  sequences of the batch, by their places in it
  shared_prefix(const Source& source, Index begin, Index end)
      : source_(&source), begin_(begin), end_(end) {}
  shared_prefix(const Source&&, Index, Index) = delete;

  const Source& source() const { return *source_; }
  /// The first sequence that begins with it, and the one after the last.
  Index begin() const { return begin_; }
  Index end() const { return end_; }

 private:
  const Source* source_;
  Index begin_;
  Index end_;
};

namespace detail {

template <class T>
struct is_shared_prefix : std::false_type {};
template <class Source>
struct is_shared_prefix<shared_prefix<Source>> : std::true_type {};

template <class T>
concept prefix_range =
    std::ranges::contiguous_range<const T> && std::ranges::sized_range<const T> &&
    is_shared_prefix<std::ranges::range_value_t<const T>>::value;

// What the queries of some sequences, tokens [begin, end) of the batch, got from what they share.
template <class Scalar>
struct shared_part {
  Index begin;
  Index end;
  view<Scalar> out;             // [end - begin, Q_heads, v_dim]
  token_head_view<Scalar> lse;  // [end - begin, Q_heads]
};

// Whether the first token of two sources is one in memory.
template <kv_source First, kv_source Second>
bool begin_alike(const First& first, const Second& second) {
  return first.tokens() > 0 && second.tokens() > 0 &&
         static_cast<const void*>(first.keys(0, 0, 1).rows) == second.keys(0, 0, 1).rows;
}

// The prefixes of a cascade are sources of the call's sizes and name sequences that there are; no
// query of theirs stands before the end of what it shares, and what comes behind a prefix does not
// hold that itself.
template <std::derived_from<call_sizes> Sizes, offset_range Offsets, prefix_range Prefixes,
          sequence_range Sequences>
void check_prefixes(const Sizes& sizes, const Offsets& offsets, const Prefixes& prefixes,
                    const Sequences& sequences) {
  const char* const who = sizes.who.name;
  const Index count = length(sequences);
  const auto require_behind = [&](const caller& later, const auto& source, Index prefix) {
    require(!begin_alike(at(prefixes, prefix).source(), source), later,
            ": its keys begin with those of prefix ", prefix,
            ", expected what comes behind these alone: of a fork a token_slice");
  };
  for (Index i = 0; i < length(prefixes); ++i) {
    const auto& prefix = at(prefixes, i);
    Sizes own = sizes;
    own.who = {who, i, "prefix"};
    require(0 <= prefix.begin() && prefix.begin() <= prefix.end() && prefix.end() <= count, own.who,
            " is of sequences [", prefix.begin(), ", ", prefix.end(),
            "), expected a range within the ", count, " of the batch");
    check_source(own, prefix.source());
    for (Index p = 0; p < i; ++p)
      if (std::max(at(prefixes, p).begin(), prefix.begin()) <
          std::min(at(prefixes, p).end(), prefix.end()))
        require_behind(own.who, prefix.source(), p);
  }
  for (Index i = 0; i < count; ++i) {
    const Index q_len = offset(offsets, i + 1) - offset(offsets, i);
    const Index kv_len = at(sequences, i).source().tokens();
    const Index first = at(sequences, i).first_position().value_or(kv_len - q_len);
    const Index shared = tokens_shared(i, prefixes);
    require(first >= 0 || shared == 0, caller(who, i), ": its first query stands ", -first,
            " tokens before its own keys, expected at least position 0: queries come after what is "
            "shared");
    for (Index p = 0; p < length(prefixes); ++p)
      if (has_sequence(at(prefixes, p), i)) require_behind({who, i}, at(sequences, i).source(), p);
    using Mask = typename std::ranges::range_value_t<const Sequences>::Mask;
    window_reach<Mask>::check(at(sequences, i).mask(), caller(who, i), shared);
  }
}

// What token t got from its own keys, together with what it got from each part that has it; sinks
// join once.
template <class Scalar>
void merge_parts(std::span<const shared_part<Scalar>> parts, Index t, view<Scalar> output,
                 token_head_view<Scalar> lse, std::span<const Scalar> sinks) {
  for (Index h = 0; h < output.heads(); ++h) {
    Scalar* const row = output.row(t, h);
    for (const auto& part : parts) {
      if (t < part.begin || t >= part.end) continue;
      lse(t, h) = merge_rows(row, lse(t, h), part.out.row(t - part.begin, h),
                             part.lse(t - part.begin, h), row, output.dim());
    }
    if (sinks.empty()) continue;
    const Scalar share = share_beside(sinks[static_cast<std::size_t>(h)], lse(t, h));
    for (Index d = 0; d < output.dim(); ++d) row[d] *= share;
  }
}

// What attend_cascade computes, of arguments that have been checked.
template <class Sizes, class Query, class Scalar, offset_range Offsets, prefix_range Prefixes,
          sequence_range Sequences, executor Executor>
void attend_shared(const Sizes& sizes, view<const Query> queries, view<Scalar> output,
                   const Offsets& offsets, const Prefixes& prefixes, const Sequences& sequences,
                   const attention_options<Scalar>& options, const Executor& executor) {
  using Source = typename std::ranges::range_value_t<const Prefixes>::Source;
  using Mask = typename std::ranges::range_value_t<const Sequences>::Mask;
  static_assert(!Mask::modifies_scores,
                "attend_cascade: the mask modifies scores, which it would do for a sequence's own "
                "keys but not for those that it shares; attend without sharing");
  scratch memory;
  const Index tokens = queries.tokens(), count = length(prefixes);
  const auto lse_of = [&](Index rows) {
    return token_head_view<Scalar>(memory.take<Scalar>(rows * sizes.Q_heads), rows, sizes.Q_heads);
  };
  auto partial = options;  // of a part: its lse, and no sinks yet
  partial.sinks = {};
  partial.lse = options.lse ? options.lse : lse_of(tokens);
  const token_head_view<Scalar> lse = partial.lse;
  const auto own = calls_of_batch(sizes, queries, output, offsets, sequences, partial, memory);

  using Seen = mask_over_shared<Mask>;
  auto* const masks = memory.take<Seen>(count);
  auto* const parts = memory.take<shared_part<Scalar>>(count);
  call_batch<attention_call<Scalar, Query, Seen, Sizes::known>, Source> shared(count, memory);
  for (Index i = 0; i < count; ++i) {
    const auto& prefix = at(prefixes, i);
    const Index begin = offset(offsets, prefix.begin());
    const Index end = offset(offsets, prefix.end()), rows = end - begin;
    partial.lse = lse_of(rows);
    const Seen& mask = *new (masks + i) Seen(windows_over(i, offsets, prefixes, sequences, memory));
    const auto& part = *new (parts + i) shared_part<Scalar>{
        begin, end,
        tokens_major(memory.take<Scalar>(rows * sizes.Q_heads * sizes.v_dim), rows, sizes.Q_heads,
                     sizes.v_dim),
        partial.lse};
    shared.add(call_of(sizes, queries.slice_tokens(begin, end), part.out,
                       Index(prefix.source().tokens()), mask, partial),
               prefix.source());
  }
  shared.order();

  // What is shared is long: it comes first.
  executor(shared.items() + own.items(), [&](Index place) {
    place < shared.items() ? shared.run(place) : own.run(place - shared.items());
  });
  executor(tokens, [&](Index t) {
    merge_parts<Scalar>({parts, static_cast<std::size_t>(count)}, t, output, lse, options.sinks);
  });
}

}  // namespace detail

/// attend_batch for sequences that share their beginnings. The queries of the sequences of a prefix
/// attend to it together, as one chunk, so that it is read once and not once per sequence; each
/// sequence attends to its own keys alone, and the parts are merged by their lse. A sequence may
/// have several prefixes, one after another, and none: prefixes of prefixes are a tree.
///
///   // 8 sequences share a system prompt, and the first 3 of them a document after it
///   const headroom::shared_prefix<Cache> prefixes[] = {{system, 0, 8}, {document, 0, 3}};
///   headroom::attend_cascade(gqa, q, offsets, prefixes, sequences, out);
///
/// A sequence's source holds only what is its own: of a fork that holds everything a token_slice,
/// since a whole fork would count what is shared twice. Its mask speaks of its own, too: key 0 is
/// the first key after what is shared, positions count from there, and its prefixes stand before,
/// at -1, -2 and so on. They are visible to all its queries, but for windows: a sliding_window
/// reaches into the prefixes as far as it is wide. So `causal{} & sliding_window{w}` is what it is
/// over a copy of everything, and `sliding_window{w} | prefix{0}` shows all that is shared beside a
/// window, as what a ring keeps, masked, does. A local_chunk does so, too, and is told how many
/// tokens its sequence shares: `local_chunk{c, shared}`. Other masks, your own included, hide own
/// keys alone. Masks that modify scores are refused, for they would leave out the prefixes.
///
/// \param prefixes   shared_prefix each, in memory one after another and in the order in which a
///                   sequence begins with them; all of one type of source, which may differ from
///                   that of the sequences
/// \param heads, q, offsets, sequences, out, options, executor  as in attend_batch; sinks join
///                   once, and lse is over all keys, shared ones included
/// \throws std::invalid_argument naming the argument that disagrees; nothing is written
/// \error  as if softmax weights had, for each merge, one more relative error of that of an lse;
///         the same bits for any number of threads, but not for any number of sequences that share:
///         what computes a prefix goes by their rows, and with it whether queries and weights are
///         rounded, as attention says
/// \cost   bytes: each prefix once, and each sequence's own keys; memory of one output for each
///         sequence of each prefix, kept from call to call
/// \source Juravsky et al., Hydragen, arXiv 2402.05099, section 3
template <int Q_heads, int KV_groups, int qk_dim, int v_dim, viewable Query,
          detail::offset_range Offsets, detail::prefix_range Prefixes,
          detail::sequence_range Sequences, viewable Out, executor Executor = serial>
void attend_cascade(const attention<Q_heads, KV_groups, qk_dim, v_dim>& heads, const Query& q,
                    const Offsets& offsets, const Prefixes& prefixes, const Sequences& sequences,
                    Out&& out, const attention_options<scalar_of<Out>>& options = {},
                    const Executor& executor = {}) {
  if constexpr (detail::check_scalars<Query, Out>()) {
    const auto sizes = detail::sizes_of("attend_cascade", heads);
    const auto queries = detail::queries_of(sizes, q);
    const auto output = detail::output_of(sizes, out);
    detail::check_batch(sizes, queries, output, offsets, sequences, options);
    detail::check_prefixes(sizes, offsets, prefixes, sequences);
    detail::attend_shared(sizes, queries, output, offsets, prefixes, sequences, options, executor);
  }
}

}  // namespace headroom::inline HEADROOM_ISA
