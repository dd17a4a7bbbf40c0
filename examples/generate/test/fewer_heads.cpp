// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: merging heads that are alike changes nothing, and merging no heads changes nothing.
#include "fewer_heads.hpp"

#include "model.hpp"
#include "model_files.hpp"
#include "support/catch.hpp"

using generate::Index;
using generate::Matrix;
using headroom_tests::contains;
using namespace generate_tests;

namespace {

const std::vector<Index> prompt = {'I', 'n', ' ', 't', 'h', 'e', ' ', 'b', 'e', 'g', 'i', 'n'};

Matrix logits(const generate::model_config& config, const generate::checkpoint& weights) {
  return generate::language_model(config, weights, {.capacity = 16}).logits(prompt);
}

}  // namespace

TEST_CASE("A conversion to as many heads as before gives the same logits") {
  const generate::model_config mha = generate::read_config(tinylm / "mha");
  const generate::checkpoint weights(tinylm / "mha");
  const Matrix expected = logits(mha, weights);
  const auto pooled = generate::pool_heads(mha, weights, mha.kv_heads);
  REQUIRE(logits(pooled.config, pooled.weights) == expected);
  std::vector<Index> every;
  for (Index head = 0; head < mha.kv_heads; ++head) every.push_back(head);
  const auto kept =
      generate::keep_heads(mha, weights, std::vector(static_cast<std::size_t>(mha.layers), every));
  REQUIRE(logits(kept.config, kept.weights) == expected);
}

TEST_CASE("Pooling or keeping heads that are alike gives the same logits with fewer heads") {
  const generate::model_config gqa = generate::read_config(tinylm / "gqa");
  const generate::checkpoint weights(tinylm / "gqa");
  // Every head of the grouped model four times, then back.
  const std::vector<Index> repeated = {0, 0, 0, 0, 1, 1, 1, 1};
  const auto wide = generate::keep_heads(
      gqa, weights, std::vector(static_cast<std::size_t>(gqa.layers), repeated));
  REQUIRE(wide.config.kv_heads == 8);
  const Matrix expected = logits(gqa, weights);
  REQUIRE((logits(wide.config, wide.weights) - expected).cwiseAbs().maxCoeff() <=
          1e-4f * expected.cwiseAbs().maxCoeff());
  const auto pooled = generate::pool_heads(wide.config, wide.weights, 2);
  REQUIRE(logits(pooled.config, pooled.weights) == expected);
  const auto kept = generate::keep_heads(
      wide.config, wide.weights,
      std::vector(static_cast<std::size_t>(gqa.layers), std::vector<Index>{3, 4}));
  REQUIRE(logits(kept.config, kept.weights) == expected);
}

TEST_CASE("What cannot be converted is refused") {
  const auto pool = [](const char* name) {
    const generate::model_config config = generate::read_config(tinylm / name);
    return generate::pool_heads(config, generate::checkpoint(tinylm / name), 1);
  };
  REQUIRE_THROWS_WITH(pool("moe"), contains("only models with plain key and value projections"));
  REQUIRE_THROWS_WITH(pool("llama3"), contains("only models with plain key and value projections"));
  const generate::model_config mha = generate::read_config(tinylm / "mha");
  REQUIRE_THROWS_WITH(generate::keep_heads(mha, generate::checkpoint(tinylm / "mha"), {{0, 4}}),
                      contains("for 1 layers, expected num_hidden_layers = 4"));
}
