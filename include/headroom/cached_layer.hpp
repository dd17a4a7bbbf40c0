// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/cache_batch.hpp>
#include <headroom/detail/checked_call.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/linear.hpp>
#include <headroom/mask.hpp>
#include <headroom/parallel.hpp>
#include <headroom/rope.hpp>
#include <headroom/view.hpp>

#include <concepts>
#include <cstddef>
#include <iterator>
#include <optional>
#include <ranges>
#include <span>
#include <type_traits>
#include <utility>

namespace headroom::inline HEADROOM_ISA {

/// One sequence of a batch: how many of the batch's tokens are its own, where they go, and where
/// they stand.
template <class Cache>
struct layer_sequence {
  Index tokens;  ///< new tokens, 0 or more
  Cache* cache;  ///< of this sequence alone
  std::optional<token_positions> positions =
      std::nullopt;  ///< cache->tokens() onwards if not given; refer to a list, if it is one
};

namespace detail {

// Takes back what a call appended to its caches, unless the call ran to its end. So a cache's
// truncate must not throw where it only takes back tokens of the last append.
template <class Cache>
class append_guard {
 public:
  append_guard(std::span<const layer_sequence<Cache>> sequences, scratch& memory)
      : sequences_(sequences), sizes_(memory.take<Index>(std::ssize(sequences))) {
    for (std::size_t i = 0; i < sequences_.size(); ++i) sizes_[i] = sequences_[i].cache->tokens();
  }
  append_guard(const append_guard&) = delete;
  append_guard& operator=(const append_guard&) = delete;
  ~append_guard() {
    for (std::size_t i = 0; i < sequences_.size(); ++i) sequences_[i].cache->truncate(sizes_[i]);
  }
  void keep() { sequences_ = {}; }

 private:
  std::span<const layer_sequence<Cache>> sequences_;
  Index* sizes_;
};

}  // namespace detail

/// What a layer with a cache does in whatever form its attention has. Derived offers
///
///   hidden(), output(), attended_width()
///   new_keys(x, memory, executor)            -> what a cache appends, a pair, before the rotation
///   rotate_keys(keys, positions)
///   queries(x, memory, executor)             -> [tokens, heads, width], before the rotation
///   rotate_queries(q, positions)
///   attend_to(q, source, attended, mask, executor)
///   attend_to_all(q, offsets, sequences, attended, executor)   of batch_sequence
///
/// All activations are row-major [tokens, width] matrices or views of one head, of Scalar.
template <class Derived, class Scalar_>
class cached_layer {
 public:
  using Scalar = Scalar_;

  /// Self-attention: appends the keys and values of x to the cache, attends to all of it, projects
  /// the result. The same call is prefill, a chunk of it, and decode.
  ///
  /// \param x          [tokens, hidden], read
  /// \param cache      of this layer's sizes, with room for the tokens
  /// \param out        [tokens, out_features of o], written; overlaps no input
  /// \param mask       over all keys of the cache, the new ones included
  /// \param positions  for the rotary embedding: of the first token, or of each; cache.tokens()
  ///                   before the call if not given
  /// \param executor   what runs projections and attention: parallel.hpp
  /// \throws std::invalid_argument naming the argument whose shape disagrees, std::length_error if
  ///         the cache is full; cache and out are then unchanged
  template <viewable In, class Cache, viewable Out, attention_mask Mask = causal,
            executor Executor = serial>
  void operator()(const In& x, Cache& cache, Out&& out, const Mask& mask = {},
                  const std::optional<token_positions>& positions = {},
                  const Executor& executor = {}) const {
    const layer_sequence<Cache> sequence{as_view(x, 1).tokens(), &cache, positions};
    batch(x, std::span(&sequence, 1), out, mask, executor);
  }

  /// Self-attention of several sequences of any lengths, their tokens one after another in x: the
  /// projections run over all tokens together, so that weights are read once, and the attention of
  /// all sequences is one attend_batch, each over its own cache, which may be a ring, rotated or
  /// scaled. Over caches of your own around others it is a call for each, unless these have the
  /// members for a batch: see wrapping_cache.
  ///
  /// \param x          [total tokens, hidden]
  /// \param sequence_list  a vector, array or span of layer_sequence, in the order of x; their
  ///                       tokens add up to x's, and no two share a cache
  /// \param out        [total tokens, out_features of o], written
  /// \param mask       one for all, copied for each, or a function that returns that of sequence i
  /// \param executor   as for one sequence
  /// \throws as for one sequence; out and all caches are then unchanged, but where a pool has room
  ///         for the tokens of each sequence and not of all: rings on its pages then reach less far
  ///         back, and pages that were shared may have been copied
  template <viewable In, std::ranges::contiguous_range Sequences, viewable Out, class Mask = causal,
            executor Executor = serial>
  void batch(const In& x, const Sequences& sequence_list, Out&& out, const Mask& mask = {},
             const Executor& executor = {}) const {
    using Sequence = std::ranges::range_value_t<Sequences>;
    const std::span<const Sequence> sequences(sequence_list);
    const view<const Scalar> tokens = input(x);
    const view<Scalar> result = checked_output(out, tokens.tokens());
    check(sequences, tokens.tokens());
    detail::scratch memory;
    const auto keys = derived().new_keys(tokens, memory, executor);
    const view<Scalar> q = derived().queries(tokens, memory, executor);
    const view<Scalar> attended = new_attended(q, memory);
    check_appended(sequences, mask, q.heads());
    detail::append_guard guard(sequences, memory);
    Index first = 0;
    for (const Sequence& sequence : sequences) {
      const token_positions positions =
          sequence.positions.value_or(token_positions(sequence.cache->tokens()));
      const Index end = first + sequence.tokens;
      append_rotated({keys.first.slice_tokens(first, end), keys.second.slice_tokens(first, end)},
                     *sequence.cache, positions);
      derived().rotate_queries(q.slice_tokens(first, end), positions);
      first = end;
    }
    attend_each(q, sequences, attended, mask, memory, executor);
    project(attended, result, executor);
    guard.keep();
  }

