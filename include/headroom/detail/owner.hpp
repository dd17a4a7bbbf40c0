// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>

#include <concepts>
#include <ranges>

// What holds its numbers itself, and takes them along when it goes. What refers to a caller's
// numbers beyond the call deletes the overload that would take a temporary of these. A temporary
// view, span, map or block is fine: what it refers to stays.

namespace headroom::inline HEADROOM_ISA::detail {

/// An Eigen matrix or array; a map, a block or an expression is none.
template <class M>
concept owning_matrix = requires {
  requires std::same_as<typename M::PlainObject, M>;
};

/// One that is a vector: its numbers lie one by one.
template <class M>
concept owning_vector = owning_matrix<M> && bool(M::IsVectorAtCompileTime);

/// Whether a type is one of Eigen's, with numbers of its own or not.
template <class M>
inline constexpr bool is_dense_of_eigen = requires {
  typename M::PlainObject;
};

/// A std::vector, a std::array and the like. Eigen's maps are not known to be borrowed, but are.
template <class R>
concept owning_range = std::ranges::range<R> && !std::ranges::borrowed_range<R> &&
                       !std::ranges::view<R> && (!is_dense_of_eigen<R> || owning_matrix<R>);

}  // namespace headroom::inline HEADROOM_ISA::detail
