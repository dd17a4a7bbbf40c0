// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: on any problem, attention is the definition (reference.hpp, in double) to within the bound
// derived from its scalar (support/error_bound.hpp): any sizes, layouts, masks and options, NaN or
// infinity in all memory that it must not read.
#include <headroom/attention.hpp>
#include <headroom/dense_mask.hpp>
#include <headroom/score_mod.hpp>

#include <limits>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/differential.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

constexpr Index mask_count = 15;

/// The numbers that masks are made of, random.
struct mask_data {
  hr::sliding_window window;
  hr::prefix prefix;
  hr::key_length length;
  std::vector<float> slopes;        // [Q_heads]
  std::vector<int> real, document;  // [kv_len]
  tensor<float> bias;               // [q_len, 1 or Q_heads, kv_len]
  tensor<std::uint8_t> allowed;     // the same
  Index ahead;

  mask_data(const problem_size& size, random_source& random)
      : window(random.integer(1, size.kv_len + 2)),
        prefix(random.integer(0, size.kv_len + 1)),
        length(random.integer(0, size.kv_len)),
        slopes(hr::alibi_slopes(size.Q_heads)),
        bias(size.q_len, random.chance(0.5) ? 1 : size.Q_heads, size.kv_len,
             random.pick(all_layouts)),
        allowed(bias.tokens(), bias.heads(), bias.dim()),
        ahead(random.integer(0, 20)) {
    for (Index j = 0; j < size.kv_len; ++j) {
      real.push_back(random.chance(0.7));
      document.push_back(j == 0 ? 0 : document.back() + random.chance(0.1));
    }
    random.fill(bias.view());
    const double density = random.pick<double>({0.01, 0.5, 1});
    for (Index t = 0; t < bias.tokens(); ++t)
      for (Index h = 0; h < bias.heads(); ++h)
        for (Index j = 0; j < size.kv_len; ++j) {
          allowed(t, h, j) = random.chance(density);
          if (random.chance(0.1)) bias(t, h, j) = -std::numeric_limits<float>::infinity();
        }
  }
};

/// Calls use(mask) with mask number `which` of mask_count.
template <class Use>
void with_mask(Index which, const mask_data& data, const Use& use) {
  const hr::causal causal;
  const auto same_document = hr::mask([&](const hr::query_row& row, Index key) {
    const auto at = [&](Index j) { return data.document[static_cast<std::size_t>(j)]; };
    return 0 <= row.position && row.position < row.kv_len && at(row.position) == at(key);
  });
  const auto soften = hr::score_mod([](auto score, Index head, Index query, Index key) {
    using Score = decltype(score);
    return Score(0.5) * score + Score(0.25) * static_cast<Score>((head + query - key) % 8);
  });
  switch (which) {
    case 0:
      return use(hr::none{});
    case 1:
      return use(causal);
    case 2:
      return use(hr::causal_top_left{});
    case 3:
      return use(causal & data.window);
    case 4:
      return use(hr::sliding_window(data.window.window, data.ahead));
    case 5:
      return use(hr::sliding_window::symmetric(data.window.window) & data.length);
    case 6:
      return use(causal | data.prefix);
    case 7:
      return use(causal & (data.window | data.prefix));
    case 8:
      return use(causal & hr::key_padding(data.real));
    case 9:
      return use(hr::dense_mask(data.allowed.view()));
    case 10:
      return use(hr::dense_bias(data.bias.view()));
    case 11:
      return use(causal & hr::dense_bias(data.bias.view()) & data.length);
    case 12:
      return use(hr::alibi(data.slopes) & causal);
    case 13:
      return use(causal & same_document);
    default:
      return use(soften & data.window);
  }
}

}  // namespace

TEST_CASE("Attention is its definition on random problems") {
  constexpr std::uint64_t base_seed = 20260801;
  differential_summary summary;
  for (std::uint64_t i = 0; i < 2400; ++i) {
    random_source random(base_seed + i);
    const random_problem<float> problem(random);
    const Index which = static_cast<Index>(i) % mask_count;
    INFO("seed " << base_seed + i << ", mask " << which << ": " << problem.text());
    const mask_data data(problem.size, random);
    with_mask(which, data, [&](const auto& mask) {
      compare<float, float>(
          problem, random, mask, summary,
          [](auto q, auto k, auto v, auto out, const auto& m, const auto& options) {
            any_attention(q.heads(), k.heads(), q.dim(), v.dim())(q, k, v, out, m, options);
          });
    });
  }
  WARN(summary.text(base_seed));
  REQUIRE(summary.configurations >= 2000);
  REQUIRE(summary.decodes >= 100);
  REQUIRE(summary.prefills >= 1000);
  REQUIRE(summary.empty >= 20);
}

TEST_CASE("The bound sees mistakes of every size that matters") {
  for (const problem_size& size :
       {problem_size{5, 60, 4, 2, 16, 8}, problem_size{1, 300, 8, 2, 64, 64},
        problem_size{1, 1700, 4, 1, 128, 128}}) {
    const problem p(size);
    const auto exact = p.exact();
    REQUIRE(error_ratio(attend(p), exact) <= 1);
    const Index most = size.kv_len - 1;
    const auto less = attend<float>(p.queries(), p.keys().slice_tokens(0, most),
                                    p.values().slice_tokens(0, most));
    REQUIRE(error_ratio(less, exact) > 1);
    REQUIRE(error_ratio(attend(p, hr::causal{} & hr::sliding_window(most)), exact) > 1);
    const float scale = 1 / std::sqrt(static_cast<float>(size.qk_dim));
    REQUIRE(error_ratio(attend(p, hr::none{}, {.scale = 1.001f * scale}), exact) > 1);
    REQUIRE(error_ratio(attend(p, hr::none{}, {.softcap = 50}), exact) > 1);
    // Keys or values that lost half their digits on the way.
    problem<float, Eigen::bfloat16> rounded(size);
    const auto widened = attend(rounded);
    REQUIRE(error_ratio(widened, exact) > 1);
    answer<float> one_wrong = attend(p);
    one_wrong.out(0, 1, 3) += 1e-3f;
    REQUIRE(error_ratio(one_wrong, exact) > 1);
    one_wrong = attend(p);
    one_wrong.lse(0, 1, 0) += 1e-3f;
    REQUIRE(error_ratio(one_wrong, exact) > 1);
    one_wrong.lse(0, 1, 0) = std::numeric_limits<float>::quiet_NaN();
    REQUIRE(error_ratio(one_wrong, exact) > 1);
  }
}
