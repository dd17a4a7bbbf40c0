// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/attention.hpp>
#include <headroom/codec.hpp>
#include <headroom/detail/kernels/dot.hpp>
#include <headroom/detail/kernels/weighted_sum.hpp>
#include <headroom/kv_cache.hpp>

#include "support/catch.hpp"
#include "support/problem.hpp"

#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

// What every codec owes: one number for a stored one however it is read, and attention that is
// attention over those numbers.

namespace headroom_tests {

template <class Codec, class In>
std::vector<typename Codec::Storage> encoded(const std::vector<In>& row) {
  const auto dim = static_cast<Eigen::Index>(row.size());
  std::vector<typename Codec::Storage> stored(static_cast<std::size_t>(Codec::storage_size(dim)));
  Codec::encode(row.data(), stored.data(), dim);
  return stored;
}

template <class Out, class Codec>
std::vector<Out> decoded(const std::vector<typename Codec::Storage>& stored, std::size_t dim) {
  std::vector<Out> row(dim);
  Codec::decode(stored.data(), row.data(), static_cast<Eigen::Index>(dim));
  return row;
}

template <class Codec, class Out, class In>
std::vector<Out> round_trip(const std::vector<In>& row) {
  return decoded<Out, Codec>(encoded<Codec>(row), row.size());
}

/// Rows of any width that a codec may meet: normal numbers of all sizes, and what is odd about
/// numbers and their neighbours.
inline std::vector<std::vector<float>> rows_of_any_kind(Eigen::Index dim) {
  random_source random(static_cast<std::uint64_t>(500 + dim));
  std::vector<std::vector<float>> rows;
  for (const double deviation : {1e-42, 1e-38, 1e-30, 1e-3, 1., 1e4, 1e30})
    rows.push_back(random.numbers(dim, deviation));
  const auto size = static_cast<std::size_t>(dim);
  const auto odd = static_cast<std::size_t>(random.integer(0, dim - 1));
  for (const float background : {0.f, 1.f, -1.2345f, 1e-40f}) {
    rows.emplace_back(size, background);  // all alike
    rows.push_back(rows.back());
    rows.back()[odd] = 3e4f;  // one huge
  }
  for (const float end : {0x1p126f, -0x1p126f}) {
    rows.push_back(random.numbers(dim, 0x1p120));  // as large as every codec takes
    rows.back()[odd] = end;
    rows.back().front() = -end;
  }
  rows.push_back(random.numbers(dim));
  for (float& x : rows.back()) x = 1000 + x;  // far from 0
  rows.push_back(random.numbers(dim));
  for (float& x : rows.back()) x = -std::abs(x);  // on one side of it
  return rows;
}

/// Rows are held to bound(row, d), the largest error of number d.
template <class Codec, class Bound>
void check_error(const Bound& bound) {
  for (Eigen::Index dim = 1; dim <= 200; ++dim)
    for (const auto& row : rows_of_any_kind(dim)) {
      const auto back = round_trip<Codec, double>(row);
      for (std::size_t d = 0; d < row.size(); ++d) {
        INFO("number " << d << " of " << dim << ": " << row[d] << " comes back as " << back[d]);
        REQUIRE(std::abs(back[d] - double(row[d])) <= bound(row, d));
      }
    }
}

/// The largest and the smallest of the block of numbers that holds number d, and the largest size.
struct block_range {
  double least, most, size;

