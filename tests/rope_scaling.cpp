// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: pair k of r/2 turns theta_k = base^(-2k/r) radians a position, slowed down as the scaling
// says; amplitude and softmax factor are the two numbers of each model family's convention.
// NumPy computed the golden frequencies (golden/rope.py).
#include <headroom/rope_scaling.hpp>

#include "golden/rope.hpp"
#include "support/catch.hpp"

#include <span>

namespace hr = headroom;
using Eigen::Index;
using headroom_tests::contains;

namespace {

// A frequency takes about ten operations in double, of which pow is the least exact.
bool near(double got, double expected) {
  return std::abs(got - expected) <= 1e-14 * std::abs(expected);
}

bool agree(const std::vector<double>& got, std::span<const double> expected) {
  return std::equal(got.begin(), got.end(), expected.begin(), expected.end(), near);
}

}  // namespace

TEST_CASE("every scaling gives the frequencies that NumPy gives") {
  using namespace golden::rope;
  CHECK(agree(hr::rope_frequencies(32, 1e4), plain_1e4));
  CHECK(agree(hr::rope_frequencies(32, 1e4, hr::linear_scaling{4}), linear_4));
  CHECK(agree(hr::rope_frequencies(32, 1e4, hr::ntk_scaling{8}), ntk_8));
  CHECK(agree(hr::rope_frequencies(32, 1e4, hr::yarn_scaling{40, 4096}), yarn_40));
  CHECK(agree(hr::rope_frequencies(32, 1e4, hr::yarn_scaling{4, 64}), yarn_short));
  CHECK(agree(hr::rope_frequencies(32, 1e4, hr::yarn_scaling{4, 65536}), yarn_long));
  const hr::yarn_scaling gpt_oss{.factor = 32, .original_length = 4096, .truncate = false};
  CHECK(agree(hr::rope_frequencies(32, 150000, gpt_oss), yarn_32_untruncated));
  CHECK(agree(hr::rope_frequencies(32, 500000, hr::llama3_scaling{}), llama3_8));
  hr::pair_scaling factors;
  for (int k = 0; k < 16; ++k) factors.factors.push_back(1 + k / 8.0);
  CHECK(agree(hr::rope_frequencies(32, 1e4, factors), per_pair));
}

TEST_CASE("a factor of one changes no frequency") {
  const auto plain = hr::rope_frequencies(64, 1e4);
  CHECK(agree(hr::rope_frequencies(64, 1e4, hr::linear_scaling{1}), plain));
  CHECK(agree(hr::rope_frequencies(64, 1e4, hr::ntk_scaling{1}), plain));
  CHECK(agree(hr::rope_frequencies(64, 1e4, hr::yarn_scaling{1, 4096}), plain));
  CHECK(agree(hr::rope_frequencies(64, 1e4, hr::llama3_scaling{.factor = 1}), plain));
}

TEST_CASE("NTK keeps the fastest pair and slows the slowest by the factor") {
  const auto plain = hr::rope_frequencies(64, 1e4);
  const auto scaled = hr::rope_frequencies(64, 1e4, hr::ntk_scaling{8});
  CHECK(scaled.front() == plain.front());
  CHECK(near(scaled.back() * 8, plain.back()));
  CHECK(hr::rope_frequencies(2, 1e4, hr::ntk_scaling{8}) == std::vector<double>{1});
}

TEST_CASE("YaRN and Llama 3 keep the fast pairs, slow the slow ones in full, and lie between") {
  const auto plain = hr::rope_frequencies(128, 1e4);
  for (const hr::rope_scaling& scaling :
       {hr::rope_scaling(hr::yarn_scaling{16, 4096}), hr::rope_scaling(hr::llama3_scaling{16})}) {
    const auto scaled = hr::rope_frequencies(128, 1e4, scaling);
    CHECK(scaled.front() == plain.front());
    CHECK(near(scaled.back() * 16, plain.back()));
    for (std::size_t k = 0; k < plain.size(); ++k) {
      CHECK(scaled[k] <= plain[k]);
      CHECK(scaled[k] * 16 >= plain[k] * (1 - 1e-14));
    }
  }
}

TEST_CASE("YaRN with an original length too short or too long for any ramp is all or nothing") {
  const auto plain = hr::rope_frequencies(16, 1e4);
  const auto slowed = hr::rope_frequencies(16, 1e4, hr::yarn_scaling{8, 3});
  for (std::size_t k = 1; k < plain.size(); ++k) CHECK(near(slowed[k] * 8, plain[k]));
  CHECK(agree(hr::rope_frequencies(16, 2, hr::yarn_scaling{8, Index(1) << 40}),
              hr::rope_frequencies(16, 2)));
}

