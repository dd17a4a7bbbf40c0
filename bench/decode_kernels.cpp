// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// What bounds decode: its two products and the exponentials alone, on keys and values that no cache
// holds, read in the order that decoding reads them. Attention can come near these; what it adds is
// splits that merge, masks, and finding where keys lie.
//
//   decode_kernels/KV/ROWSxTOKENS  rows of a query group over keys and values of 8 groups, width
//                                  128
//
// bfloat16 is multiplied in pairs where the CPU does that faster and there are two rows or more,
// int8 in pairs of whole numbers where it does that faster.

#include "support/counters.hpp"
#include "support/inputs.hpp"

#include <algorithm>
#include <cstdint>
#include <headroom/detail/kernels/dot.hpp>
#include <headroom/detail/kernels/lane_softmax.hpp>
#include <headroom/detail/kernels/weighted_sum.hpp>
#include <headroom/detail/line_walk.hpp>
#include <headroom/detail/memory.hpp>
#include <headroom/detail/packet_bfloat16.hpp>
#include <headroom/detail/packet_int16.hpp>
#include <headroom/detail/read_pace.hpp>
#include <headroom/detail/value_weights.hpp>
#include <headroom/kv_source.hpp>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

namespace headroom_bench {
namespace {

namespace detail = headroom::detail;

// One group after another, as caches hold them, and a few lines of keys before those of values.
template <class KV, int rows, class Operand>
class kernels {
 public:
  static constexpr Index groups = 8, dim = 128;
  static constexpr detail::read_pace pace =
      detail::read_pace::of(rows, 2 * dim, 2 * dim * static_cast<Index>(sizeof(KV)), true);
  static constexpr Index keys_at_a_time = pace.step_keys;

  explicit kernels(Index tokens)
      : tokens_(tokens),
        keys_(filled(tokens * groups * dim)),
        values_(filled(tokens * groups * dim)),
        queries_(rows * dim, Number(5)),
        value_(rows * dim) {}

  void operator()() {
    for (Index g = 0; g < groups; ++g) {
      detail::scratch memory;
      detail::line_walk<KV, true> keys(taken_, dim, dim, pace.ahead, memory);
      detail::line_walk<KV, true> values(taken_, dim, dim, pace.ahead, memory);
      detail::lane_softmax softmax(shape_, memory);
      const Index lines = shape_.line_of(keys_at_a_time);
      auto* const scores = memory.take<float>(keys_at_a_time * shape_.rows + detail::lanes);
      const detail::value_weights<Operand> weights(shape_, taken_, scores, lines, memory);
      const auto order = detail::line_order::in_streams(0, tokens_ / detail::streams);
      keys.start(order, tokens_);
      values.start(order, tokens_);
      for (Index first = 0; first < tokens_; first += keys_at_a_time) {
        for (Index j = 0; j < keys_at_a_time; j += taken_.keys)
          detail::dot_product<rows, Operand>(queries_.data(), keys.next(run_of(keys_, g)),
                                             detail::as_stored(), 1, taken_.keys, taken_.keys, dim,
                                             scores + j * shape_.rows, pace.ahead);
        softmax.weigh(scores, lines);
        weights.make(lines);
        for (Index j = 0; j < keys_at_a_time; j += taken_.keys)
          detail::add_weighted_sum<rows>(weights.operands(0, j), values.next(run_of(values_, g)),
                                         detail::as_stored(), taken_.keys / depth, dim,
                                         value_.data(), taken_.keys / 2, pace.ahead,
                                         weights.units());
      }
    }
  }

  work least_work() const {
    const auto numbers = static_cast<double>(2 * tokens_ * groups * dim);
    return {2 * rows * numbers, numbers * sizeof(KV)};
  }

 private:
  using Number = detail::number_of<Operand>;
  using array = detail::aligned_array<KV>;  // on huge pages, as the library's caches are

  static array filled(Index size) {
    array numbers = detail::uninitialised<KV>(size);
    std::uninitialized_fill_n(numbers.get(), size, KV(5));
    return numbers;
  }

  auto run_of(const array& stored, Index g) const {
    return [this, &stored, g](Index, Index first) {
      return headroom::token_run<KV>{stored.get() + (g * tokens_ + first) * dim, dim,
                                     tokens_ - first};
    };
  }

  static constexpr Index depth = detail::depth_of<Operand>;
  detail::line_shape shape_ = detail::line_shape::of(1, rows);
  // What is taken at a time: a line, or several.
  detail::line_shape taken_{1, std::max(shape_.keys, detail::most_sum_keys<Operand, KV>(rows)),
                            shape_.rows};
  Index tokens_;
  array keys_, values_;  // [groups, tokens, dim]
  std::vector<Number> queries_;
  std::vector<float> value_;
};

template <class KV, int rows, class Operand = float>
void add(const std::string& prefix, const std::string& kv, Index tokens) {
  add_case(
      prefix + "decode_kernels/" + kv + '/' + std::to_string(rows) + 'x' + std::to_string(tokens),
      [tokens](benchmark::State& state) {
        kernels<KV, rows, Operand> all(tokens);
        measure(state, all.least_work(), [&] { all(); });
      });
}

void add_all(const std::string& prefix, Index tokens) {
  add<float, 1>(prefix, "float", tokens);
  add<float, 4>(prefix, "float", tokens);
  add<Eigen::half, 1>(prefix, "half", tokens);
  add<Eigen::half, 4>(prefix, "half", tokens);
  add<Eigen::bfloat16, 1>(prefix, "bfloat16", tokens);
  using operand = std::conditional_t<detail::has_fast_bfloat16_dots, detail::bfloat16_pair, float>;
  add<Eigen::bfloat16, 4, operand>(prefix, "bfloat16", tokens);
  using whole = std::conditional_t<detail::has_fast_int16_dots, detail::int16_pair, float>;
  add<std::int8_t, 1, whole>(prefix, "int8", tokens);
  add<std::int8_t, 4, whole>(prefix, "int8", tokens);
}

}  // namespace
}  // namespace headroom_bench

int main(int argc, char** argv) {
  headroom_bench::add_all("", 4096);
  headroom_bench::add_all("", 16384);
  headroom_bench::add_all("smoke/", 512);
  return headroom_bench::run_cases(argc, argv);
}
