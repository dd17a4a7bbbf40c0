// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// Prints what a layer's cache takes per token in 16 bits, as JSON: {"MHA, 32 heads": 16384, ...}.

#include <headroom/cost.hpp>
#include <iostream>

namespace {

constexpr headroom::Index bytes_per_number = 2;

constexpr headroom::Index grouped(headroom::Index KV_groups) {
  return headroom::attention_shape{
      .hidden = 4096, .Q_heads = 32, .KV_groups = KV_groups, .qk_dim = 128}
      .cache_bytes(1, bytes_per_number);
}

constexpr headroom::Index latent = headroom::mla_shape{.hidden = 4096,
                                                       .Q_heads = 32,
                                                       .latent_rank = 512,
                                                       .nope_dim = 128,
                                                       .rope_dim = 64,
                                                       .v_dim = 128}
                                       .cache_bytes(1, bytes_per_number);

}  // namespace

int main() {
  std::cout << R"({"MHA, 32 heads": )" << grouped(32) << R"(, "GQA, 8 groups": )" << grouped(8)
            << R"(, "MQA, 1 group": )" << grouped(1) << R"(, "MLA, 512 + 64": )" << latent << "}\n";
}