TEST_CASE("the magnitudes are the published numbers") {
  CHECK(hr::yarn_mscale(1) == 1);
  CHECK(hr::yarn_mscale(0.5) == 1);
  CHECK(near(hr::yarn_mscale(40), 1.3688879454113936));

  const auto gpt_oss = hr::yarn_magnitude(32);
  CHECK(near(gpt_oss.amplitude, 1.3465735902799727));
  CHECK(gpt_oss.softmax_factor == 1);

  // DeepSeek-V2-Lite: the two mscales are equal and the softmax scale takes all, a factor of 1.59.
  const auto v2_lite = hr::deepseek_yarn_magnitude(40, 0.707, 0.707);
  CHECK(v2_lite.amplitude == 1);
  CHECK(near(v2_lite.softmax_factor, 1.5896261651208736));
  const auto ratio = hr::deepseek_yarn_magnitude(40, 1, 0.707);
  CHECK(near(ratio.amplitude, 1.0857263992561355));
  for (const double mscale : {0., 0.707, 1.}) {
    CHECK(hr::deepseek_yarn_magnitude(40, mscale, 0).amplitude == hr::yarn_mscale(40));
    CHECK(hr::deepseek_yarn_magnitude(40, mscale, 0).softmax_factor == 1);
  }
  CHECK(hr::deepseek_yarn_magnitude(40, 0, 0.707).amplitude == hr::yarn_mscale(40));
  CHECK(hr::deepseek_yarn_magnitude(40, 0, 0.707).softmax_factor == v2_lite.softmax_factor);

  // DeepSeek-V3's own code: (nope + rope)^-0.5 * g^2 = 0.13523.
  const auto v3 = hr::deepseek_inference_yarn_magnitude(40);
  CHECK(v3.amplitude == 1);
  CHECK(near(v3.softmax_factor / std::sqrt(192.0), 0.1352337788608801));

  CHECK(near(hr::longrope_magnitude(32, 4096).amplitude, std::sqrt(17.0 / 12)));
  CHECK(hr::longrope_magnitude(1, 4096).amplitude == 1);
  CHECK_THROWS_WITH(hr::longrope_magnitude(4, 1),
                    "longrope_magnitude: original_length = 1, expected at least 2");
}

TEST_CASE("a number out of range is named") {
  using std::invalid_argument;
  REQUIRE_THROWS_WITH(hr::rope_frequencies(7, 1e4),
                      contains("rotary_dim is 7, expected an even number of at least 2"));
  REQUIRE_THROWS_WITH(hr::rope_frequencies(0, 1e4), contains("rotary_dim is 0"));
  REQUIRE_THROWS_WITH(hr::rope_frequencies(8, 1), contains("base is 1, expected"));
  REQUIRE_THROWS_WITH(hr::rope_frequencies(8, 1e4, hr::linear_scaling{0}),
                      contains("linear_scaling: factor is 0, expected a finite number above 0"));
  REQUIRE_THROWS_WITH(hr::rope_frequencies(8, 1e4, hr::ntk_scaling{-2}),
                      contains("ntk_scaling: factor is -2"));
  REQUIRE_THROWS_WITH(hr::rope_frequencies(8, 1e4, hr::yarn_scaling{4, 0}),
                      contains("yarn_scaling: original_length is 0"));
  REQUIRE_THROWS_WITH(hr::rope_frequencies(8, 1e4, hr::yarn_scaling{4, 64, 1, 32}),
                      contains("beta_fast is 1, expected more than beta_slow"));
  REQUIRE_THROWS_WITH(
      hr::rope_frequencies(8, 1e4, hr::llama3_scaling{.low_freq_factor = 4, .high_freq_factor = 4}),
      contains("high_freq_factor is 4, expected more than low_freq_factor"));
  REQUIRE_THROWS_WITH(hr::rope_frequencies(8, 1e4, hr::pair_scaling{{1, 2, 3}}),
                      contains("pair_scaling: 3 factors, expected rotary_dim / 2 = 4"));
  REQUIRE_THROWS_WITH(hr::rope_frequencies(4, 1e4, hr::pair_scaling{{1, 0}}),
                      contains("pair_scaling: a factor is 0"));
  REQUIRE_THROWS_AS(hr::rope_frequencies(8, std::numeric_limits<double>::quiet_NaN()),
                    invalid_argument);
}
