// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a mask is the set of keys it shows. keys(row) holds all of them, within it visible() says
// which they are, a range that calls itself full has no holes, and & and | are intersection and
// union. Each mask, and each composition, is compared with the sentence that defines it, over
// every small number of queries and keys and every position, negative ones included.
#include <headroom/mask.hpp>
#include <headroom/score_mod.hpp>

#include <functional>
#include <limits>

#include "support/catch.hpp"

namespace hr = headroom;
using Eigen::Index;
using hr::query_row;

namespace {

using definition = std::function<bool(const query_row&, Index)>;

// The first key about which the mask and its definition differ, in words; empty if there is none.
template <class Mask>
std::string difference(const Mask& mask, const definition& defined) {
  for (Index q_len = 0; q_len <= 4; ++q_len)
    for (Index kv_len = 0; kv_len <= 7; ++kv_len)
      for (Index first_position = -5; first_position <= 8; ++first_position)
        for (Index t = 0; t < q_len; ++t) {
          const query_row row{t % 2, t, first_position + t, kv_len};
          const hr::key_range range = mask.keys(row);
          for (Index j = 0; j < kv_len; ++j) {
            const bool expected = defined(row, j);
            const bool inside = range.begin <= j && j < range.end;
            const bool hidden = range.hidden_begin <= j && j < range.hidden_end;
            const bool seen = inside && !hidden && (range.shows(j) || mask.visible(row, j));
            if (seen != expected || hr::sees(mask, row, j) != expected ||
                (hidden && range.shows(j)))
              return "query " + std::to_string(t) + " at position " + std::to_string(row.position) +
                     ", key " + std::to_string(j) + " of " + std::to_string(kv_len);
          }
        }
  return "";
}

// Any mask with its definition: compositions of these run the same templates as any others.
struct known_mask : hr::mask_defaults {
  std::function<hr::key_range(const query_row&)> range;
  definition shows;
  definition defined;

  template <class Mask>
  known_mask(Mask mask, definition d)
      : range([mask](const query_row& row) { return mask.keys(row); }),
        shows([mask](const query_row& row, Index key) { return mask.visible(row, key); }),
        defined(std::move(d)) {}

  hr::key_range keys(const query_row& row) const { return range(row); }
  bool visible(const query_row& row, Index key) const { return shows(row, key); }
};

std::vector<known_mask> known_masks() {
  const auto even = hr::mask([](Index, Index, Index key) { return key % 2 == 0; });
  return {
      {hr::none(), [](const query_row&, Index) { return true; }},
      {hr::causal(), [](const query_row& r, Index j) { return j <= r.position; }},
      {hr::causal_top_left(), [](const query_row& r, Index j) { return j <= r.query; }},
      {hr::sliding_window(1), [](const query_row& r, Index j) { return j > r.position - 1; }},
      {hr::sliding_window(3), [](const query_row& r, Index j) { return j > r.position - 3; }},
      {hr::sliding_window(2, 1),
       [](const query_row& r, Index j) { return j > r.position - 2 && j <= r.position + 1; }},
      {hr::sliding_window::symmetric(2),
       [](const query_row& r, Index j) { return std::abs(r.position - j) < 2; }},
      {hr::local_chunk(3),  // 30 keeps quotients above zero
       [](const query_row& r, Index j) { return (r.position + 30) / 3 == (j + 30) / 3; }},
      {hr::local_chunk(2, 1),
       [](const query_row& r, Index j) { return (r.position + 21) / 2 == (j + 21) / 2; }},
      {hr::prefix(0), [](const query_row&, Index) { return false; }},
      {hr::prefix(2), [](const query_row&, Index j) { return j < 2; }},
      {hr::key_length(4), [](const query_row&, Index j) { return j < 4; }},
      {even, [](const query_row&, Index j) { return j % 2 == 0; }},
  };
}

// The keys, of kv_len, that a query at position p sees.
template <class Mask>
std::vector<Index> seen_at(const Mask& mask, Index p, Index kv_len = 100) {
  std::vector<Index> keys;
  for (Index j = 0; j < kv_len; ++j)
    if (hr::sees(mask, query_row{0, p, p, kv_len}, j)) keys.push_back(j);
  return keys;
}

// first, first + 1, ... last.
std::vector<Index> through(Index first, Index last) {
  std::vector<Index> keys;
  for (Index j = first; j <= last; ++j) keys.push_back(j);
  return keys;
}

}  // namespace

TEST_CASE("every mask shows the keys of its definition") {
  const auto masks = known_masks();
  for (std::size_t i = 0; i < masks.size(); ++i) {
    INFO("mask " << i);
    CHECK(difference(masks[i], masks[i].defined) == "");
  }
}

TEST_CASE("the comparison with a definition can fail") {
  CHECK(difference(hr::causal(), [](const query_row& r, Index j) { return j < r.position; }) != "");
  CHECK(difference(hr::sliding_window(2),
                   [](const query_row& r, Index j) { return j >= r.position - 2; }) != "");
}

