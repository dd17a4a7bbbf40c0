// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a tile is the numbers of its tokens: in place where they lie there as one run of numbers
// that the block reads, or as a few long ones if these may be joined, copied where they do not,
// decoded where it must be; values that lie in their keys are read with these. Each key goes into
// one tile, and tiles start at multiples of tile_keys, wherever reading starts.
#include <headroom/detail/key_tile.hpp>

#include <headroom/int8_codec.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/paged_latents.hpp>

#include "support/catch.hpp"
#include "support/paged_source.hpp"
#include "support/problem.hpp"

#include <algorithm>
#include <array>
#include <type_traits>

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;
using hr::detail::tile_keys;

namespace {

// Whether tile row i is token begin + i of the view, number by number.
template <class Rows, class Scalar>
bool is_tile_of(const Rows& tile, hr::view<const Scalar> tokens, Index g, Index begin, Index end) {
  for (Index j = begin; j < end; ++j)
    for (Index d = 0; d < tokens.dim(); ++d)
      if (static_cast<float>(tile.row(j - begin)[d]) != static_cast<float>(tokens(j, g, d)))
        return false;
  return true;
}

template <class Reader, class Source, class Key, class Value>
void check_tiles(const Source& source, const problem<float, Key, Value>& p) {
  hr::detail::scratch memory;
  const hr::detail::tile_reader<Reader, Source> reader(source, 1, memory);
  for (const auto& [begin, end] : {std::pair<Index, Index>{0, 1}, {0, 50}, {13, 49}, {49, 50}}) {
    CHECK(is_tile_of(reader.keys(begin, end), p.keys(), 1, begin, end));
    CHECK(
        is_tile_of(reader.values(begin, end, reader.keys(begin, end)), p.values(), 1, begin, end));
    const auto joined = reader.joined_keys(begin, end);
    CHECK(is_tile_of(joined, p.keys(), 1, begin, end));
    CHECK(is_tile_of(reader.joined_values(begin, end, joined), p.values(), 1, begin, end));
  }
}

constexpr problem_size size{1, 50, 2, 2, 9, 6};

// Stands in for a block of rows and notes the tiles that it is given.
struct tile_log : hr::detail::reads_scalar<float> {
  explicit tile_log(Index first, Index last, hr::detail::hidden_keys between = {0, 0})
      : first_key(first), last_key(last), no_keys(between) {}

  Index first_key, last_key;
  hr::detail::hidden_keys no_keys;
  mutable std::vector<std::pair<Index, Index>> tiles = {};

  Index begin() const { return first_key; }
  Index end() const { return last_key; }
  const hr::detail::hidden_keys& hidden() const { return no_keys; }
  void add_tile(Index first, Index tokens, hr::detail::tile<float>, hr::detail::tile<float>) const {
    tiles.emplace_back(first, first + tokens);
  }
};

}  // namespace

TEST_CASE("views of the computed scalar are read in place") {
  const problem p(size, 1, layout::heads_padded);
  const hr::view_source<float, float> source(p.keys(), p.values());
  hr::detail::scratch memory;
  const hr::detail::tile_reader<hr::detail::reads_scalar<float>, hr::view_source<float, float>>
      reader(source, 0, memory);
  CHECK(reader.keys(7, 20).data == p.keys().row(7, 0));
  CHECK(reader.values(7, 20, reader.keys(7, 20)).data == p.values().row(7, 0));
  CHECK(reader.keys(7, 20).stride == p.keys().token_stride());
}

TEST_CASE("tiles are the tokens of their group, in every layout") {
  for (const layout order : all_layouts) {
    const problem p(size, 1, order);
    check_tiles<hr::detail::reads_scalar<float>>(
        hr::view_source<float, float>(p.keys(), p.values()), p);
  }
}

