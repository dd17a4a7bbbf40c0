// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/attention.hpp>
#include <headroom/detail/call_batch.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/mask.hpp>
#include <headroom/options.hpp>
#include <headroom/parallel.hpp>
#include <headroom/view.hpp>

#include <concepts>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <type_traits>
#include <utility>

// Sequences of different lengths in one call: prompts, chunks and single tokens, side by side.

namespace headroom::inline HEADROOM_ISA {

/// One sequence of a batch: where its keys and values are and which of them its queries see.
///
/// All sequences of a call have one type of source and one of mask, with parameters of their own:
/// `causal{} & sliding_window{w}` with a w for each, where a w of kv_len or more hides nothing.
template <kv_source Source_, attention_mask Mask_ = none>
class batch_sequence {
 public:
  using Source = Source_;
  using Mask = Mask_;

  /// The source is referred to and must outlive the call.
  ///
  /// \param first_position  of its first query among its keys; kv_len - q_len if not given, as in
  ///                        attention_options
  explicit batch_sequence(const Source& source, Mask mask = {},
                          std::optional<Index> first_position = std::nullopt)
      : source_(&source), mask_(std::move(mask)), first_position_(first_position) {}
  explicit batch_sequence(const Source&&, Mask = {}, std::optional<Index> = std::nullopt) = delete;

  const Source& source() const { return *source_; }
  const Mask& mask() const { return mask_; }
  std::optional<Index> first_position() const { return first_position_; }

