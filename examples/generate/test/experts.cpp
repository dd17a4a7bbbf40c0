// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: a token goes to the experts of largest softmax probability p, among the groups whose best
// expert has the largest p where groups are limited; weights are p times the factor, or p over the
// sum of the chosen p.
#include "experts.hpp"

#include <cmath>

#include "support/catch.hpp"

using generate::expert_config;
using generate::route;
using generate::routed_expert;

namespace {

// Logits whose softmax is 0.05, 0.4, 0.1, 0.15, 0.25, 0.05.
Eigen::RowVectorXf some_logits() {
  Eigen::RowVectorXf p(6);
  p << 0.05f, 0.4f, 0.1f, 0.15f, 0.25f, 0.05f;
  return p.array().log() + 3;
}

void require_routes(const expert_config& config, const std::vector<routed_expert>& expected) {
  const std::vector<routed_expert> routes = route(some_logits(), config);
  REQUIRE(routes.size() == expected.size());
  for (std::size_t i = 0; i < routes.size(); ++i) {
    CAPTURE(i, routes[i].expert, routes[i].weight);
    REQUIRE(routes[i].expert == expected[i].expert);
    REQUIRE(std::abs(routes[i].weight - expected[i].weight) <= 1e-6f);
  }
}

expert_config six_experts() {
  return {.experts = 6,
          .shared = 0,
          .per_token = 2,
          .width = 1,
          .groups = 1,
          .kept_groups = 1,
          .normalise = false,
          .factor = 1,
          .first_layer = 0,
          .frequency = 1};
}

}  // namespace

TEST_CASE("The likeliest experts are taken with their probabilities") {
  require_routes(six_experts(), {{1, 0.4f}, {4, 0.25f}});
}

TEST_CASE("The factor multiplies the weights") {
  expert_config config = six_experts();
  config.factor = 16;
  require_routes(config, {{1, 6.4f}, {4, 4.0f}});
}

TEST_CASE("Normalised weights sum to one, whatever the factor") {
  expert_config config = six_experts();
  config.normalise = true;
  config.factor = 16;
  require_routes(config, {{1, 0.4f / 0.65f}, {4, 0.25f / 0.65f}});
}

TEST_CASE("With limited groups, experts outside the best groups are not taken") {
  expert_config config = six_experts();
  config.groups = 3;  // {0, 1}, {2, 3}, {4, 5}
  config.kept_groups = 1;
  require_routes(config, {{1, 0.4f}, {0, 0.05f}});
  config.kept_groups = 2;
  config.per_token = 3;
  require_routes(config, {{1, 0.4f}, {4, 0.25f}, {0, 0.05f}});
}

TEST_CASE("Of equally likely experts the first ones are taken") {
  const std::vector<routed_expert> routes = route(Eigen::RowVectorXf::Zero(6), six_experts());
  REQUIRE(routes[0].expert == 0);
  REQUIRE(routes[1].expert == 1);
}
