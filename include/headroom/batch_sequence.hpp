// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/mask.hpp>

#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>

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

template <class T>
concept sequence_range =
    std::ranges::contiguous_range<const T> && std::ranges::sized_range<const T> &&
    is_batch_sequence<std::ranges::range_value_t<const T>>::value;

}  // namespace detail

}  // namespace headroom::inline HEADROOM_ISA