 private:
  const Source* source_;
  Mask mask_;
  std::optional<Index> first_position_;
};

namespace detail {

template <class T>
struct is_batch_sequence : std::false_type {};
template <class Source, class Mask>
struct is_batch_sequence<batch_sequence<Source, Mask>> : std::true_type {};

// Integers in memory, one after another: std::vector<int>, std::span<const Index>, an array.
template <class T>
concept offset_range = std::ranges::contiguous_range<const T> &&
    std::ranges::sized_range<const T> && std::integral<std::ranges::range_value_t<const T>>;

template <class T>
concept sequence_range =
    std::ranges::contiguous_range<const T> && std::ranges::sized_range<const T> &&
    is_batch_sequence<std::ranges::range_value_t<const T>>::value;

template <class Range>
Index length(const Range& range) {
  return static_cast<Index>(std::ranges::size(range));
}

template <class Range>
const auto& at(const Range& range, Index i) {
  return std::ranges::data(range)[i];
}

// Where each of `parts` parts of `total` things begins, and where the last ends.
template <offset_range Offsets>
void check_offsets(const char* who, const char* name, const Offsets& offsets, Index parts,
                   Index total, const char* total_name) {
  require(length(offsets) == parts + 1, who, ": ", length(offsets), " ", name,
          " were given, expected one for each of ", parts, " and the end, ", parts + 1);
  const auto value = [&](Index i) { return static_cast<Index>(at(offsets, i)); };
  require(value(0) == 0, who, ": ", name, "[0] = ", value(0), ", expected 0");
  for (Index i = 0; i < parts; ++i)
    require(value(i) <= value(i + 1), who, ": ", name, " not monotone: ", name, "[", i + 1,
            "] = ", value(i + 1), ", expected at least ", name, "[", i, "] = ", value(i));
  require(value(parts) == total, who, ": ", name, "[", parts, "] = ", value(parts), ", expected ",
          total_name, " = ", total);
}

// What a mask says of one sequence of many.
template <attention_mask Mask>
void check_mask(const caller& who, const Mask& mask, const mask_shape& shape) {
  try {
    mask.check(shape);
  } catch (const std::invalid_argument& refused) {
    throw std::invalid_argument(text(who) + ": " + refused.what());
  }
}

// Where sequence i of a batch begins among the packed tokens.
template <offset_range Offsets>
Index offset(const Offsets& offsets, Index i) {
  return static_cast<Index>(at(offsets, i));
}

// Everything that can be wrong with a batch of these sizes, which check_source knows to check.
template <std::derived_from<call_sizes> Sizes, class Query, class Scalar, offset_range Offsets,
          sequence_range Sequences>
void check_batch(const Sizes& sizes, view<const Query> q, view<Scalar> out, const Offsets& offsets,
                 const Sequences& sequences, const attention_options<Scalar>& options) {
  const char* const who = sizes.who.name;
  const Index count = length(sequences);
  check_arguments(sizes, q, out, options);
  require(!options.first_position, who,
          ": options has a first_position, expected none: each sequence has its own");
  check_offsets(who, "offsets", offsets, count, q.tokens(), "tokens of q");
  for (Index i = 0; i < count; ++i) {
    Sizes own = sizes;
    own.who = {who, i};
    const auto& source = at(sequences, i).source();
    check_source(own, source);
    check_position(own.who, at(sequences, i).first_position());
    check_mask(
        own.who, at(sequences, i).mask(),
        {sizes.Q_heads, offset(offsets, i + 1) - offset(offsets, i), Index(source.tokens())});
  }
}

// The call of sequence i of a batch that has been checked.
template <class Sizes, class Query, class Scalar, offset_range Offsets, sequence_range Sequences>
auto call_of_sequence(const Sizes& sizes, Index i, view<const Query> q, view<Scalar> out,
                      const Offsets& offsets, const Sequences& sequences,
                      const attention_options<Scalar>& options) {
  const auto& sequence = at(sequences, i);
  const Index begin = offset(offsets, i), end = offset(offsets, i + 1);
  auto own = options;
  own.first_position = sequence.first_position();
  own.lse = options.lse.slice_tokens(begin, end);
  return call_of(sizes, q.slice_tokens(begin, end), out.slice_tokens(begin, end),
                 Index(sequence.source().tokens()), sequence.mask(), own);
}

// The calls of such a batch.
template <class Sizes, class Query, class Scalar, offset_range Offsets, sequence_range Sequences>
auto calls_of_batch(const Sizes& sizes, view<const Query> q, view<Scalar> out,
                    const Offsets& offsets, const Sequences& sequences,
                    const attention_options<Scalar>& options, scratch& memory) {
  using Sequence = std::ranges::range_value_t<const Sequences>;
  const Index count = length(sequences);
  call_batch<attention_call<Scalar, Query, typename Sequence::Mask, Sizes::known>,
             typename Sequence::Source>
      batch(count, memory);
  for (Index i = 0; i < count; ++i)
    batch.add(call_of_sequence(sizes, i, q, out, offsets, sequences, options),
              at(sequences, i).source());
  batch.order();
  return batch;
}

}  // namespace detail

/// Attention of many sequences in one call: sequence i has the queries [offsets[i], offsets[i+1])
/// and attends to its own keys and values. Every result is the same bits as that of a call for its
/// sequence alone, whatever else is in the batch and however many threads there are.
///
///   std::vector<headroom::batch_sequence<Cache, headroom::causal>> sequences;
///   for (const Cache& cache : caches) sequences.emplace_back(cache);
///   headroom::attend_batch(gqa, q, offsets, sequences, out, {}, headroom::openmp{});
///
/// The work of all sequences is one call of the executor, cut as each sequence needs it and ordered
/// by size, so that threads neither wait between sequences nor for the longest.
///
/// \param heads      an attention: the sizes
/// \param q          [tokens, Q_heads, qk_dim], the queries of all sequences one after another
/// \param offsets    [sequences + 1] integers, also known as cu_seqlens: from 0, never falling, to
///                   tokens
/// \param sequences  batch_sequence each, in memory one after another; one may have no query
/// \param out        [tokens, Q_heads, v_dim], written; overlaps no input
/// \param options    for all sequences; lse is [tokens, Q_heads], first_position is each sequence's
///                   own and not to be given here
/// \throws std::invalid_argument naming the argument, and the sequence, that disagrees; all are
///         checked before anything is written
/// \error, \post  as in attention
/// \cost   that of the sequences; memory of the unmerged states of all of them, kept from call to
///         call: a batch of decode steps after the first like it allocates nothing
template <int Q_heads, int KV_groups, int qk_dim, int v_dim, viewable Query,
          detail::offset_range Offsets, detail::sequence_range Sequences, viewable Out,
          executor Executor = serial>
void attend_batch(const attention<Q_heads, KV_groups, qk_dim, v_dim>& heads, const Query& q,
                  const Offsets& offsets, const Sequences& sequences, Out&& out,
                  const attention_options<scalar_of<Out>>& options = {},
                  const Executor& executor = {}) {
  using Scalar = scalar_of<Out>;
  static_assert(detail::compute_scalar<Scalar>,
                "attend_batch: out must be of float or double, the scalars that are computed in");
  static_assert(detail::storage_scalar<scalar_of<Query>>,
                "attend_batch: q must be of float, double, Eigen::half or Eigen::bfloat16");
  if constexpr (detail::compute_scalar<Scalar> && detail::storage_scalar<scalar_of<Query>>) {
    const auto sizes = detail::sizes_of("attend_batch", heads);
    const view<const scalar_of<Query>> queries =
        detail::view_argument("attend_batch", "q", q, heads.q_heads());
    const view<Scalar> output =
        detail::output_argument<Scalar>("attend_batch", "out", out, heads.q_heads());
    detail::check_batch(sizes, queries, output, offsets, sequences, options);
    detail::scratch memory;
    const auto batch =
        detail::calls_of_batch(sizes, queries, output, offsets, sequences, options, memory);
    executor(batch.items(), [&](Index place) { batch.run(place); });
  }
}

}  // namespace headroom::inline HEADROOM_ISA
