// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: each block of queries attends to its own selection, with the rows, positions and lse that
// are its own; the last block may be short.
#include <headroom/detail/attend_lists.hpp>
#include <headroom/score_mod.hpp>
#include <headroom/token_sparse.hpp>

#include <algorithm>
#include <vector>

#include "support/catch.hpp"
#include "support/problem.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

// A mask that owns memory and may not be copied.
struct heavy_mask : hr::mask_defaults {
  std::vector<Index> last_key;  // of each query

  explicit heavy_mask(std::vector<Index> last) : last_key(std::move(last)) {}
  heavy_mask(const heavy_mask&) = delete;

  hr::key_range keys(const hr::query_row& row) const {
    return {0, last_key[static_cast<std::size_t>(row.query)] + 1, true};
  }
};

}  // namespace

TEST_CASE("blocks of queries attend to selections of their own, by one mask") {
  const problem<> p({5, 40, 4, 2, 8, 6});
  using source_type = hr::view_source<float, float>;
  const source_type source(p.keys(), p.values());
  // Two queries each; the last block has one.
  const std::vector<std::vector<Index>> lists = {{0, 1, 2, 30}, {}, {5, 39}};
  const heavy_mask mask({39, 1, 39, 39, 10});
  answer<float> got{{5, 4, 6}, {5, 4, 1}};
  const hr::detail::call_sizes sizes{"test", 4, 2, 8, 6};
  const hr::attention_options<float> options{.lse = got.lse.per_head()};
  hr::detail::attend_lists(
      sizes, p.queries(), got.out.view(), 40, 2,
      [&](Index i) {
        return hr::selected_tokens<source_type>(source, lists[static_cast<std::size_t>(i)]);
      },
      mask, options, hr::serial());
  const auto same = hr::mask([&](Index, Index query, Index key) {
    const auto& list = lists[static_cast<std::size_t>(query / 2)];
    return key <= mask.last_key[static_cast<std::size_t>(query)] &&
           std::find(list.begin(), list.end(), key) != list.end();
  });
  CHECK(error_ratio(got, p.exact(same)) <= 1);
}
