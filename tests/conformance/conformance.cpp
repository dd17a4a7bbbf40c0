// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: every case of the conformance vectors, computed through the public headers, agrees with the
// reference implementation it was taken from, or is listed below with the reason why the library
// deliberately differs. An operation, attribute or tensor that is not known here is a failure.
#include "case.hpp"
#include "support/catch.hpp"

#include <iostream>
#include <map>

namespace conformance {

namespace {

struct deliberate {
  const char* name;
  difference kind;
  const char* reason;
};

constexpr deliberate deliberate_differences[] = {
    {"mla_flashmla/zero_length_request", difference::lse_of_empty_row,
     "FlashMLA gives a row without keys an lse of +inf; the log of an empty sum is -inf"},
    {"flash_attn_ref/sink_causal_gqa", difference::lse_with_sink,
     "FlashAttention's lse counts the sink; ours does not, so that parts can be merged first"},
    {"onnx_flex/flexattention_prob_mod", difference::factor_on_probabilities,
     "the library never shows probabilities to modify; a factor on them is one on the output"},
    {"hf_mla/deepseek_v3_plain", difference::order_of_rotated_channels,
     "transformers writes rotated pairs half-split; our pairs stay where they were read"},
    {"hf_mla/deepseek_v3_yarn_mscale_ratio", difference::order_of_rotated_channels,
     "as deepseek_v3_plain"},
    {"hf_mla/deepseek_v3_yarn_qlora_b2", difference::order_of_rotated_channels,
     "as deepseek_v3_plain"},
};

difference difference_of(const std::string& name) {
  for (const deliberate& d : deliberate_differences)
    if (name == d.name) return d.kind;
  return difference::none;
}

/// Names and operations of the cases, the first two columns of the collection's table of contents.
std::vector<std::pair<std::string, std::string>> read_index(const std::filesystem::path& root) {
  std::ifstream file(root / "INDEX.tsv");
  std::vector<std::pair<std::string, std::string>> cases;
  std::string line;
  std::getline(file, line);
  REQUIRE(line.starts_with("case\top\t"));
  while (std::getline(file, line)) {
    const std::size_t name_end = line.find('\t'), op_end = line.find('\t', name_end + 1);
    cases.emplace_back(line.substr(0, name_end), line.substr(name_end + 1, op_end - name_end - 1));
  }
  return cases;
}

void run(test_case& c, const std::string& op) {
  static const std::map<std::string, void (*)(test_case&)> runners = {
      {"attention", run_attention},
      {"attention_layer", run_attention_layer},
      {"merge_states", run_merge_states},
      {"mla_layer", run_mla_layer},
      {"ragged_attention", run_ragged_attention},
      {"ragged_mla", run_ragged_mla},
      {"rope", run_rope},
      {"rope_cache", run_rope_cache},
  };
  if (!runners.contains(op)) throw std::runtime_error("unknown operation " + op);
  c.spec().one_of("op", {op.c_str()});
  runners.at(op)(c);
  c.require_all_seen();
}

}  // namespace

TEST_CASE("Every case of the conformance vectors agrees, or differs deliberately") {
  const std::filesystem::path root = HEADROOM_VECTORS_DIR;
  INFO("the vectors are expected in \"" << root.string() << "\" (HEADROOM_VECTORS_DIR)");
  const auto cases = read_index(root);
  std::size_t passed = 0, different = 0;
  for (const auto& [name, op] : cases) {
    const difference kind = difference_of(name);
    try {
      test_case c(root, name, kind);
      run(c, op);
      ++(kind == difference::none ? passed : different);
    } catch (const std::exception& error) {
      FAIL_CHECK(name << ": " << error.what());
    }
  }
  std::cout << "conformance: " << passed << " passed, " << different << " deliberately different\n";
  CHECK(!cases.empty());
  CHECK(different == std::size(deliberate_differences));
  REQUIRE(passed + different == cases.size());
}

}  // namespace conformance
