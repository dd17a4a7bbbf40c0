// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a draft's result is what causal attention gives over the text and the drafts on its path
// alone; the text is never asked for key by key; what is no tree is refused.
#include <headroom/dense_mask.hpp>
#include <headroom/tree_mask.hpp>

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/problem.hpp"
#include "support/random.hpp"
#include "support/refusal.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

using Flags = Eigen::Matrix<bool, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// The drafts from a root to draft i, i included.
std::vector<Index> path_to(const std::vector<Index>& parents, Index i) {
  if (i < 0) return {};
  auto path = path_to(parents, parents[static_cast<std::size_t>(i)]);
  path.push_back(i);
  return path;
}

std::vector<Index> random_parents(random_source& random, Index drafts) {
  std::vector<Index> parents;
  for (Index i = 0; i < drafts; ++i) parents.push_back(random.integer(-1, i - 1));
  return parents;
}

// A mask that may be asked about drafts only.
template <class Mask>
struct asked_for_drafts : Mask {
  explicit asked_for_drafts(const Mask& mask) : Mask(mask) {}

  bool visible(const hr::query_row& row, Index key) const {
    REQUIRE(key >= row.kv_len - this->drafts());
    return Mask::visible(row, key);
  }
};

template <class Parents>
std::string refusal(const Parents& parents) {
  return refusal_of([&] { hr::tree_mask<4> mask(parents); });
}

std::string refusal_of_flags(const Flags& flags) {
  return refusal_of([&] { hr::tree_mask<4>::from_ancestors(flags); });
}

}  // namespace

TEST_CASE("each draft sees the text and its path") {
  random_source random(8);
  for (const Index text : {0, 1, 3, 40}) {
    const auto parents = random_parents(random, 23);
    const hr::tree_mask<> mask(parents);
    CHECK(mask.drafts() == 23);
    const Index kv_len = text + 23;
    for (Index i = 0; i < 23; ++i) {
      std::vector<bool> expected(static_cast<std::size_t>(kv_len), false);
      std::fill_n(expected.begin(), text, true);
      for (const Index j : path_to(parents, i)) expected[static_cast<std::size_t>(text + j)] = true;
      for (Index key = 0; key < kv_len; ++key)
        CHECK(hr::sees(mask, {0, i, text + i, kv_len}, key) ==
              expected[static_cast<std::size_t>(key)]);
    }
    // Text before the drafts is causal, and nobody sees what is before the first key.
    for (Index p = -2; p < text; ++p)
      for (Index key = 0; key < kv_len; ++key)
        CHECK(hr::sees(mask, {0, 0, p, kv_len}, key) == (key <= p));
  }
}

TEST_CASE("a draft's result is the causal one over its path") {
  random_source random(5);
  // Few rows and many, a decode step that is split, and no text.
  for (const auto& [text, drafts, heads, groups] : {std::array<Index, 4>{300, 7, 4, 2},
                                                    {1700, 2, 2, 1},
                                                    {1800, 64, 8, 2},
                                                    {0, 9, 2, 2},
                                                    {97, 1, 1, 1}}) {
    INFO(text << " tokens, " << drafts << " drafts");
    const Index kv_len = text + drafts;
    const problem<> p({drafts, kv_len, heads, groups, 16, 12});
    const auto parents = random_parents(random, drafts);
    const asked_for_drafts mask{hr::tree_mask<>(parents)};
    const auto tree = attend(p, mask);
    REQUIRE(error_ratio(tree, p.exact(mask)) <= 1);
    for (Index i = 0; i < drafts; i += 1 + drafts / 9) {
      const auto path = path_to(parents, i);
      const Index seen = text + static_cast<Index>(path.size());
      tensor<float> k(seen, groups, 16), v(seen, groups, 12);
      for (Index j = 0; j < seen; ++j) {
        const Index from = j < text ? j : text + path[static_cast<std::size_t>(j - text)];
        for (Index g = 0; g < groups; ++g) {
          std::copy_n(p.keys().row(from, g), 16, k.view().row(j, g));
          std::copy_n(p.values().row(from, g), 12, v.view().row(j, g));
        }
      }
      const auto q = p.queries().slice_tokens(i, i + 1);
      const auto alone =
          attend<float>(q, std::as_const(k).view(), std::as_const(v).view(), hr::causal());
      const auto bound =
          exact_attention<float>(q, std::as_const(k).view(), std::as_const(v).view(), hr::causal())
              .bound;
      REQUIRE(error_ratio(std::as_const(tree.out).view().slice_tokens(i, i + 1),
                          std::as_const(alone.out).view(), bound.out.view()) <= 2);
    }
  }
}

TEST_CASE("a chain of drafts is causal, a bush sees the text and itself") {
  const problem<> p({5, 400, 4, 2, 16, 8});
  const auto bound = p.exact(hr::causal()).bound;
  CHECK(error_ratio(attend(p, hr::tree_mask(std::array{-1, 0, 1, 2, 3})), attend(p, hr::causal()),
                    bound) <= 2);
  const auto itself = hr::prefix(395) | hr::sliding_window(1, 0);
  CHECK(error_ratio(attend(p, hr::tree_mask(std::array{-1, -1, -1, -1, -1})), attend(p, itself),
                    p.exact(itself).bound) <= 2);
}