TEST_CASE("& shows what both show, | what either shows") {
  const auto masks = known_masks();
  for (std::size_t i = 0; i < masks.size(); ++i)
    for (std::size_t k = 0; k < masks.size(); ++k) {
      INFO("masks " << i << " and " << k);
      const known_mask &a = masks[i], &b = masks[k];
      CHECK(difference(a & b, [&](const query_row& r, Index j) {
              return a.defined(r, j) && b.defined(r, j);
            }) == "");
      CHECK(difference(a | b, [&](const query_row& r, Index j) {
              return a.defined(r, j) || b.defined(r, j);
            }) == "");
    }
}

TEST_CASE("compositions nest") {
  const auto masks = known_masks();
  for (std::size_t i = 0; i < masks.size(); ++i)
    for (std::size_t k = 0; k < masks.size(); ++k)
      for (std::size_t l = 0; l < masks.size(); l += 2) {
        INFO("masks " << i << ", " << k << " and " << l);
        const known_mask &a = masks[i], &b = masks[k], &c = masks[l];
        CHECK(difference((a | b) & c, [&](const query_row& r, Index j) {
                return (a.defined(r, j) || b.defined(r, j)) && c.defined(r, j);
              }) == "");
        CHECK(difference((a & b) | c, [&](const query_row& r, Index j) {
                return (a.defined(r, j) && b.defined(r, j)) || c.defined(r, j);
              }) == "");
      }
}

TEST_CASE("masks that are ranges are never asked about single keys") {
  const query_row row{0, 3, 20, 32};
  CHECK(hr::none().keys(row).full);
  CHECK((hr::causal() & hr::sliding_window(4) & hr::key_length(30)).keys(row).full);
  CHECK((hr::causal() | hr::prefix(2)).keys(row).full);
  const auto streaming = hr::causal() & (hr::sliding_window(4) | hr::prefix(2));
  CHECK_FALSE(streaming.keys(row).full);  // a hole between the prefix and the window
  CHECK((streaming.keys(row).hidden_begin == 2 && streaming.keys(row).hidden_end == 17));
  CHECK(streaming.keys({0, 0, 4, 32}).full);
  // What lies on the longer side of the hole is not asked for.
  const hr::key_range before = (hr::prefix(20) | hr::sliding_window(4, 0)).keys({0, 0, 28, 32});
  CHECK((before.shows(0) && before.shows(19) && !before.shows(20) && !before.shows(28)));
  const hr::key_range after = streaming.keys({0, 0, 28, 32});
  CHECK((!after.shows(0) && after.shows(28)));
  // A part that touches a full range joins it; one behind another mask is cut by it.
  const auto even = hr::mask([](Index, Index, Index key) { return key % 2 == 0; });
  const hr::key_range joined = (hr::prefix(9) | even).keys({0, 0, 28, 32});
  CHECK((!joined.full && joined.shows(8) && !joined.shows(9)));
  CHECK((hr::none() | even).keys({0, 0, 28, 32}).full);
  const hr::key_range cut = ((hr::prefix(9) | even) & hr::sliding_window(25)).keys({0, 0, 28, 32});
  CHECK((cut.begin == 4 && !cut.shows(3) && cut.shows(4) && cut.shows(8) && !cut.shows(9)));
}

TEST_CASE("causal aligns the last query with the last key, top-left the first with the first") {
  // Two queries, five keys: default positions 3 and 4.
  CHECK(seen_at(hr::causal(), 3, 5) == through(0, 3));
  CHECK(seen_at(hr::causal(), 4, 5) == through(0, 4));
  const query_row first{0, 0, 3, 5};
  CHECK(hr::sees(hr::causal_top_left(), first, 0));
  CHECK_FALSE(hr::sees(hr::causal_top_left(), first, 1));
  // Five queries, two keys: the first three stand at -3, -2, -1 and see nothing.
  for (Index p = -3; p < 0; ++p) CHECK(seen_at(hr::causal(), p, 2).empty());
}

// How other systems count a window, and how it is written here.

TEST_CASE("Hugging Face, vLLM, llama.cpp, gemma.cpp: a window of W is W keys, the own included") {
  const Index W = 4;
  CHECK(seen_at(hr::causal() & hr::sliding_window(W), 10) == through(7, 10));
  CHECK(seen_at(hr::causal() & hr::sliding_window(W), 2) == through(0, 2));
}

TEST_CASE("ONNX left_window_size, FlashInfer window_left, flash-attn: L is keys before the own") {
  const Index L = 3, R = 2;
  CHECK(seen_at(hr::causal() & hr::sliding_window(L + 1), 10) == through(7, 10));
  CHECK(seen_at(hr::sliding_window(L + 1, R), 10) == through(7, 12));
  CHECK(seen_at(hr::causal() & hr::sliding_window(L + 1, R), 10) == through(7, 10));
  // -1 is unbounded: no window at all.
  CHECK(seen_at(hr::causal(), 10) == through(0, 10));
}

