// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: the parts are the keys, in order; what is streamed is whole lines, seen by all rows, and
// all of that but a line, unless it is little.
#include <headroom/detail/key_parts.hpp>

#include "support/catch.hpp"

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
          CHECK(keys.all_begin <= keys.rest);
          CHECK(keys.rest <= keys.all_end);
          CHECK(keys.all_end <= end);

          const Index seen =
              std::max(Index(0), std::min(end, all.end) - std::max(begin, all.begin));
          CHECK(keys.all_end - keys.all_begin == seen);
          CHECK(keys.count() == (seen < least_streamed_keys ? 0 : seen / line * line));
          CHECK(keys.streamed.first == keys.all_begin);
          CHECK(keys.streamed.distance * streams == keys.count());

          Index next = begin;
          for (const ordered_keys& part : keys.in_order({{}, 7, 1})) {
            CHECK(part.order.first == next);
            const bool seen_by_all = part.order.first >= all.begin && part.end <= all.end;
            CHECK((!part.all_seen || part.order.first == part.end || seen_by_all));
            next = part.end;
          }
          CHECK(next == end);
          CHECK(keys.in_order({{}, 7, 1})[1].after.count == 7);
        }
}
