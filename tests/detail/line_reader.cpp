// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: rows read, times their factors, those of blocks too where they are split, are the rows
// decoded; numbers, and what widens itself, are not copied; rows that a line lacks are not touched.
#include <headroom/detail/line_reader.hpp>
#include <headroom/fp8_codec.hpp>
#include <headroom/int4_codec.hpp>
#include <headroom/int8_codec.hpp>

#include "support/catch.hpp"
#include "support/codec_laws.hpp"

#include <type_traits>
#include <vector>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

// Numbers that only whole rows can be made of again.
struct backwards {
  using Storage = float;
  static constexpr Index storage_size(Index dim) { return dim; }
  template <class In>
  static void encode(const In* row, Storage* stored, Index dim) {
    for (Index d = 0; d < dim; ++d) stored[d] = static_cast<float>(row[dim - 1 - d]);
  }
  template <class Out>
  static void decode(const Storage* stored, Out* row, Index dim) {
    for (Index d = 0; d < dim; ++d) row[d] = static_cast<Out>(stored[dim - 1 - d]);
  }
};

template <class Codec, bool splits_blocks>
void check_reading() {
  using Reader = hr::detail::line_reader<Codec, splits_blocks>;
  using Storage = typename Codec::Storage;
  const Index most_rows = std::min(hr::detail::lanes, 8);
  const Index line_rows = GENERATE(1, 2, 4, 8);
  if (line_rows > most_rows) return;
  const hr::detail::line_shape shape = hr::detail::line_shape::of(2, line_rows);
  constexpr Index dim = 48;
  random_source random(3);
  std::vector<std::vector<Storage>> stored;
  for (Index i = 0; i < shape.pairs(); ++i) stored.push_back(encoded<Codec>(random.numbers(dim)));
  hr::detail::scratch memory;
  const Reader reader(shape, dim, memory);

  for (const Index count : {Index(0), Index(1), Index(3), shape.keys}) {
    std::vector<const Storage*> rows(static_cast<std::size_t>(shape.pairs()), nullptr);
    for (std::size_t i = 0; i < rows.size(); ++i)
      if (static_cast<Index>(i) % shape.keys < count) rows[i] = stored[i].data();
    reader.read(rows.data(), count, [&](auto* read_rows, const auto& read) {
      constexpr bool copies = std::is_same_v<Codec, backwards> || std::is_same_v<Storage, double>;
      CHECK((static_cast<const void*>(read_rows) == rows.data()) != copies);
      const auto whole = reader.with_factors(read);
      for (Index g = 0; g < shape.groups; ++g) {
        std::vector<float> factors(static_cast<std::size_t>(reader.factors()), -1.f);
        if constexpr (Reader::has_factors)
          reader.read_factors(read_rows + g * shape.keys, count, factors.data());
        for (std::size_t i = 0; i < factors.size(); ++i)
          if (static_cast<Index>(i) % shape.keys >= count) REQUIRE(factors[i] == 0.f);
        for (Index j = 0; j < count; ++j) {
          const auto at = static_cast<std::size_t>(g * shape.keys + j);
          const auto expected = decoded<float, Codec>(stored[at], dim);
          const auto row = read(read_rows[at]);
          for (Index d = 0; d < dim; ++d) {
            const float number = expected[static_cast<std::size_t>(d)];
            REQUIRE(static_cast<float>(whole(read_rows[at])[d]) == number);
            float unscaled = 0;
            if constexpr (Reader::has_factors && hr::detail::block_integer_codec<Codec>)
              unscaled = static_cast<float>(*row.numbers_at(d));
            else
              unscaled = static_cast<float>(row[d]);
            const float factor =
                factors.empty()
                    ? 1
                    : factors[static_cast<std::size_t>(d / reader.columns() * shape.keys + j)];
            REQUIRE(factor * unscaled == number);
          }
        }
      }
    });
  }
}

}  // namespace

TEMPLATE_TEST_CASE("rows read are rows decoded", "", hr::scalar_codec<float>,
                   hr::scalar_codec<Eigen::half>, hr::scalar_codec<double>, hr::int8_blocks,
                   hr::int8_rows, hr::saturating_int8, hr::fp8_codec, backwards) {
  check_reading<TestType, false>();
}

TEMPLATE_TEST_CASE("so are they with the factors of blocks apart", "", hr::int8_blocks,
                   hr::int8_codec<64>, hr::int8_rows, hr::saturating_int8) {
  check_reading<TestType, true>();
}