  /// Appends the keys and values of x to a cache, and nothing else: the encoder's side of
  /// cross-attention.
  ///
  /// \param x          [tokens, hidden of k and v]
  /// \param positions  as above
  /// \throws as above; the cache is then unchanged
  template <viewable In, class Cache, executor Executor = serial>
  void append(const In& x, Cache& cache, const std::optional<token_positions>& positions = {},
              const Executor& executor = {}) const {
    static_assert(std::same_as<scalar_of<In>, Scalar>,
                  "layer: x must be of the layer's Scalar, float unless given");
    const view<const Scalar> tokens = detail::input_argument<Scalar>("layer", "x", x, 1);
    check_positions(positions, tokens.tokens());
    detail::scratch memory;
    append_rotated(derived().new_keys(tokens, memory, executor), cache,
                   positions.value_or(token_positions(cache.tokens())));
  }

  /// Attends to a cache that is filled already and stays as it is: cross-attention over an
  /// encoder's keys and values, or over another layer's cache. The layer then needs no projections
  /// of keys and values.
  ///
  /// \param source     a cache, one around another too, or any other source of this layer's sizes
  /// \param positions  as above; source.tokens() - tokens onwards if not given
  /// \throws std::invalid_argument naming the argument whose shape disagrees; out is then unchanged
  template <viewable In, detail::attended Source, viewable Out, attention_mask Mask = none,
            executor Executor = serial>
  void attend(const In& x, const Source& source, Out&& out, const Mask& mask = {},
              const std::optional<token_positions>& positions = {},
              const Executor& executor = {}) const {
    const view<const Scalar> tokens = input(x);
    const view<Scalar> result = checked_output(out, tokens.tokens());
    check_positions(positions, tokens.tokens());
    detail::scratch memory;
    const view<Scalar> q = derived().queries(tokens, memory, executor);
    derived().rotate_queries(
        q, positions.value_or(token_positions(source.tokens() - tokens.tokens())));
    const view<Scalar> attended = new_attended(q, memory);
    derived().attend_to(q, source, attended, mask, executor);
    project(attended, result, executor);
  }

 protected:
  /// x W^T + b as [tokens, heads, dim].
  template <class Weight, class Executor>
  static view<Scalar> projected(const linear<Weight>& weights, const view<const Scalar>& x,
                                Index heads, Index dim, detail::scratch& memory,
                                const Executor& executor) {
    const auto y =
        tokens_major(memory.take<Scalar>(x.tokens() * heads * dim), x.tokens(), 1, heads * dim);
    weights(x, y, executor);
    return tokens_major(y.data(), x.tokens(), heads, dim);
  }

 private:
  using new_tokens = std::pair<view<Scalar>, view<Scalar>>;

  template <class Cache>
  static void check(std::span<const layer_sequence<Cache>> sequences, Index tokens) {
    Index total = 0;
    for (const auto& sequence : sequences) {
      detail::require(sequence.tokens >= 0 && sequence.cache != nullptr, "layer: a sequence has ",
                      sequence.tokens,
                      " tokens or no cache, expected at least 0 tokens and a cache");
      detail::require(sequence.tokens <= tokens - total, "layer: sequences have more than ", tokens,
                      " tokens, expected as many as x");
      check_positions(sequence.positions, sequence.tokens);
      total += sequence.tokens;
    }
    detail::require(total == tokens, "layer: sequences have ", total, " tokens, expected ", tokens,
                    " as x");
    for (std::size_t i = 0; i < sequences.size(); ++i)
      for (std::size_t j = 0; j < i; ++j)
        detail::require(sequences[i].cache != sequences[j].cache, "layer: sequences ", j, " and ",
                        i, " share a cache, expected one for each");
  }

