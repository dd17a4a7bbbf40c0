// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/cascade.hpp>
#include <headroom/detail/cache_batch.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/detail/shared_window.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/layer_sequence.hpp>
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

/// What a layer with a cache does in whatever form its attention has. Derived offers
///
///   hidden(), output(), attended_width()
///   new_keys(x, memory, executor)            -> what a cache appends, a pair, before the rotation
///   rotate_keys(keys, positions)
///   queries(x, memory, executor)             -> [tokens, heads, width], before the rotation
///   rotate_queries(q, positions)
///   attend_to(q, source, attended, mask, executor)
///   attend_to_all(q, offsets, sequences, attended, executor)   of batch_sequence
///   attend_to_shared(q, offsets, prefixes, sequences, attended, executor)
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
    run<Sequence>(x, sequence_list, none_shared(), out, mask, executor);
  }

  /// The same of sequences that share their beginnings, such as a system prompt, which one
  /// attend_cascade reads once for all of them: see cascade.hpp. Of latents all are absorbed.
  ///
  ///   layer.append(prompt, shared);  // once, or by a call that computes its outputs, too
  ///   layer.cascade(x, std::array{headroom::shared_prefix(shared, 0, 8)}, sequences, out);
  ///
  /// \param prefixes   shared_prefix each, of this layer's sizes, as attend_cascade takes them
  /// \param sequence_list  as of a batch, whose caches hold tokens of their own alone and are no
  ///                   rings, rotated or scaled; positions are behind what is shared if not given
  /// \param mask       as of a batch, over own keys; no ALiBi or bias, and windows go on over what
  ///                   is shared
  /// \throws as a batch, and std::invalid_argument naming the prefix that disagrees
  template <viewable In, detail::prefix_range Prefixes, std::ranges::contiguous_range Sequences,
            viewable Out, class Mask = causal, executor Executor = serial>
  void cascade(const In& x, const Prefixes& prefixes, const Sequences& sequence_list, Out&& out,
               const Mask& mask = {}, const Executor& executor = {}) const {
    using Sequence = std::ranges::range_value_t<Sequences>;
    constexpr bool holds_tokens = kv_source<std::remove_pointer_t<decltype(Sequence::cache)>>;
    static_assert(holds_tokens,
                  "layer: the sequences of a cascade are in a kv_cache or latent_cache, or one of "
                  "these on pages; rings, rotated and scaled caches go into a batch");
    if constexpr (holds_tokens) run<Sequence>(x, sequence_list, prefixes, out, mask, executor);
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
    detail::check_token_positions(positions, tokens.tokens());
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
    detail::check_token_positions(positions, tokens.tokens());
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
  struct none_shared {};

  template <class Sequence, class In, class Prefixes, class Out, class Mask, class Executor>
  void run(const In& x, std::span<const Sequence> sequences, const Prefixes& prefixes, Out& out,
           const Mask& mask, const Executor& executor) const {
    const view<const Scalar> tokens = input(x);
    const view<Scalar> result = checked_output(out, tokens.tokens());
    detail::check_sequences(sequences, tokens.tokens());
    detail::scratch memory;
    const auto keys = derived().new_keys(tokens, memory, executor);
    const view<Scalar> q = derived().queries(tokens, memory, executor);
    const view<Scalar> attended = new_attended(q, memory);
    detail::check_appended(sequences, mask, q.heads());
    detail::append_guard guard(sequences, memory);
    auto* const offsets = memory.take<Index>(std::ssize(sequences) + 1);
    offsets[0] = 0;
    for (Index i = 0; i < std::ssize(sequences); ++i) {
      const Sequence& sequence = sequences[static_cast<std::size_t>(i)];
      const Index first = offsets[i], end = first + sequence.tokens;
      const Index position = shared(i, prefixes) + sequence.cache->tokens();
      const token_positions positions = sequence.positions.value_or(token_positions(position));
      append_rotated({keys.first.slice_tokens(first, end), keys.second.slice_tokens(first, end)},
                     *sequence.cache, positions);
      derived().rotate_queries(q.slice_tokens(first, end), positions);
      offsets[i + 1] = end;
    }
    attend_each(q, {offsets, sequences.size() + 1}, prefixes, sequences, attended, mask, memory,
                executor);
    project(attended, result, executor);
    guard.keep();
  }

  // Tokens before a sequence's own.
  template <class Prefixes>
  static Index shared(Index sequence, const Prefixes& prefixes) {
    if constexpr (detail::prefix_range<Prefixes>)
      return detail::tokens_shared(sequence, prefixes);
    else
      return 0;
  }

  template <class Cache>
  void append_rotated(const new_tokens& keys, Cache& cache,
                      const token_positions& positions) const {
    derived().rotate_keys(keys, positions);
    cache.append(keys.first, keys.second);
  }

  // One sequence attends by itself, unless it shares some keys: there is nothing to read once for
  // several.
  template <class Prefixes, class Sequence, class Mask, class Executor>
  void attend_each(const view<Scalar>& q, std::span<const Index> offsets, const Prefixes& prefixes,
                   std::span<const Sequence> sequences, const view<Scalar>& attended,
                   const Mask& mask, detail::scratch& memory, const Executor& executor) const {
    using Cache = std::remove_pointer_t<decltype(Sequence::cache)>;
    constexpr bool shares = detail::prefix_range<Prefixes>;
    const Index count = std::ssize(sequences);
    if constexpr (detail::batched_cache<Cache>) {
      if (shares || count > 1) {
        using own_mask = std::remove_cvref_t<decltype(detail::mask_of(mask, 0))>;
        detail::cache_batch<Cache, own_mask> batch(count, memory);
        for (Index i = 0; i < count; ++i) {
          const auto& [tokens, cache, positions] = sequences[static_cast<std::size_t>(i)];
          batch.add(*cache, tokens, detail::mask_of(mask, i));
        }
        batch.prepare(q, offsets, executor);
        if constexpr (shares)
          derived().attend_to_shared(q, offsets, prefixes, batch.sequences(), attended, executor);
        else
          derived().attend_to_all(q, offsets, batch.sequences(), attended, executor);
        return batch.restore(attended, offsets, executor);
      }
    }
    Index first = 0;
    for (Index i = 0; i < count; ++i) {
      const auto& [tokens, cache, positions] = sequences[static_cast<std::size_t>(i)];
      derived().attend_to(q.slice_tokens(first, first + tokens), *cache,
                          attended.slice_tokens(first, first + tokens), detail::mask_of(mask, i),
                          executor);
      first += tokens;
    }
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
};

}  // namespace headroom::inline HEADROOM_ISA