  block_range(const std::vector<float>& row, std::size_t d, std::size_t block)
      : least(std::numeric_limits<double>::infinity()), most(-least), size(0) {
    const std::size_t begin = d / block * block;
    for (std::size_t i = begin; i < std::min(begin + block, row.size()); ++i) {
      least = std::min(least, double(row[i]));
      most = std::max(most, double(row[i]));
      size = std::max(size, std::abs(double(row[i])));
    }
  }
};

/// What is not finite makes NaN of the `block` numbers that it is among, and of no other.
template <class Codec>
void check_poison(std::size_t block) {
  for (const float odd : {quiet_nan<float>(), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()})
    for (const std::size_t at : {0u, 31u, 32u, 40u, 69u}) {
      std::vector<float> row(70, 1.f);
      row[at] = odd;
      const auto back = round_trip<Codec, float>(row);
      for (std::size_t d = 0; d < row.size(); ++d)
        REQUIRE(std::isnan(back[d]) == (d / block == at / block));
    }
}

/// Floats, doubles, packets and single numbers that are read from a row are the same, for rows of
/// at least `least` numbers.
template <class Codec>
void check_readings(Eigen::Index least = 1) {
  for (Eigen::Index dim = least; dim <= 200; ++dim)
    for (const auto& row : rows_of_any_kind(dim)) {
      const auto stored = encoded<Codec>(row);
      const auto wide = decoded<double, Codec>(stored, row.size());
      const auto back = decoded<float, Codec>(stored, row.size());
      for (std::size_t d = 0; d < row.size(); ++d) REQUIRE(wide[d] == double(back[d]));
      if constexpr (headroom::detail::packet_codec<Codec>) {
        constexpr int lanes = headroom::detail::lanes;
        const auto whole = Codec::read(stored.data(), dim);
        if constexpr (headroom::detail::factored_codec<Codec>) {
          const float factor = Codec::factor(stored.data(), dim);
          const auto numbers = Codec::read_numbers(stored.data(), dim);
          for (Eigen::Index d = 0; d < dim; ++d)
            REQUIRE(factor * static_cast<float>(numbers[d]) == whole[d]);
        }
        for (const Eigen::Index column : {0, lanes, 3 * lanes}) {
          const auto from = whole.from(column);
          for (Eigen::Index d = 0; column + d < dim; ++d)
            REQUIRE(from[d] == back[static_cast<std::size_t>(column + d)]);
          for (Eigen::Index d = 0; column + d + lanes <= dim; d += lanes) {
            float numbers[lanes];
            headroom::detail::store(numbers, from.load(d));
            REQUIRE(std::memcmp(numbers, back.data() + column + d, sizeof(numbers)) == 0);
          }
        }
      }
    }
}

/// The kernels of few rows over stored rows give the bits that they give over decoded ones.
template <class Codec>
void check_kernels(Eigen::Index least = 1) {
  namespace kernels = headroom::detail;
  constexpr Eigen::Index keys = 8;
  random_source random(52);
  if constexpr (kernels::packet_codec<Codec>)
    for (const Eigen::Index dim : {1, 16, 32, 40, 48, 72, 80, 101, 112, 128, 131, 208}) {
      INFO("width " << dim);
      if (dim < least) continue;
      std::vector<std::vector<typename Codec::Storage>> stored;
      std::vector<std::vector<float>> floats;
      std::vector<const typename Codec::Storage*> stored_rows;
      std::vector<const float*> float_rows;
      for (Eigen::Index j = 0; j < keys; ++j) {
        stored.push_back(encoded<Codec>(random.numbers(dim)));
        floats.push_back(decoded<float, Codec>(stored.back(), static_cast<std::size_t>(dim)));
      }
      for (const auto& row : stored) stored_rows.push_back(row.data());
      for (const auto& row : floats) float_rows.push_back(row.data());
      const auto read = [dim](const auto* row) { return Codec::read(row, dim); };
      const auto check = [&]<int rows>(std::integral_constant<int, rows>) {
        if constexpr ((rows & (rows - 1)) == 0) {
          const auto q = random.numbers(rows * dim);
          std::vector<float> got(rows * keys), want(rows * keys);
          kernels::dot_product<rows>(q.data(), stored_rows.data(), read, 1, keys, keys, dim,
                                     got.data());
          kernels::dot_product<rows>(q.data(), float_rows.data(), kernels::as_stored(), 1, keys,
                                     keys, dim, want.data());
          REQUIRE(got == want);
        }
        const auto weights = random.numbers(keys * kernels::weights_of_key(rows));
        auto got = random.numbers(rows * dim), want = got;
        kernels::add_weighted_sum<rows>(weights.data(), stored_rows.data(), read, keys - 1, dim,
                                        got.data());
        kernels::add_weighted_sum<rows>(weights.data(), float_rows.data(), kernels::as_stored(),
                                        keys - 1, dim, want.data());
        REQUIRE(got == want);
      };
      [&]<int... i>(std::integer_sequence<int, i...>) {
        (check(std::integral_constant<int, i + 1>()), ...);
      }
      (std::make_integer_sequence<int, kernels::most_dot_rows>());
    }
}

/// The keys and values of a source as its codecs give them back.
template <class Source>
struct decoded_source {
  tensor<float> k, v;

