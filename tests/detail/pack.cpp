// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: packing moves numbers, nothing else, and products over packed values are
// those over values in place.
#include <headroom/detail/pack.hpp>

#include "support/catch.hpp"
#include "support/product.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;
using hr::detail::lanes;

TEST_CASE("a panel is its rows transposed and scaled, and adding it back unpacks them") {
  random_source random(62);
  for (const Index width : {Index(lanes), Index(3 * lanes)})
    for (const Index dim : {1, 7, 16, 37}) {
      const auto rows = random_matrix<float>(width, dim, random);
      std::vector<float> packed(static_cast<std::size_t>(width * dim));
      hr::detail::pack_panel(as_tile(rows), width, dim, packed.data(), 2);
      for (Index r = 0; r < width; ++r)
        for (Index d = 0; d < dim; ++d)
          REQUIRE(packed[static_cast<std::size_t>(d * width + r)] == 2 * rows(r, 0, d));
      for (const Index kept : {Index(1), width - 1, width}) {
        const auto start = random_matrix<float>(kept, dim, random);
        auto sum = start;
        hr::detail::add_unpacked(packed.data(), width, dim, kept, sum.view().data(),
                                 sum.view().token_stride());
        for (Index r = 0; r < kept; ++r)
          for (Index d = 0; d < dim; ++d)
            REQUIRE(sum(r, 0, d) == start(r, 0, d) + 2 * rows(r, 0, d));
        REQUIRE(sum.gaps_untouched());
      }
    }
}

TEST_CASE("floats at a moderate distance stay where they are, others are copied") {
  std::vector<float> far(5000, 2);
  hr::detail::scratch memory;
  CHECK(hr::detail::dense<float>({far.data(), 40}, 3, 8, memory).data == far.data());
  const auto copied = hr::detail::dense<float>({far.data(), 2048}, 3, 8, memory);
  CHECK(copied.data != far.data());
  CHECK(copied.stride == 8);
  CHECK(copied.row(2)[7] == 2);
  const std::vector<Eigen::half> narrow(100, Eigen::half(3));
  CHECK(hr::detail::dense<Eigen::half>({narrow.data(), 10}, 3, 9, memory).row(2)[8] == 3);
}

TEST_CASE("one number that is not finite is found, wherever it is") {
  for (const Index dim : {1, 7, 8, 21})
    for (const float bad : {quiet_nan<float>(), std::numeric_limits<float>::infinity()})
      for (Index at = 0; at < 3 * dim; ++at) {
        std::vector<float> rows(static_cast<std::size_t>(4 * dim), 1);
        rows[static_cast<std::size_t>(3 * dim)] = bad;  // behind the last row
        const hr::detail::tile<float> tile{rows.data(), dim};
        REQUIRE(hr::detail::all_finite(tile, 3, dim));
        rows[static_cast<std::size_t>(at)] = bad;
        REQUIRE(!hr::detail::all_finite(tile, 3, dim));
      }
}

TEMPLATE_TEST_CASE("the product of values is the same packed and in place", "", float, Eigen::half,
                   Eigen::bfloat16) {
  random_source random(63);
  const Index tokens = 11;
  for (const Index dim : {1, 8, 21, 40, 131})
    for (const Index rows : {1, 3, 13})
      for (const auto& [begin, keys] : {std::pair<Index, Index>{0, tokens}, {2, 5}, {10, 1}}) {
        INFO(rows << " rows, width " << dim << ", " << keys << " keys from " << begin);
        const auto weights = random_matrix<float>(tokens, rows, random);
        const auto v = random_matrix<TestType>(tokens, dim, random);
        hr::detail::scratch memory;
        const auto check = [&, first = begin, count = keys](auto values) {
          for (const bool packed : {false, true}) {
            if (!packed && !std::same_as<TestType, float>) continue;
            if (packed) values.pack(memory);
            tensor<float> start(rows, 1, dim);
            random.fill(start.view());
            auto value = start;
            hr::detail::rows_to_come none;
            values.add_product(as_tile(weights), rows, first, count, value.view().data(), none);
            REQUIRE(is_product(
                value, start, count, [&](Index r, Index j) { return weights(j, 0, r); },
                [&](Index j, Index d) { return float(v(first + j, 0, d)); }));
          }
        };
        check(hr::detail::value_tile(as_tile(v), tokens, dim));
        // The same rows, as if they lay in three places.
        using joined = hr::detail::joined_tiles<TestType>;
        const typename joined::part parts[] = {
            {as_tile(v), 0, 3}, {as_tile(v).from(3), 3, 4}, {as_tile(v).from(4), 4, tokens}};
        check(hr::detail::value_tile(joined{parts}, tokens, dim));
      }
}