TEST_CASE("garbage in the drafts of other branches does not reach a result") {
  problem<> p({1, 130, 2, 1, 8, 8});
  for (Index d = 0; d < 8; ++d) p.v(127, 0, d) = p.k(127, 0, d) = quiet_nan<float>();
  // Drafts 126 to 129; the query is the last, whose path leaves out 127.
  const hr::tree_mask mask(std::array{-1, 0, 0, 2});
  CHECK(error_ratio(attend(p, mask), p.exact(mask)) <= 1);
}

TEST_CASE("a tree joins other masks, and the text stays unasked") {
  const problem<> p({6, 700, 4, 2, 16, 8});
  const asked_for_drafts tree{hr::tree_mask(std::array{-1, 0, 0, 1, 1, 2})};
  const auto windowed = tree & hr::sliding_window(200);
  CHECK(error_ratio(attend(p, windowed), p.exact(windowed)) <= 1);
  const auto wider = tree | hr::prefix(696);  // two of the drafts are for all
  CHECK(error_ratio(attend(p, wider), p.exact(wider)) <= 1);
  CHECK(wider.keys({0, 5, 699, 700}).shows(695));
}

TEST_CASE("ancestors as bits are the same tree") {
  random_source random(2);
  const auto parents = random_parents(random, 12);
  Flags flags = Flags::Zero(12, 12);
  for (Index i = 0; i < 12; ++i)
    for (const Index j : path_to(parents, i)) flags(i, j) = true;
  const hr::tree_mask<12> a(parents);
  const auto b = hr::tree_mask<12>::from_ancestors(flags);
  CHECK(b.drafts() == 12);
  for (Index i = 0; i < 12; ++i)
    for (Index key = 0; key < 20; ++key)
      CHECK(hr::sees(a, {0, i, 8 + i, 20}, key) == hr::sees(b, {0, i, 8 + i, 20}, key));
}

TEST_CASE("what is no tree is refused") {
  CHECK(refusal(std::array{-1, 0, 2}) ==
        "tree_mask: parents[2] = 2, expected -1 to 1: a parent precedes its child");
  CHECK(refusal(std::array{0}) ==
        "tree_mask: parents[0] = 0, expected -1 to -1: a parent precedes its child");
  CHECK(refusal(std::array{-1, -2}) ==
        "tree_mask: parents[1] = -2, expected -1 to 0: a parent precedes its child");
  CHECK(refusal(std::array{-1, 0, 1, 2, 3}) ==
        "tree_mask<4>: 5 drafts were given, expected at most 4");
  Flags flags = Flags::Identity(3, 3);
  CHECK(refusal_of_flags(flags) == "nothing was thrown");
  flags(2, 2) = false;
  CHECK(refusal_of_flags(flags) ==
        "tree_mask: draft 2 does not see draft 2, expected to see itself and ancestors, which "
        "precede it");
  flags = Flags::Identity(3, 3);
  flags(0, 1) = true;
  CHECK(refusal_of_flags(flags) ==
        "tree_mask: draft 0 sees draft 1, expected to see itself and ancestors, which precede it");
  CHECK(refusal_of_flags(Flags::Identity(3, 2)) ==
        "tree_mask: ancestors are [3, 1, 2], expected [3, 1, 3]");
}

TEST_CASE("a tree that grows level by level is the tree at once") {
  // The queries of a call are the last drafts; those before had their turn.
  const problem<> p({6, 300, 4, 2, 16, 8});
  const std::array parents = {-1, 0, 0, 1, 1, 2};
  const hr::tree_mask tree(parents);
  const auto whole = attend(p, tree);
  const auto exact = p.exact(tree);
  REQUIRE(error_ratio(whole, exact) <= 1);
  for (const auto& [begin, end] : {std::pair<Index, Index>{0, 1}, {1, 3}, {3, 6}}) {
    const auto drafts = std::span(parents).first(static_cast<std::size_t>(end));
    const Index kv_len = 294 + end;
    const auto level =
        attend<float>(p.queries().slice_tokens(begin, end), p.keys().slice_tokens(0, kv_len),
                      p.values().slice_tokens(0, kv_len), hr::tree_mask(drafts));
    REQUIRE(error_ratio(std::as_const(level.out).view(),
                        std::as_const(whole.out).view().slice_tokens(begin, end),
                        exact.bound.out.view().slice_tokens(begin, end)) <= 2);
  }
}

TEST_CASE("more drafts than keys are refused by the call") {
  const problem<> p({2, 2, 1, 1, 4, 4});
  CHECK_THROWS_WITH(attend(p, hr::tree_mask(std::array{-1, 0, 1})),
                    "tree_mask: 3 drafts, expected at most kv_len = 2: they are the last keys");
}

TEST_CASE("beside a mask that shows nothing, a tree shows what it shows") {
  // Of queries before the drafts, too, who do not see all of the text.
  const std::vector<std::uint8_t> nothing(12, 0);
  const hr::tree_mask tree(std::array{-1, -1});
  const auto either = tree | hr::key_padding(nothing);
  for (Index t = 0; t < 8; ++t)
    for (Index key = 0; key < 12; ++key) {
      const hr::query_row row{0, t, 4 + t, 12};
      CHECK(hr::sees(either, row, key) == hr::sees(tree, row, key));
    }
}
