// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// What is a mask and what is not, and what composing masks says about scores.
#include <headroom/dense_mask.hpp>
#include <headroom/mask.hpp>
#include <headroom/score_mod.hpp>

#include <array>
#include <concepts>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

namespace hr = headroom;
using Eigen::Index;

static_assert(hr::attention_mask<hr::none>);
static_assert(hr::attention_mask<hr::causal>);
static_assert(hr::attention_mask<hr::causal_top_left>);
static_assert(hr::attention_mask<hr::sliding_window>);
static_assert(hr::attention_mask<hr::prefix>);
static_assert(hr::attention_mask<hr::key_length>);
static_assert(hr::attention_mask<hr::key_padding<char>>);
static_assert(hr::attention_mask<hr::dense_mask<bool>>);
static_assert(hr::attention_mask<hr::dense_bias<Eigen::half>>);
static_assert(hr::attention_mask<hr::alibi>);

// A mask of the user's, from nothing but its difference to the defaults, composes too.
struct even_keys : hr::mask_defaults {
  hr::key_range keys(const hr::query_row& row) const { return {0, row.kv_len, false}; }
  bool visible(const hr::query_row&, Index key) const { return key % 2 == 0; }
};
static_assert(hr::attention_mask<even_keys>);
static_assert(hr::attention_mask<decltype(even_keys() & hr::causal())>);
static_assert(hr::attention_mask<decltype(hr::causal() | even_keys())>);

// A function alone is no mask: mask() and score_mod() tell the two apart.
constexpr auto function = [](Index, Index, Index) { return true; };
constexpr auto modification = [](float score, Index, Index, Index) { return score; };
static_assert(!hr::attention_mask<decltype(function)>);
static_assert(hr::attention_mask<decltype(hr::mask(function))>);
static_assert(hr::attention_mask<decltype(hr::score_mod(modification))>);
struct no_range : hr::mask_defaults {
  bool keys(const hr::query_row&) const { return true; }
};
static_assert(!hr::attention_mask<no_range>);
static_assert(!hr::attention_mask<int>);

// Scores are looked at one by one only where some mask changes them.
static_assert(!hr::causal::modifies_scores && !hr::dense_mask<bool>::modifies_scores);
static_assert(hr::alibi::modifies_scores && hr::dense_bias<float>::modifies_scores);
static_assert(!decltype(hr::causal() & hr::prefix(2))::modifies_scores);
static_assert(decltype(hr::causal() & hr::score_mod(modification))::modifies_scores);
static_assert(decltype(hr::score_mod(modification) & hr::causal())::modifies_scores);
static_assert(!decltype(hr::causal() | hr::prefix(2))::modifies_scores);

// The flag's type is the element type of what is given.
using bools = Eigen::Matrix<bool, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
static_assert(std::same_as<decltype(hr::key_padding(std::declval<std::vector<char>&>())),
                           hr::key_padding<char>>);
static_assert(std::same_as<decltype(hr::dense_mask(std::declval<bools&>())), hr::dense_mask<bool>>);
static_assert(std::same_as<decltype(hr::dense_bias(hr::view<const Eigen::half>())),
                           hr::dense_bias<Eigen::half>>);

// A mask refers to its numbers: of a temporary, one that owns none will do.
template <class Mask, class From>
constexpr bool takes = std::is_constructible_v<Mask, From>;
using floats = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using chars = std::vector<char>;
static_assert(takes<hr::key_padding<char>, chars&> && takes<hr::key_padding<char>, const chars&>);
static_assert(!takes<hr::key_padding<char>, chars> && !takes<hr::key_padding<char>, const chars>);
static_assert(!takes<hr::key_padding<bool>, std::array<bool, 3>>);
static_assert(takes<hr::key_padding<bool>, std::array<bool, 3>&>);
static_assert(takes<hr::key_padding<char>, std::span<const char>>);
static_assert(takes<hr::key_padding<char>, std::span<char, 4>>);
static_assert(takes<hr::dense_mask<bool>, bools&> && takes<hr::dense_mask<bool>, const bools&>);
static_assert(!takes<hr::dense_mask<bool>, bools> && !takes<hr::dense_mask<bool>, const bools>);
static_assert(takes<hr::dense_mask<bool>, Eigen::Map<const bools>>);
static_assert(takes<hr::dense_mask<bool>, Eigen::Block<bools>>);
static_assert(takes<hr::dense_mask<bool>, hr::view<bool>>);
static_assert(takes<hr::dense_bias<float>, floats&> && !takes<hr::dense_bias<float>, floats>);
static_assert(takes<hr::dense_bias<float>, Eigen::Map<floats>>);
static_assert(takes<hr::dense_bias<float>, Eigen::Ref<const floats>>);
static_assert(takes<hr::dense_bias<float>, hr::view<const float>>);
static_assert(takes<hr::alibi, std::vector<float>&> && !takes<hr::alibi, std::vector<float>>);
static_assert(takes<hr::alibi, const std::vector<float>&>);
static_assert(takes<hr::alibi, std::span<const float>> && takes<hr::alibi, std::span<float>>);

}  // namespace
