// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/packet_bfloat16.hpp>
#include <headroom/detail/packet_int16.hpp>

#include <tuple>
#include <type_traits>

namespace headroom_tests {

/// A pair that every CPU can multiply, and the one that this CPU has an instruction for, if it has:
/// a list of types for TEMPLATE_LIST_TEST_CASE.
template <class Twin, class Pair>
using twins =
    std::conditional_t<std::is_same_v<Twin, Pair>, std::tuple<Twin>, std::tuple<Twin, Pair>>;

using bfloat16_pairs = twins<headroom::detail::widened_pair, headroom::detail::bfloat16_pair>;
using int16_pairs = twins<headroom::detail::widened_int16_pair, headroom::detail::int16_pair>;

}  // namespace headroom_tests