TEST_CASE("stored numbers that a block reads stay in place") {
  const problem<float, Eigen::half> p(size);
  const hr::view_source<Eigen::half, Eigen::half> source(p.keys(), p.values());
  hr::detail::scratch memory;
  const hr::detail::tile_reader<hr::detail::reads_packets,
                                hr::view_source<Eigen::half, Eigen::half>>
      reader(source, 0, memory);
  CHECK(reader.keys(7, 20).data == p.keys().row(7, 0));
}

TEST_CASE("short runs are put together") {
  const problem p(size);
  for (const Index page : {1, 3, 16, 64})
    check_tiles<hr::detail::reads_scalar<float>>(paged_source<float>(p.keys(), p.values(), page),
                                                 p);
}

TEST_CASE("a few long runs stay in place where they may be joined") {
  const problem<float, Eigen::half> p({1, tile_keys, 2, 2, 9, 6});
  using Source = paged_source<Eigen::half>;
  const auto parts_in_place = [&](Index page, Index begin, Index end) {
    const Source source(p.keys(), p.values(), page);
    hr::detail::scratch memory;
    const hr::detail::tile_reader<hr::detail::reads_packets, Source> reader(source, 1, memory);
    const auto keys = reader.joined_keys(begin, end);
    const auto values = reader.joined_values(begin, end, keys);
    for (Index j = begin; j < end; ++j)
      if (keys.row(j - begin) != source.keys(1, j, end).rows ||
          values.row(j - begin) != source.values(1, j, end).rows)
        return std::size_t(0);
    return keys.parts.size();
  };
  CHECK(parts_in_place(16, 0, tile_keys) == tile_keys / 16);
  CHECK(parts_in_place(16, 5, tile_keys - 3) == tile_keys / 16);
  CHECK(parts_in_place(64, 60, 70) == 2);
  CHECK(parts_in_place(4, 3, 9) == 3);
  CHECK(parts_in_place(8, 0, tile_keys) == 0);
}

TEMPLATE_TEST_CASE("stored scalars are decoded", "", double, Eigen::half, Eigen::bfloat16) {
  const problem<float, TestType, float> p(size);
  check_tiles<hr::detail::reads_scalar<float>>(
      hr::view_source<TestType, float>(p.keys(), p.values()), p);
  check_tiles<hr::detail::reads_scalar<float>>(
      paged_source<TestType, float>(p.keys(), p.values(), 7), p);
  check_tiles<hr::detail::reads_packets>(hr::view_source<TestType, float>(p.keys(), p.values()), p);
  check_tiles<hr::detail::reads_packets>(paged_source<TestType, float>(p.keys(), p.values(), 7), p);
}

TEST_CASE("a key repeated by a stride of zero is a tile like any other") {
  const problem p(size);
  const hr::view<const float> k = p.keys(), v = p.values();
  const hr::view<const float> repeated_k(k.data(), 50, 2, 9, 0, k.head_stride());
  const hr::view<const float> repeated_v(v.data(), 50, 2, 6, 0, v.head_stride());
  const hr::view_source<float, float> source(repeated_k, repeated_v);
  hr::detail::scratch memory;
  const hr::detail::tile_reader<hr::detail::reads_scalar<float>, hr::view_source<float, float>>
      reader(source, 1, memory);
  const auto keys = reader.keys(3, 9);
  CHECK(keys.stride >= 9);  // what a product takes
  CHECK(is_tile_of(keys, repeated_k, 1, 3, 9));
  CHECK(is_tile_of(reader.values(3, 9, keys), repeated_v, 1, 3, 9));
}

