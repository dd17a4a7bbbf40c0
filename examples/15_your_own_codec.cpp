// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// A codec of one's own. How a stored row becomes numbers is four members of one struct, and a cache
// takes it in place of a scalar, for keys and values alike or for either. Here: bytes that count
// 32nds, for a model whose keys are known to stay between -4 and 4.
#include <headroom/attention.hpp>
#include <headroom/int4_codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/rotated_cache.hpp>
#include <headroom/scaled_cache.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "ladder.hpp"

struct thirty_seconds {
  using Storage = std::int8_t;
  static Index storage_size(Index dim) { return dim; }

  template <class In>
  static void encode(const In* row, Storage* stored, Index dim) {
    for (Index d = 0; d < dim; ++d)
      stored[d] = static_cast<Storage>(std::clamp(std::lround(row[d] * 32), -127l, 127l));
  }
  template <class Out>
  static void decode(const Storage* stored, Out* row, Index dim) {
    for (Index d = 0; d < dim; ++d) row[d] = Out(stored[d]) / 32;
  }
};
static_assert(headroom::codec<thirty_seconds>);

int main() {
  constexpr Index tokens = 300;
  const headroom::gqa<6, 2, 64> attend;
  const Matrix q = Matrix::Random(4, 6 * 64);
  Matrix k = Matrix::Random(tokens, 2 * 64), v = Matrix::Random(tokens, 2 * 64);

  // Keys by this codec, values in floats; and the keys that it makes of them.
  headroom::kv_cache<thirty_seconds, 2, 64, 64, float> cache(tokens);
  cache.append(k, v);
  Matrix coded(4, 6 * 64), rounded(4, 6 * 64), exact(4, 6 * 64);
  attend(q, cache, coded, headroom::causal{});
  attend(q, Matrix((k * 32).array().round() / 32), v, rounded, headroom::causal{});
  const bool own = agree("keys in 32nds, and the same keys rounded to them", coded, rounded);

  // Codecs of the library's: 4 bits. A channel much larger than the others takes all of their 16
  // steps; a rotated cache spreads it over all channels first, a scaled cache gives each its scale.
  k.col(3).array() += 100;
  v.col(3).array() += 100;
  attend(q, k, v, exact, headroom::causal{});
  headroom::kv_cache<headroom::int4_codec<64>, 2, 64> plain(tokens);
  headroom::rotated_cache<headroom::kv_cache<headroom::int4_codec<64>, 2, 64>> rotated(tokens);
  headroom::scaled_cache<headroom::kv_cache<headroom::int4_codec<64>, 2, 64>> scaled(tokens);
  scaled.set_value_scales(Matrix(v.colwise().lpNorm<Eigen::Infinity>()));
  plain.append(k, v);
  rotated.append(k, v);
  scaled.append(k, v);
  Matrix out(4, 6 * 64);
  attend(q, plain, out, headroom::causal{});
  const float without = (out - exact).norm();
  attend(q, rotated, out, headroom::causal{});
  const float spread = (out - exact).norm();
  attend(q, scaled, out, headroom::causal{});
  const float by_channel = (out - exact).norm();
  std::printf(
      "error in %td bytes a token: %.2f; of a rotated cache: %.2f; of a scaled cache: %.2f\n",
      plain.bytes_per_token(), double(without), double(spread), double(by_channel));
  return verdict(own && spread < without / 2 && by_channel < without / 2);
}