  explicit decoded_source(const Source& source)
      : k(source.tokens(), source.groups(), source.qk_dim()),
        v(source.tokens(), source.groups(), source.v_dim()) {
    for (Eigen::Index g = 0; g < source.groups(); ++g)
      for (Eigen::Index t = 0; t < source.tokens(); ++t) {
        Source::KeyCodec::decode(source.keys(g, t, t + 1).rows, k.view().row(t, g), k.view().dim());
        Source::ValueCodec::decode(source.values(g, t, t + 1).rows, v.view().row(t, g),
                                   v.view().dim());
      }
  }

  headroom::view<const float> keys() const { return k.view(); }
  headroom::view<const float> values() const { return v.view(); }
};

/// Attention over a cache is attention over the numbers that its codecs give back, to the rounding
/// of floats.
template <class KeyCodec, class ValueCodec>
void check_attention(const problem_size& size) {
  INFO(size.q_len << " x " << size.kv_len << ", width " << size.qk_dim);
  const problem<float> p(size);
  headroom::kv_cache<KeyCodec, Eigen::Dynamic, Eigen::Dynamic, Eigen::Dynamic, ValueCodec> cache(
      size.kv_len, size.KV_groups, size.qk_dim, size.v_dim);
  cache.append(p.keys(), p.values());
  const decoded_source numbers(cache);
  const auto exact =
      exact_attention<float>(p.queries(), numbers.keys(), numbers.values(), headroom::causal(), {},
                             0, rounding_of_codecs<float, KeyCodec, ValueCodec>());
  answer<float> got{{size.q_len, size.Q_heads, size.v_dim}, {size.q_len, size.Q_heads, 1}};
  headroom::attention_options<float> options;
  options.lse = got.lse.per_head();
  any_attention(size.Q_heads, size.KV_groups, size.qk_dim, size.v_dim)(
      p.queries(), cache, got.out.view(), headroom::causal(), options);
  REQUIRE(error_ratio(got, exact) <= 1);
}

/// Decode, chunks and prefill, multi-head and grouped.
template <class KeyCodec, class ValueCodec = KeyCodec>
void check_attention() {
  for (const problem_size& size :
       {problem_size{1, 1700, 8, 2, 64, 64}, problem_size{1, 1600, 2, 2, 128, 128},
        problem_size{1, 70, 2, 2, 33, 20}, problem_size{1, 40, 3, 1, 80, 48},
        problem_size{5, 300, 4, 1, 128, 40}, problem_size{40, 120, 4, 2, 32, 32},
        problem_size{130, 200, 2, 1, 64, 96}})
    check_attention<KeyCodec, ValueCodec>(size);
}

/// What a cache holds of a token is what its codec makes of it, once, whatever is appended later.
template <class Codec>
void check_appending() {
  constexpr Eigen::Index tokens = 9, groups = 2, dim = 72;
  const problem<float> p({1, tokens, groups, groups, dim, dim});
  headroom::kv_cache<Codec> cache(tokens, groups, dim);
  for (const auto& [begin, end] : {std::pair<int, int>{0, 4}, {4, 5}, {5, 9}})
    cache.append(p.keys().slice_tokens(begin, end), p.values().slice_tokens(begin, end));
  const auto same = [&](const auto& run, const float* row) {
    const auto stored = encoded<Codec>(std::vector<float>(row, row + dim));
    return std::memcmp(run.rows, stored.data(), stored.size() * sizeof(stored[0])) == 0;
  };
  for (Eigen::Index t = 0; t < tokens; ++t)
    for (Eigen::Index g = 0; g < groups; ++g) {
      REQUIRE(same(cache.keys(g, t, t + 1), p.keys().row(t, g)));
      REQUIRE(same(cache.values(g, t, t + 1), p.values().row(t, g)));
    }
}

}  // namespace headroom_tests
