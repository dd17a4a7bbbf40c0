// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: rows read, times their factors, are the rows decoded; numbers, and what widens itself, are
// not copied; rows that a line lacks are not touched.
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

}  // namespace

TEMPLATE_TEST_CASE("rows read are rows decoded", "", hr::scalar_codec<float>,
                   hr::scalar_codec<Eigen::half>, hr::scalar_codec<double>, hr::int8_blocks,
                   hr::int8_rows, hr::saturating_int8, hr::fp8_codec, backwards) {
  using Storage = typename TestType::Storage;
  const Index most_rows = std::max(1, hr::detail::lanes / 2);
  const Index line_rows = GENERATE(1, 2, 4, 8);
  if (line_rows > most_rows) return;
  const hr::detail::line_shape shape = hr::detail::line_shape::of(2, line_rows);
  constexpr Index dim = 48;
  random_source random(3);
  std::vector<std::vector<Storage>> stored;
  for (Index i = 0; i < shape.pairs(); ++i)
    stored.push_back(encoded<TestType>(random.numbers(dim)));
  hr::detail::scratch memory;
  const hr::detail::line_reader<TestType> reader(shape, dim, memory);

  for (const Index count : {Index(0), Index(1), Index(3), shape.keys}) {
    std::vector<const Storage*> rows(static_cast<std::size_t>(shape.pairs()), nullptr);
    for (std::size_t i = 0; i < rows.size(); ++i)
      if (static_cast<Index>(i) % shape.keys < count) rows[i] = stored[i].data();
    reader.read(rows.data(), count, [&](auto* read_rows, const auto& read) {
      constexpr bool copies =
          std::is_same_v<TestType, backwards> || std::is_same_v<Storage, double>;
      CHECK((static_cast<const void*>(read_rows) == rows.data()) != copies);
      const auto whole = reader.with_factors(read);
      for (Index g = 0; g < shape.groups; ++g) {
        // Each of all rows' numbers, 1, times the factors.
        std::vector<float> factors(static_cast<std::size_t>(shape.keys + hr::detail::lanes), 1.f);
        std::vector<float> multiplied(static_cast<std::size_t>(shape.keys * shape.rows), 1.f);
        if constexpr (hr::detail::factored_codec<TestType>)
          reader.read_factors(read_rows + g * shape.keys, count, factors.data());
        reader.multiply_by(factors.data(), multiplied.data());
        if (hr::detail::factored_codec<TestType>)
          for (Index i = count * shape.rows; i < shape.keys * shape.rows; ++i)
            REQUIRE(multiplied[static_cast<std::size_t>(i)] == 0.f);
        for (Index j = 0; j < count; ++j) {
          const auto at = static_cast<std::size_t>(g * shape.keys + j);
          const auto expected = decoded<float, TestType>(stored[at], dim);
          for (Index d = 0; d < dim; ++d) {
            const float number = expected[static_cast<std::size_t>(d)];
            const float unscaled = static_cast<float>(read(read_rows[at])[d]);
            REQUIRE(static_cast<float>(whole(read_rows[at])[d]) == number);
            for (Index r = 0; r < shape.rows; ++r)
              REQUIRE(multiplied[static_cast<std::size_t>(j * shape.rows + r)] * unscaled ==
                      number);
          }
        }
      }
    });
  }
}
