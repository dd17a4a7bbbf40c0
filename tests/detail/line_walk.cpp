// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a walk meets every key of an order once, where it lies, wherever runs of rows end; it asks
// for a run again only when one has ended or is about to, and never for keys that are neither its
// own nor of the walk to come.
#include <headroom/detail/line_walk.hpp>
#include <headroom/kv_source.hpp>

#include "support/catch.hpp"

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

using namespace headroom::detail;
using headroom::Index;

namespace {

// Keys whose runs end at multiples of `page`: row 100 * position + group.
struct pages {
  Index page, end, groups;
  std::vector<Index> memory = {};
  mutable int asked = 0;

  pages(Index page_size, Index tokens, Index group_count)
      : page(page_size), end(tokens), groups(group_count) {
    for (Index t = 0; t < tokens; ++t)
      for (Index g = 0; g < groups; ++g) memory.push_back(100 * t + g);
  }
};

// The numbers met, in order. Rows may be asked for that are the walk's own, or of that after it.
std::vector<Index> met(const pages& source, const line_shape& shape, const line_order& order,
                       Index count, const std::vector<line_keys>& after = {}) {
  scratch memory;
  line_walk<Index> walk(shape, 1, 1, {}, memory);
  walk.start({order, count}, after);
  std::set<std::pair<Index, Index>> allowed;
  const auto allow = [&](const line_keys& keys) {
    for (Index i = 0; i < keys.count; ++i)
      for (Index g = 0; g < shape.groups; ++g)
        allowed.insert(
            {keys.groups + g, keys.order.later(i / shape.keys, shape).position(i % shape.keys)});
  };
  allow({order, count, 0});
  for (const line_keys& keys : after) allow(keys);
  std::vector<Index> numbers;
  for (Index taken = 0; taken < count; taken += shape.keys) {
    const auto* const* const rows = walk.next([&](Index g, Index first) {
      ++source.asked;
      INFO("group " << g << ", key " << first << " count " << count);
      REQUIRE(allowed.contains({g, first}));
      const Index tokens = std::min((first / source.page + 1) * source.page, source.end) - first;
      return headroom::token_run<Index>{source.memory.data() + first * source.groups + g,
                                        source.groups, tokens};
    });
    for (Index g = 0; g < shape.groups; ++g)
      for (Index j = 0; j < std::min(shape.keys, count - taken); ++j)
        numbers.push_back(*rows[g * shape.keys + j]);
  }
  return numbers;
}

// What an order says.
std::vector<Index> expected(const line_shape& shape, const line_order& order, Index count) {
  std::vector<Index> numbers;
  for (Index l = 0; l * shape.keys < count; ++l)
    for (Index g = 0; g < shape.groups; ++g)
      for (Index j = 0; j < std::min(shape.keys, count - l * shape.keys); ++j)
        numbers.push_back(100 * (order.position(j) + l * order.advance(shape)) + g);
  return numbers;
}

}  // namespace

TEST_CASE("in turn, and from several streams, over pages of any size") {
  for (const Index groups : {1, 3})
    for (const Index keys : {4, 8, 16})
      for (const Index length : {1, 5, 16, 1000}) {
        INFO(groups << " groups, " << keys << " keys in a line, pages of " << length);
        const line_shape shape{groups, keys, 1};
        const pages source(length, 200, groups), two(length, 200, 2 * groups);
        for (const Index count : {1, 3, 4, 33, 190})
          REQUIRE(met(source, shape, line_order::in_turn(7), count) ==
                  expected(shape, line_order::in_turn(7), count));
        const line_order order = line_order::in_streams(5, 48);
        REQUIRE(met(source, shape, order, 4 * 48) == expected(shape, order, 4 * 48));
        // And others after these: further keys of the same groups, few or many, and of the next.
        const line_order before = line_order::in_streams(5, 16);
        for (const Index count : {4 * 16, 4 * 16 - 2})
          for (const std::vector<line_keys>& after :
               {std::vector<line_keys>{{line_order::in_streams(80, 4), 16, 0}},
                {{line_order::in_streams(80, 24), 4 * 24, 0}},
                {{line_order::in_streams(0, 32), 4 * 32, groups}},
                {{line_order::in_turn(80), 7, 0},
                 {},
                 {line_order::in_streams(0, 32), 128, groups}}})
            REQUIRE(met(two, shape, before, count, after) == expected(shape, before, count));
      }
}

TEST_CASE("an order in streams meets each key once") {
  const line_shape shape{1, 8, 1};
  std::vector<Index> keys = expected(shape, line_order::in_streams(10, 6), 24);
  std::sort(keys.begin(), keys.end());
  for (std::size_t i = 0; i < keys.size(); ++i) REQUIRE(keys[i] == 100 * (10 + Index(i)));
}

TEST_CASE("one long run is asked for once") {
  const line_shape shape{2, 4, 1};
  const pages source(1000, 200, 2);
  met(source, shape, line_order::in_turn(0), 200);
  CHECK(source.asked == 2 * 4);
}

