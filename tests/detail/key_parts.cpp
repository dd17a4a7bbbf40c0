// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: the parts are the keys, in order; what is streamed is whole lines, seen by all rows, and
// all of that but a line, unless it is little; of many, it begins and ends where pages do.
#include <headroom/detail/key_parts.hpp>

#include "support/catch.hpp"

#include <iterator>

using namespace headroom::detail;
using headroom::Index;
using headroom::key_range;

TEST_CASE("parts are the keys, in order, and whole lines are streamed") {
  for (const Index line : {4, 8, 16})
    for (const Index begin : {0, 5, 100})
      for (const Index end : {100, 163, 164, 171, 500})
        for (const key_range& all : {key_range{0, 500, true}, {7, 300, true}, {200, 200, true}}) {
          const line_shape shape{1, line, 1};
          const key_parts keys = key_parts::of(begin, end, all, shape);
          INFO("keys [" << begin << ", " << end << "), lines of " << line);
          CHECK(keys.begin == begin);
          CHECK(keys.end == end);
          CHECK(begin <= keys.all_begin);
          CHECK(keys.all_begin <= keys.streamed.first);
          CHECK(keys.streamed.first <= keys.rest);
          CHECK(keys.rest <= keys.all_end);
          CHECK(keys.all_end <= end);

          const Index seen =
              std::max(Index(0), std::min(end, all.end) - std::max(begin, all.begin));
          CHECK(keys.all_end - keys.all_begin == seen);
          const Index streamed = keys.rest - keys.streamed.first;
          CHECK(keys.streamed.distance * streams == streamed);
          CHECK(streamed % line == 0);
          if (seen < least_aligned_keys) {
            CHECK(streamed == (seen < least_streamed_keys ? 0 : seen / line * line));
            CHECK(keys.streamed.first == keys.all_begin);
          } else {
            CHECK(keys.streamed.first % page_keys == 0);
            CHECK(keys.streamed.distance % page_keys == 0);
            CHECK(keys.streamed.first < keys.all_begin + page_keys);
            CHECK(keys.all_end < keys.rest + streams * page_keys);
          }

          const line_keys next{line_order::in_turn(3), 7, 1};
          const parts_in_order in_order(keys, next);
          Index position = begin;
          for (int i = 0; i < in_order.count; ++i) {
            const line_keys& part = in_order.part(i);
            CHECK(part.order.first == position);
            position += part.count;
            const bool seen_by_all = part.order.first >= all.begin && position <= all.end;
            CHECK((!in_order.seen_by_all(i) || part.count == 0 || seen_by_all));
            const auto after = in_order.after(i);
            REQUIRE(std::ssize(after) == in_order.count - i);
            CHECK(after.back().groups == next.groups);
            if (i + 1 < in_order.count) CHECK(after.data() == &in_order.part(i + 1));
          }
          CHECK(position == end);
        }
}