  // What would be refused once tokens are there, before any are: a ring cannot take them back
  // without a trace.
  template <class Cache, class Mask>
  static void check_appended(std::span<const layer_sequence<Cache>> sequences, const Mask& mask,
                             Index Q_heads) {
    for (Index i = 0; i < std::ssize(sequences); ++i) {
      const auto& [tokens, cache, positions] = sequences[static_cast<std::size_t>(i)];
      if constexpr (detail::checks_room<Cache>) cache->check_room(tokens);
      const mask_shape shape{Q_heads, tokens, cache->tokens() + tokens};
      if (sequences.size() > 1)
        detail::check_mask({"layer", i}, mask_of(mask, i), shape);
      else
        mask_of(mask, i).check(shape);
    }
  }

  static void check_positions(const std::optional<token_positions>& positions, Index tokens) {
    detail::require(!positions || positions->fit(tokens),
                    "layer: ", positions ? std::ssize(positions->ids()) : 0,
                    " positions were given, expected one for each of ", tokens, " tokens");
  }

  template <class Cache>
  void append_rotated(const new_tokens& keys, Cache& cache,
                      const token_positions& positions) const {
    derived().rotate_keys(keys, positions);
    cache.append(keys.first, keys.second);
  }

  // One sequence attends by itself: there is nothing to read once for several.
  template <class Cache, class Mask, class Executor>
  void attend_each(const view<Scalar>& q, std::span<const layer_sequence<Cache>> sequences,
                   const view<Scalar>& attended, const Mask& mask, detail::scratch& memory,
                   const Executor& executor) const {
    const Index count = std::ssize(sequences);
    auto* const offsets = memory.take<Index>(count + 1);
    offsets[0] = 0;
    for (Index i = 0; i < count; ++i)
      offsets[i + 1] = offsets[i] + sequences[static_cast<std::size_t>(i)].tokens;
    const auto cache = [&](Index i) -> const Cache& {
      return *sequences[static_cast<std::size_t>(i)].cache;
    };
    if constexpr (detail::batched_cache<Cache>) {
      if (count > 1) {
        using own_mask = std::remove_cvref_t<decltype(mask_of(mask, 0))>;
        detail::cache_batch<Cache, own_mask> batch(count, memory);
        for (Index i = 0; i < count; ++i)
          batch.add(cache(i), offsets[i + 1] - offsets[i], mask_of(mask, i));
        const std::span<const Index> ends(offsets, static_cast<std::size_t>(count + 1));
        batch.prepare(q, ends, executor);
        derived().attend_to_all(q, ends, batch.sequences(), attended, executor);
        return batch.restore(attended, ends, executor);
      }
    }
    for (Index i = 0; i < count; ++i)
      derived().attend_to(q.slice_tokens(offsets[i], offsets[i + 1]), cache(i),
                          attended.slice_tokens(offsets[i], offsets[i + 1]), mask_of(mask, i),
                          executor);
  }

  view<Scalar> new_attended(const view<Scalar>& q, detail::scratch& memory) const {
    const Index width = derived().attended_width();
    return tokens_major(memory.take<Scalar>(q.tokens() * width), q.tokens(), q.heads(),
                        width / q.heads());
  }

  template <class Executor>
  void project(const view<Scalar>& attended, const view<Scalar>& result,
               const Executor& executor) const {
    derived().output()(
        tokens_major(attended.data(), attended.tokens(), 1, derived().attended_width()), result,
        executor);
  }

  const Derived& derived() const { return static_cast<const Derived&>(*this); }

  template <class In>
  view<const Scalar> input(const In& x) const {
    static_assert(std::same_as<scalar_of<In>, Scalar>,
                  "layer: x must be of the layer's Scalar, float unless given");
    const view<const Scalar> tokens = detail::input_argument<Scalar>("layer", "x", x, 1);
    detail::require(tokens.heads() == 1 && tokens.dim() == derived().hidden(), "layer: x is [",
                    tokens.tokens(), ", ", tokens.heads() * tokens.dim(),
                    "], expected [tokens, hidden = ", derived().hidden(), "]");
    return tokens;
  }

  template <class Out>
  view<Scalar> checked_output(Out& out, Index tokens) const {
    static_assert(std::same_as<scalar_of<Out>, Scalar>,
                  "layer: out must be of the layer's Scalar, float unless given");
    const view<Scalar> result = detail::output_argument<Scalar>("layer", "out", out, 1);
    const Index width = derived().output().out_features();
    detail::require(result.heads() == 1 && result.tokens() == tokens && result.dim() == width,
                    "layer: out is [", result.tokens(), ", ", result.heads() * result.dim(),
                    "], expected [", tokens, ", ", width, "]");
    return result;
  }

  template <class Mask>
  static decltype(auto) mask_of(const Mask& mask, Index sequence) {
    if constexpr (attention_mask<Mask>)
      return (mask);
    else
      return mask(sequence);
  }
};

}  // namespace headroom::inline HEADROOM_ISA