TEST_CASE("older ONNX Runtime: local_window_size W keeps W + 1 keys") {
  const Index W = 4;
  CHECK(seen_at(hr::causal() & hr::sliding_window(W + 1), 10) == through(6, 10));
}

TEST_CASE("llama.cpp symmetric window n: at most n / 2 away") {
  const Index n = 6;
  CHECK(seen_at(hr::sliding_window::symmetric(n / 2 + 1), 10) == through(7, 13));
}

TEST_CASE("llama.cpp chunked window n, as in Llama 4: from the start of the own chunk") {
  const auto mask = hr::causal() & hr::local_chunk(8);
  CHECK(seen_at(mask, 10) == through(8, 10));
  CHECK(seen_at(mask, 15) == through(8, 15));
  CHECK(seen_at(mask, 16) == through(16, 16));
  // Without causal the whole chunk, as in an encoder.
  CHECK(seen_at(hr::local_chunk(8), 10) == through(8, 15));
}

TEST_CASE("chunks are counted from the tokens before key 0, and may be longer than the context") {
  CHECK(seen_at(hr::local_chunk(8, 3), 4) == through(0, 4));
  CHECK(seen_at(hr::local_chunk(8, 3), 5) == through(5, 12));
  CHECK(seen_at(hr::local_chunk(8), -1).empty());
  const Index most = std::numeric_limits<Index>::max();
  CHECK(seen_at(hr::local_chunk(most), 5, 9) == through(0, 8));
  CHECK(seen_at(hr::local_chunk(most), -5, 9).empty());
  CHECK(seen_at(hr::local_chunk(most, 7), -5, 9) == through(0, 8));
  CHECK(seen_at(hr::local_chunk(most, 7), -8, 9).empty());
}

TEST_CASE("StreamingLLM: the first tokens stay beside the window") {
  const auto mask = hr::causal() & (hr::sliding_window(3) | hr::prefix(2));
  CHECK(seen_at(mask, 10) == std::vector<Index>{0, 1, 8, 9, 10});
  CHECK(seen_at(mask, 1) == through(0, 1));
}

TEST_CASE("prefix language model: bidirectional over the prefix, causal after it") {
  const auto mask = hr::causal() | hr::prefix(4);
  CHECK(seen_at(mask, 1) == through(0, 3));
  CHECK(seen_at(mask, 6) == through(0, 6));
}

TEST_CASE("a window without limit ahead is as long as the keys, one without limit behind too") {
  CHECK(seen_at(hr::sliding_window(2), 5, 9) == through(4, 8));
  const Index most = std::numeric_limits<Index>::max();
  CHECK(seen_at(hr::sliding_window(most), 5, 9) == through(0, 8));
  CHECK(seen_at(hr::sliding_window(most), -5, 9) == through(0, 8));
  CHECK(seen_at(hr::sliding_window(2, most), 5, 9) == through(4, 8));
}

TEST_CASE("scores are modified by the left mask first, and | leaves them alone") {
  const auto plus_one = hr::score_mod([](float s, Index, Index, Index) { return s + 1; });
  const auto twice = hr::score_mod([](float s, Index, Index, Index) { return 2 * s; });
  const query_row row{0, 0, 0, 4};
  CHECK((plus_one & twice).modify(3.f, row, 0) == 8);
  CHECK((twice & plus_one).modify(3.f, row, 0) == 7);
  CHECK((hr::causal() & twice & plus_one).modify(3.f, row, 0) == 7);
  CHECK((hr::causal() | hr::prefix(1)).modify(3.f, row, 0) == 3);
}

TEST_CASE("a composition refuses what either part refuses") {
  const hr::mask_shape shape{2, 3, 5};
  CHECK_NOTHROW((hr::causal() & hr::key_length(5)).check(shape));
  CHECK_THROWS_AS((hr::causal() & hr::key_length(6)).check(shape), std::invalid_argument);
  CHECK_THROWS_AS((hr::sliding_window(0) & hr::causal()).check(shape), std::invalid_argument);
  CHECK_THROWS_AS((hr::prefix(-1) | hr::causal()).check(shape), std::invalid_argument);
  CHECK_THROWS_WITH(hr::local_chunk(0).check(shape), "local_chunk: chunk = 0, expected at least 1");
  CHECK_THROWS_WITH((hr::causal() & hr::local_chunk(4, -1)).check(shape),
                    "local_chunk: before = -1, expected 0 to 2305843009213693951");
  CHECK_THROWS_AS(hr::local_chunk(4, std::numeric_limits<Index>::max()).check(shape),
                  std::invalid_argument);
  CHECK_THROWS_AS((hr::causal() | hr::prefix(-1)).check(shape), std::invalid_argument);
}