TEST_CASE("memory is asked for as many bytes ahead, wherever rows lie") {
  const std::vector<float> memory(1000000);
  const auto ahead = [&](Index groups, Index row, Index stride, const line_order& order,
                         const read_ahead& distance = {}) {
    scratch taken;
    line_walk<float> walk({groups, 4, 4}, row, row, distance, taken);
    walk.start({order, 400});
    walk.next([&](Index g, Index first) {
      return headroom::token_run<float>{memory.data() + first * stride + g * row, stride, 1000};
    });
    return std::pair(walk.ahead().far, walk.ahead().near);
  };
  const auto side_by_side = std::pair(bytes_far_ahead, bytes_ahead);
  // Of each stream: where keys are in turn, those of all streams are passed meanwhile.
  const auto in_turn = [&](Index groups, Index row, Index stride, const read_ahead& distance = {}) {
    const auto [far, near] = ahead(groups, row, stride, line_order::in_turn(3), distance);
    return std::pair(far / streams, near / streams);
  };
  {
    const auto order = line_order::in_streams(3, 100);
    CHECK(in_turn(1, 128, 128) == side_by_side);
    CHECK(in_turn(1, 64, 1000) == ahead(1, 64, 1000, order));
    CHECK(ahead(1, 128, 128, order) == side_by_side);
    CHECK(ahead(2, 64, 128, order) == side_by_side);
    // Rows of 256 bytes, and of 300: far apart, so many tokens on.
    const Index size = sizeof(float);
    CHECK(ahead(1, 64, 1000, order) ==
          std::pair(bytes_far_ahead / 256 * 1000 * size, bytes_ahead / 256 * 1000 * size));
    CHECK(ahead(1, 75, 1000, order) == std::pair((bytes_far_ahead + 299) / 300 * 1000 * size,
                                                 (bytes_ahead + 299) / 300 * 1000 * size));
    // Not a whole row, if the next one follows it.
    CHECK(ahead(1, 128, 128, order, {1024, 128}) == std::pair(Index(1024), Index(128)));
    CHECK(ahead(1, 128, 1000, order, {1024, 128}) == std::pair(2 * 1000 * size, 1000 * size));
  }
}

TEST_CASE("what is far ahead may be in the run to come, page after page") {
  constexpr Index dim = 128, count = 4 * 96;
  const Index tokens = bytes_far_ahead / (dim * Index(sizeof(float)));  // of each stream
  const line_order order = line_order::in_streams(0, count / streams);
  for (const Index length : {8, 16, 24, 1000}) {
    std::vector<std::vector<float>> memory;
    for (Index first = 0; first < count; first += length)
      memory.emplace_back(static_cast<std::size_t>(std::min(length, count) * dim));
    const auto row = [&](Index position) {
      return memory[static_cast<std::size_t>(position / length)].data() + position % length * dim;
    };
    scratch taken;
    line_walk<float> walk({1, streams, 4}, dim, dim, {}, taken);
    walk.start({order, count});
    Index lines = 0, of_kernels = 0;
    for (Index l = 0; l < count / streams; ++l) {
      walk.next([&](Index, Index first) {
        return headroom::token_run<float>{row(first), dim,
                                          std::min(length - first % length, count)};
      });
      if (l + tokens >= count / streams) continue;
      ++lines;
      const auto& ahead = walk.ahead();
      bool there = true;
      for (Index j = 0; j < streams; ++j)
        there &= ahead.far_rows[j] + ahead.far / Index(sizeof(float)) ==
                 row(order.position(j) + l + tokens);
      of_kernels += there;
      CHECK((there || ahead.far == 0));
    }
    INFO("pages of " << length);
    // Only what is behind the run to come is left to the walk.
    CHECK(of_kernels >= (length <= tokens ? lines / 2 : lines));
  }
}

TEST_CASE("a walk asks for the first rows of the walk to come, and kernels for none of them") {
  const std::vector<float> memory(1000000);
  const Index row = 128, keys = 4 * 20, bytes = row * Index(sizeof(float));
  const line_order order = line_order::in_streams(0, keys / streams);
  const auto asked_of = [&](const std::vector<line_keys>& after) {
    std::multiset<Index> asked;
    scratch taken;
    line_walk<float> walk({1, streams, 4}, row, row, {}, taken);
    walk.start({order, keys}, after);
    for (Index taken_keys = 0; taken_keys < keys; taken_keys += streams)
      walk.next([&](Index g, Index first) {
        if (g > 0) asked.insert(first);
        return headroom::token_run<float>{memory.data() + first * row, row, 2 * keys - first};
      });
    CHECK(walk.ahead().far == 0);
    CHECK(walk.ahead().near == 0);
    return asked;
  };
  CHECK(asked_of({}).empty());
  // Of each stream the tokens that are asked for from far away, and those from nearby.
  std::multiset<Index> first_rows;
  const line_order other = line_order::in_streams(30, 25);
  for (const Index ahead : {bytes_far_ahead, bytes_ahead})
    for (Index j = 0; j < ahead / bytes * streams; ++j) first_rows.insert(other.position(j));
  CHECK(asked_of({{other, 4 * 25, 1}}) == first_rows);
  // A line of other keys comes before these: one less of them is asked for.
  std::multiset<Index> less;
  for (const Index ahead : {bytes_far_ahead, bytes_ahead})
    for (Index j = 0; j < (ahead / bytes - 1) * streams; ++j) less.insert(other.position(j));
  CHECK(asked_of({{line_order::in_turn(keys), 3, 0}, {other, 4 * 25, 1}}) == less);
}

TEST_CASE("numbers of few bits are asked for no further ahead than others") {
  const std::vector<std::int8_t> memory(100000);
  scratch taken;
  line_walk<std::int8_t> walk({1, streams, 4}, 128, 132, {}, taken);
  walk.start({line_order::in_turn(0), 400});
  walk.next([&](Index, Index first) {
    return headroom::token_run<std::int8_t>{memory.data() + first * 132, 132, 500};
  });
  CHECK(walk.ahead().far == streams * (numbers_far_ahead / 128 * 132));
}
