// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a mask sees what its range holds and shows, and of what the range neither shows nor hides
// what visible() says.
#include <headroom/attention_mask.hpp>
#include <headroom/mask.hpp>

#include "support/catch.hpp"

namespace hr = headroom;
using Eigen::Index;
using hr::query_row;

namespace {

// Any range, within which every third key is visible.
struct every_third : hr::mask_defaults {
  hr::key_range range;

  explicit every_third(hr::key_range keys_of_all) : range(keys_of_all) {}
  hr::key_range keys(const query_row&) const { return range; }
  bool visible(const query_row&, Index key) const { return key % 3 == 0; }
};

}  // namespace

TEST_CASE("by default every key is visible, and scores stay as they are") {
  const hr::mask_defaults mask;
  const query_row row{1, 2, -4, 7};
  CHECK(mask.keys(row) == hr::key_range{0, 7, true});
  for (Index key = 0; key < 7; ++key) CHECK(hr::sees(mask, row, key));
  CHECK(!hr::sees(mask, row, 7));
  CHECK(mask.modify(3.5f, row, 1) == 3.5f);
  mask.check({2, 3, 7});
}

TEST_CASE("a range shows, hides, or leaves it to visible()") {
  const query_row row{0, 0, 0, 20};
  for (Index begin = 0; begin < 6; ++begin)
    for (Index end = begin; end < 9; ++end) {
      for (Index key = 0; key < 12; ++key) {
        const bool inside = begin <= key && key < end;
        CHECK(hr::sees(every_third({begin, end, true}), row, key) == inside);
        CHECK(hr::sees(every_third({begin, end, false}), row, key) == (inside && key % 3 == 0));
        // Keys 2 to 4 are shown, of the others 3 to 6 hidden.
        const bool seen =
            inside && ((2 <= key && key < 5) || (!(3 <= key && key < 7) && key % 3 == 0));
        CHECK(hr::sees(every_third({begin, end, false, 2, 5, 3, 7}), row, key) == seen);
      }
      CHECK(hr::key_range{begin, end, false}.empty() == (begin == end));
    }
}

TEST_CASE("what a mask shows beyond its range does not count") {
  struct generous : hr::mask_defaults {
    hr::key_range keys(const query_row&) const { return {3, 5, false, 1, 9}; }
    bool visible(const query_row&, Index) const { return false; }
  };
  const auto either = generous{} | hr::prefix(1);
  for (Index key = 0; key < 12; ++key)
    CHECK(hr::sees(either, {0, 0, 0, 12}, key) == (key < 1 || key == 3 || key == 4));
}
