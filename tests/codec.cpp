// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: scalar_codec stores number by number, rounding to nearest; decoding is exact, so what is
// stored survives any number of round trips.
#include <headroom/codec.hpp>

#include "support/catch.hpp"
#include "support/random.hpp"

namespace hr = headroom;
using Eigen::Index;

namespace {

template <class Storage, class In>
std::vector<Storage> encoded(const std::vector<In>& row) {
  std::vector<Storage> stored(row.size());
  hr::scalar_codec<Storage>::encode(row.data(), stored.data(), Index(row.size()));
  return stored;
}

template <class Out, class Storage>
std::vector<Out> decoded(const std::vector<Storage>& stored) {
  std::vector<Out> row(stored.size());
  hr::scalar_codec<Storage>::decode(stored.data(), row.data(), Index(stored.size()));
  return row;
}

// Bits after the leading one.
template <class Storage>
constexpr int precision = std::same_as<Storage, Eigen::half> ? 10 : 7;

// x, of normal size, rounded to nearest, ties to even.
template <class Storage>
float rounded(float x) {
  const float ulp = std::exp2(float(std::ilogb(x) - precision<Storage>));
  return std::nearbyint(x / ulp) * ulp;
}

}  // namespace

TEMPLATE_TEST_CASE("encoding rounds to nearest, ties to even", "", Eigen::half, Eigen::bfloat16) {
  headroom_tests::random_source random(7);
  std::vector<float> row = random.numbers(1000);
  const float ulp = std::exp2(float(-precision<TestType>));
  for (int i = 0; i < 8; ++i)  // ties, between an even and an odd number and the other way round
    row.push_back(1 + (float(i) + 0.5f) * ulp);
  const auto stored = decoded<float>(encoded<TestType>(row));
  for (std::size_t i = 0; i < row.size(); ++i) CHECK(stored[i] == rounded<TestType>(row[i]));
}

TEMPLATE_TEST_CASE("decoding is exact, to float and to double", "", float, double, Eigen::half,
                   Eigen::bfloat16) {
  headroom_tests::random_source random(8);
  const auto stored = encoded<TestType>(random.numbers(37));
  const auto wide = decoded<double>(stored);
  for (std::size_t i = 0; i < stored.size(); ++i) CHECK(wide[i] == double(stored[i]));
  const auto again = encoded<TestType>(wide);
  for (std::size_t i = 0; i < stored.size(); ++i) CHECK(again[i] == stored[i]);
}

TEMPLATE_TEST_CASE("infinities, zeros and NaN stay what they are", "", float, double, Eigen::half,
                   Eigen::bfloat16) {
  const float infinity = std::numeric_limits<float>::infinity();
  const auto row = decoded<float>(
      encoded<TestType>(std::vector<float>{infinity, -infinity, 0.f, -0.f, std::nanf("")}));
  CHECK(row[0] == infinity);
  CHECK(row[1] == -infinity);
  CHECK((row[2] == 0 && !std::signbit(row[2])));
  CHECK((row[3] == 0 && std::signbit(row[3])));
  CHECK(std::isnan(row[4]));
}

TEST_CASE("every width is converted whole, and nothing beside it") {
  for (Index dim = 0; dim <= 40; ++dim) {
    const std::vector<float> row(std::size_t(dim), 1.5f);
    std::vector<Eigen::half> stored(std::size_t(dim + 1), Eigen::half(-7));
    hr::scalar_codec<Eigen::half>::encode(row.data(), stored.data(), dim);
    for (Index d = 0; d < dim; ++d) CHECK(float(stored[std::size_t(d)]) == 1.5f);
    CHECK(float(stored.back()) == -7);
    CHECK(hr::scalar_codec<Eigen::half>::storage_size(dim) == dim);
  }
}

TEMPLATE_TEST_CASE("a row of any width is decoded, and nothing behind it", "", float, Eigen::half,
                   Eigen::bfloat16) {
  headroom_tests::random_source random(61);
  for (const Index count : {0, 1, 7, 8, 33}) {
    const auto stored = random.template numbers<TestType>(count + 1);
    std::vector<float> wide(static_cast<std::size_t>(count + 1), -1);
    hr::scalar_codec<TestType>::decode(stored.data(), wide.data(), count);
    for (Index i = 0; i < count; ++i)
      CHECK(wide[static_cast<std::size_t>(i)] ==
            static_cast<float>(stored[static_cast<std::size_t>(i)]));
    CHECK(wide.back() == -1);
  }
}