TEST_CASE("tiles start at multiples of their size, and only keys that are seen are read") {
  const problem p({1, 3 * tile_keys, 1, 1, 4, 4});
  const hr::view_source<float, float> source(p.keys(), p.values());
  const auto tiles = [&](Index seen_begin, Index seen_end, Index begin, Index end) {
    const tile_log log{seen_begin, seen_end};
    hr::detail::scratch memory;
    hr::detail::add_keys(log, source, 0, begin, end, memory);
    return log.tiles;
  };
  using list = std::vector<std::pair<Index, Index>>;
  const Index T = tile_keys;
  CHECK(tiles(0, 3 * T, 0, 3 * T) == list{{0, T}, {T, 2 * T}, {2 * T, 3 * T}});
  CHECK(tiles(5, 2 * T + 1, 0, 3 * T) == list{{5, T}, {T, 2 * T}, {2 * T, 2 * T + 1}});
  CHECK(tiles(0, 3 * T, T, 2 * T) == list{{T, 2 * T}});
  CHECK(tiles(0, 10, T, 2 * T).empty());
  CHECK(tiles(2 * T + 1, 3 * T, T, 2 * T).empty());
  CHECK(tiles(7, 7, 0, 3 * T).empty());
}

TEST_CASE("hidden keys are passed over") {
  const Index T = tile_keys;
  const problem p({1, 6 * T, 1, 1, 4, 4});
  const hr::view_source<float, float> source(p.keys(), p.values());
  using list = std::vector<std::pair<Index, Index>>;
  const auto tiles = [&](Index begin, Index end, hr::detail::hidden_keys hidden) {
    hr::detail::scratch memory;
    const tile_log block(0, 6 * T, hidden);
    hr::detail::add_keys(block, source, 0, begin, end, memory);
    return block.tiles;
  };
  CHECK(tiles(0, 6 * T, {T, 5 * T}) == list{{0, T}, {5 * T, 6 * T}});
  CHECK(tiles(0, 6 * T, {3, 5 * T + 1}) == list{{0, 3}, {5 * T + 1, 6 * T}});
  CHECK(tiles(0, 6 * T, {T + 1, 5 * T}) == list{{0, T}, {T, T + 1}, {5 * T, 6 * T}});
  CHECK(tiles(0, 3 * T, {T, 3 * T - 1}) == list{{0, T}, {3 * T - 1, 3 * T}});
  CHECK(tiles(0, T, {3, 7}) == list{{0, 3}, {7, T}});
  CHECK(tiles(0, T + 9, {3, 5 * T}) == list{{0, 3}});
  CHECK(tiles(T, 5 * T, {T, 5 * T}).empty());
  CHECK(tiles(2 * T, 6 * T, {3, 5 * T}) == list{{5 * T, 6 * T}});
  CHECK(tiles(0, 2 * T, {9, 9}) == list{{0, T}, {T, 2 * T}});
  CHECK(tiles(0, 2 * T, {9, 2}) == list{{0, T}, {T, 2 * T}});
}

TEMPLATE_TEST_CASE("values that lie in their keys are read with them", "", float, Eigen::bfloat16,
                   hr::int8_rows) {
  constexpr Index tokens = 50;
  random_source random(5);
  tensor<float> c(tokens, 1, 32), k_pe(tokens, 1, 16);
  random.fill(c.view());
  random.fill(k_pe.view());
  hr::latent_page_pool<TestType, 32, 16> pool(20, 7);
  hr::paged_latents paged(pool);
  hr::latent_cache<TestType, 32, 16> cache(tokens);
  paged.append(c.view(), k_pe.view());
  cache.append(c.view(), k_pe.view());
  const auto check = [&](const auto& source) {
    using Source = std::remove_cvref_t<decltype(source)>;
    using Row = typename Source::ValueCodec;
    STATIC_REQUIRE(hr::detail::has_values_in_keys<Source>);
    hr::detail::scratch memory;
    const hr::detail::tile_reader<hr::detail::reads_scalar<float>, Source> reader(source, 0,
                                                                                  memory);
    const auto keys = reader.keys(3, 30), values = reader.values(3, 30, keys);
    CHECK(values.data == keys.data);
    for (Index t = 3; t < 30; ++t) {
      std::array<float, 32> expected;
      Row::decode(source.values(0, t, t + 1).rows, expected.data(), 32);
      REQUIRE(std::equal(expected.begin(), expected.end(), values.row(t - 3)));
    }
  };
  check(paged);
  check(cache);
}
