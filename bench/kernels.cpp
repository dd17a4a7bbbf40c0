// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// What bounds prefill and absorbed MLA: the micro-kernels alone, on one panel of rows and one tile
// of keys that stay in the caches. Attention can come near `tile`, which is all that it cannot
// avoid; what it adds is memory, packing, masks and the triangle.
//
//   kernels/scores/OPERAND    keys times a panel of queries
//   kernels/values/OPERAND    weights times packed values
//   kernels/softmax/OPERAND   scores become weights; flops of the two products, so that the
//                             reciprocals of all three add up to that of tile
//   kernels/tile/OPERAND      the three in turn
//
// Shapes: width 128, and as .../latent the 576 and 512 of DeepSeek's latents.

#include "support/counters.hpp"
#include "support/inputs.hpp"

#include <headroom/detail/block.hpp>
#include <headroom/detail/kernels/outer.hpp>
#include <headroom/detail/kernels/softmax.hpp>
#include <headroom/detail/pack.hpp>
#include <string>
#include <vector>

namespace headroom_bench {
namespace {

namespace detail = headroom::detail;

// Operand is what products multiply: float, or a pair of bfloat16.
template <class Operand>
class panel_and_tile {
 public:
  panel_and_tile(Index qk_dim, Index v_dim)
      : qk_depth_(qk_dim / depth),
        v_dim_(v_dim),
        queries_(operands(qk_depth_ * width)),
        keys_(operands(tokens * qk_depth_)),
        values_(operands(tokens / depth * v_dim)),
        weights_(tokens * width + detail::lanes),
        value_(width * v_dim),
        max_(width),
        sum_(width),
        factor_(width) {}

  void scores() {
    detail::deep_outer_product<Operand>({keys_.data(), qk_depth_}, tokens, packets, queries_.data(),
                                        qk_depth_, weights_.data(), none_);
  }
  void softmax() {
    detail::weigh_scores<Operand>(weights_.data(), tokens, width, max_.data(), sum_.data(),
                                  factor_.data());
  }
  void values() {
    const detail::tile<Operand> weights{reinterpret_cast<const Operand*>(weights_.data()), width};
    detail::for_each_columns(v_dim_, detail::outer_packets, [&](Index d, int columns) {
      const Index panel = columns * detail::lanes;
      detail::outer_product(detail::by_columns(weights), width, columns,
                            detail::tile<Operand>{values_.data() + d * (tokens / depth), panel}, 0,
                            tokens / depth, {value_.data() + d, v_dim_, true}, none_);
    });
  }

  double flops_of_scores() const { return 2.0 * double(tokens * width * qk_depth_ * depth); }
  double flops_of_values() const { return 2.0 * double(tokens * width * v_dim_); }
  /// Of the keys and values, which the caches hold.
  double bytes() const {
    return static_cast<double>((keys_.size() + values_.size()) * sizeof(Operand));
  }

 private:
  static constexpr Index depth = detail::depth_of<Operand>;
  detail::rows_to_come none_;
  static constexpr int packets = detail::outer_packets;
  static constexpr Index width = packets * detail::lanes;
  static constexpr Index tokens = detail::tile_keys;

  // All bits 0: no sum grows without end, and the CPU takes as long for one number as for another.
  static std::vector<Operand> operands(Index count) {
    return std::vector<Operand>(static_cast<std::size_t>(count));
  }
  struct floats : std::vector<float> {
    explicit floats(Index count) : std::vector<float>(static_cast<std::size_t>(count)) {}
  };

  Index qk_depth_, v_dim_;
  std::vector<Operand> queries_, keys_, values_;
  floats weights_, value_, max_, sum_, factor_;
};

template <class Operand>
void add(const std::string& operand, Index qk_dim, Index v_dim) {
  using kernels = panel_and_tile<Operand>;
  const auto add_one = [&](const std::string& name, int repetitions, auto flops, auto run) {
    add_case(name + '/' + operand, [=](benchmark::State& state) {
      kernels k(qk_dim, v_dim);
      measure(state, {repetitions * flops(k), repetitions * k.bytes()}, [&] {
        for (int i = 0; i < repetitions; ++i) {
          run(k);
          benchmark::ClobberMemory();
        }
      });
    });
  };
  const auto of_scores = [](const kernels& k) { return k.flops_of_scores(); };
  const auto of_values = [](const kernels& k) { return k.flops_of_values(); };
  const auto of_both = [](const kernels& k) { return k.flops_of_scores() + k.flops_of_values(); };
  const auto all = [](kernels& k) {
    k.scores();
    k.softmax();
    k.values();
  };
  constexpr int many = 200;
  add_one("kernels/scores", many, of_scores, [](kernels& k) { k.scores(); });
  add_one("kernels/softmax", many, of_both, [](kernels& k) { k.softmax(); });
  add_one("kernels/values", many, of_values, [](kernels& k) { k.values(); });
  add_one("kernels/tile", many, of_both, all);
  add_one("smoke/kernels/tile", 1, of_both, all);
}

}  // namespace
}  // namespace headroom_bench

int main(int argc, char** argv) {
  using namespace headroom_bench;
  add<float>("float", 128, 128);
  add<float>("float/latent", 576, 512);
  if (headroom::detail::has_fast_bfloat16_dots) {
    add<headroom::detail::bfloat16_pair>("bfloat16", 128, 128);
    add<headroom::detail::bfloat16_pair>("bfloat16/latent", 576, 512);
  }
  return run_cases(argc, argv);
}
