// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: whatever bytes a config.json has, it is refused with a model_error that names it, or it
// gives sizes that a model can be made of. What it takes to find out is in proportion to the file.
#include "config.hpp"

#include <cmath>
#include <string>

#include "fuzz/fuzz.hpp"
#include "fuzz/input_file.hpp"

using namespace headroom_tests;

namespace {

void check(const generate::model_config& config) {
  for (const Eigen::Index size : {config.vocabulary, config.hidden, config.layers, config.mlp_width,
                                  config.heads, config.kv_heads, config.context})
    expect(size >= 1, "sizes are at least 1");
  expect(config.heads % config.kv_heads == 0, "groups of heads are whole");
  expect(config.rotary_dim() >= 2 && config.rotary_dim() % 2 == 0, "pairs are rotated");
  expect(std::isfinite(config.norm_eps) && config.norm_eps >= 0, "a norm divides by a root");
  expect(std::isfinite(config.rope.amplitude), "rotations are finite");
  expect(std::isfinite(config.softmax_factor), "scores are finite");
  if (!config.experts) return;
  const generate::expert_config& e = *config.experts;
  expect(e.experts % e.groups == 0 && e.kept_groups <= e.groups, "groups of experts are whole");
  expect(1 <= e.per_token && e.per_token <= e.experts, "there are as many experts as are used");
  expect(std::isfinite(e.factor), "the experts' weights are finite");
  (void)config.has_experts(config.layers - 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const input_file file("config.json");
  file.write(data, size);
  try {
    check(generate::read_config(file.directory()));
  } catch (const generate::model_error& refusal) {
    expect(std::string(refusal.what()).starts_with(file.path().string()), "it names the file");
  }
  return 0;
}
