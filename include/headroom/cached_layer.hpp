// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/mask.hpp>
#include <headroom/parallel.hpp>
#include <headroom/rope.hpp>
#include <headroom/view.hpp>

#include <cstddef>
#include <iterator>
#include <optional>
#include <ranges>
#include <span>

namespace headroom::inline HEADROOM_ISA {

/// One sequence of a batch: how many of the batch's tokens are its own, where they go, and where
/// they stand.
template <class Cache>
struct layer_sequence {
  Index tokens;  ///< new tokens, 0 or more
  Cache* cache;  ///< of this sequence alone
  std::optional<token_positions> positions =
      std::nullopt;  ///< cache->tokens() onwards if not given
};

namespace detail {

// Takes back what a call appended to its caches, unless the call ran to its end.
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
///   add_tokens(x, cache, positions, executor)                        x -> keys, values -> cache
///   attend_to(x, source, attended, mask, positions, executor)        x -> queries -> attended
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
  /// projections run over all tokens together, each sequence attends to its own cache.
  ///
  /// \param x          [total tokens, hidden]
  /// \param sequence_list  a vector, array or span of layer_sequence, in the order of x; their
  ///                       tokens add up to x's, and no two share a cache
  /// \param out        [total tokens, out_features of o], written
  /// \param mask       one for all, or a function that returns the mask of sequence i
  /// \throws as for one sequence; out and all caches are then unchanged
  template <viewable In, std::ranges::contiguous_range Sequences, viewable Out, class Mask = causal,
            executor Executor = serial>
  void batch(const In& x, const Sequences& sequence_list, Out&& out, const Mask& mask = {},
             const Executor& executor = {}) const {
    using Sequence = std::ranges::range_value_t<Sequences>;
    const std::span<const Sequence> sequences(sequence_list);
    const view<const Scalar> tokens = input(x);
    const view<Scalar> result = checked_output(out, tokens.tokens());
    Index total = 0;
    for (const auto& sequence : sequences) {
      detail::require(sequence.tokens >= 0 && sequence.cache != nullptr, "layer: a sequence has ",
                      sequence.tokens,
                      " tokens or no cache, expected at least 0 tokens and a cache");
      total += sequence.tokens;
    }
    detail::require(total == tokens.tokens(), "layer: sequences have ", total, " tokens, expected ",
                    tokens.tokens(), " as x");
    detail::scratch memory;
    const auto attended = new_matrix(memory, total, derived().attended_width());
    detail::append_guard guard(sequences, memory);
    Index first = 0;
    for (Index i = 0; i < std::ssize(sequences); ++i) {
      const Sequence& sequence = sequences[static_cast<std::size_t>(i)];
      const token_positions positions =
          sequence.positions.value_or(token_positions(sequence.cache->tokens()));
      const Index end = first + sequence.tokens;
      derived().add_tokens(tokens.slice_tokens(first, end), *sequence.cache, positions, executor);
      derived().attend_to(tokens.slice_tokens(first, end), *sequence.cache,
                          attended.slice_tokens(first, end), mask_of(mask, i), positions, executor);
      first = end;
    }
    guard.keep();
    derived().output()(attended, result, executor);
  }

  /// Appends the keys and values of x to a cache, and nothing else: the encoder's side of
  /// cross-attention.
  ///
  /// \param x  [tokens, hidden of k and v]
  /// \throws as above; the cache is then unchanged
  template <viewable In, class Cache, executor Executor = serial>
  void append(const In& x, Cache& cache, const std::optional<token_positions>& positions = {},
              const Executor& executor = {}) const {
    const view<const Scalar> tokens = as_view(x, 1);
    derived().add_tokens(tokens, cache, positions.value_or(token_positions(cache.tokens())),
                         executor);
  }

  /// Attends to a cache that is filled already and stays as it is: cross-attention over an
  /// encoder's keys and values, or over another layer's cache. The layer then needs no projections
  /// of keys and values.
  ///
  /// \param source     a cache or any other source of this layer's sizes
  /// \param positions  as above; source.tokens() - tokens onwards if not given
  /// \throws std::invalid_argument naming the argument whose shape disagrees; out is then unchanged
  template <viewable In, kv_source Source, viewable Out, attention_mask Mask = none,
            executor Executor = serial>
  void attend(const In& x, const Source& source, Out&& out, const Mask& mask = {},
              const std::optional<token_positions>& positions = {},
              const Executor& executor = {}) const {
    const view<const Scalar> tokens = input(x);
    const view<Scalar> result = checked_output(out, tokens.tokens());
    detail::scratch memory;
    const auto attended = new_matrix(memory, tokens.tokens(), derived().attended_width());
    derived().attend_to(tokens, source, attended, mask,
                        positions.value_or(token_positions(source.tokens() - tokens.tokens())),
                        executor);
    derived().output()(attended, result, executor);
  }

 protected:
  static view<Scalar> new_matrix(detail::scratch& memory, Index rows, Index width) {
    return tokens_major(memory.take<Scalar>(rows * width), rows, 1, width);
  }

 private:
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
