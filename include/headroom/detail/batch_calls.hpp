// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/batch_sequence.hpp>
#include <headroom/detail/call_batch.hpp>
#include <headroom/detail/checked_call.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/packed_offsets.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/mask.hpp>
#include <headroom/options.hpp>
#include <headroom/view.hpp>

#include <concepts>
#include <ranges>
#include <stdexcept>

// From the arguments of a batch to its calls: what all entry points that take sequences share.

namespace headroom::inline HEADROOM_ISA::detail {

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

}  // namespace headroom::inline HEADROOM_ISA::detail
