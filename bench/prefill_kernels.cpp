// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// What bounds prefill: all that a causal prefill cannot avoid, and nothing else. Queries come from
// memory and are packed, keys and values are packed once a block, products and exponentials are of
// the triangle, in panels of rows, and outputs go to memory. Grouped-query attention, 32 heads, 8
// groups, width 128.
//
//   prefill_kernels/KV/N  of N tokens
//
// bench_kernels has the products and exponentials out of the caches, without the rest.

#include "support/counters.hpp"
#include "support/inputs.hpp"

#include <algorithm>
#include <headroom/cost.hpp>
#include <headroom/detail/block.hpp>
#include <headroom/detail/kernels/outer.hpp>
#include <headroom/detail/kernels/softmax.hpp>
#include <headroom/detail/memory.hpp>
#include <headroom/detail/pack.hpp>
#include <memory>
#include <string>
#include <type_traits>

namespace headroom_bench {
namespace {

namespace detail = headroom::detail;

// Operand is what products multiply: float, or a pair of bfloat16.
template <class KV, class Operand>
class triangle {
 public:
  static constexpr Index Q_heads = 32, groups = 8, dim = 128;

  explicit triangle(Index tokens)
      : tokens_(tokens),
        q_(zeros<float>(tokens * Q_heads * dim)),
        keys_(zeros<KV>(tokens * groups * dim)),
        values_(zeros<KV>(tokens * groups * dim)),
        out_(zeros<float>(tokens * Q_heads * dim)) {}

  void operator()() const {
    const Index rows = tokens_ * heads;
    for (Index first = (rows - 1) / detail::block_rows * detail::block_rows; first >= 0;
         first -= detail::block_rows)
      for (Index g = 0; g < groups; ++g) {
        detail::scratch memory;
        const block b(g, first, std::min(detail::block_rows, rows - first), memory);
        pack_queries(b);
        for (Index key = 0; key <= b.query(b.rows - 1); key += detail::tile_keys) add_tile(b, key);
        write(b);
      }
  }

  work least_work() const {
    return {4. * dim * Q_heads * double(headroom::causal_pairs(tokens_, tokens_)),
            double(2 * tokens_ * dim) * (Q_heads * sizeof(float) + groups * sizeof(KV))};
  }

 private:
  static constexpr Index heads = Q_heads / groups, depth = detail::depth_of<Operand>;
  static constexpr Index panel = detail::outer_packets * detail::lanes;

  // Rows of a group, tokens x heads, and what goes with them.
  struct block {
    block(Index group_, Index first_row, Index row_count, detail::scratch& memory)
        : group(group_),
          first(first_row),
          rows(row_count),
          queries(memory.take<Operand>(row_count * dim / depth)),
          weights(memory.take<float>(panel * detail::tile_keys + detail::lanes)),
          value(memory.take<float>(row_count * dim)),
          max(memory.take<float>(row_count)),
          sum(memory.take<float>(row_count)) {
      std::fill_n(value, rows * dim, 0.f);
      std::fill_n(max, rows, headroom::softmax_state<float>::minus_infinity);
      std::fill_n(sum, rows, 0.f);
    }
    // Of the panel from row r on: whole packets, as the numbers of rows here are.
    Index width(Index r) const { return std::min(panel, rows - r); }
    Index query(Index r) const { return (first + r) / heads; }
    Index at(Index r) const {
      return (query(r) * Q_heads + group * heads + (first + r) % heads) * dim;
    }

    Index group, first, rows;
    Operand* queries;
    float* weights;
    float *value, *max, *sum;
  };

  void pack_queries(const block& b) const {
    for (Index r = 0; r < b.rows; r += panel) {
      const float* rows[panel];
      const Index width = b.width(r);
      for (Index i = 0; i < width; ++i) rows[i] = q_.get() + b.at(r + i);
      detail::pack_panel(detail::scattered<float>{rows}, width, dim, b.queries + r * dim / depth);
    }
  }

  void add_tile(const block& b, Index key) const {
    detail::scratch memory;
    const Index tokens = std::min(detail::tile_keys, b.query(b.rows - 1) + 1 - key);
    const Index from = (b.group * tokens_ + key) * dim;
    const auto keys = detail::as_operands<Operand>(detail::tile<KV>{keys_.get() + from, dim},
                                                   tokens, dim, memory);
    detail::value_tile<KV, Operand> values({values_.get() + from, dim}, tokens, dim);
    values.pack(memory);
    detail::rows_to_come none;
    for (Index r = 0; r < b.rows; r += panel) {
      const Index width = b.width(r), seen = std::min(tokens, b.query(r + width - 1) + 1 - key);
      if (seen <= 0) continue;
      float factor[panel];
      detail::deep_outer_product<Operand>(keys, seen, static_cast<int>(width / detail::lanes),
                                          b.queries + r * dim / depth, dim / depth, b.weights,
                                          none);
      detail::weigh_scores<Operand>(b.weights, seen, width, b.max + r, b.sum + r, factor);
      values.add_product({reinterpret_cast<const Operand*>(b.weights), width}, width, 0, seen,
                         b.value + r * dim, none);
    }
  }

  void write(const block& b) const {
    for (Index r = 0; r < b.rows; ++r)
      std::transform(b.value + r * dim, b.value + (r + 1) * dim, out_.get() + b.at(r),
                     [factor = 1 / b.sum[r]](float x) { return factor * x; });
  }

  // No sum grows without end, and the CPU takes as long for one number as for another.
  template <class Number>
  static detail::aligned_array<Number> zeros(Index size) {
    auto numbers = detail::uninitialised<Number>(size);
    std::uninitialized_fill_n(numbers.get(), size, Number(0));
    return numbers;
  }

  Index tokens_;
  detail::aligned_array<float> q_;           // [tokens, heads, dim]
  detail::aligned_array<KV> keys_, values_;  // [groups, tokens, dim]
  detail::aligned_array<float> out_;         // [tokens, heads, dim]
};

template <class KV, class Operand = float>
void add(const std::string& prefix, const std::string& kv, Index tokens) {
  add_case(prefix + "prefill_kernels/" + kv + '/' + std::to_string(tokens),
           [tokens](benchmark::State& state) {
             const triangle<KV, Operand> all(tokens);
             measure(state, all.least_work(), all);
           });
}

void add_all(const std::string& prefix, Index tokens) {
  add<float>(prefix, "float", tokens);
  add<Eigen::half>(prefix, "half", tokens);
  using operand = std::conditional_t<detail::has_fast_bfloat16_dots, detail::bfloat16_pair, float>;
  add<Eigen::bfloat16, operand>(prefix, "bfloat16", tokens);
}

}  // namespace
}  // namespace headroom_bench

int main(int argc, char** argv) {
  headroom_bench::add_all("", 512);
  headroom_bench::add_all("", 2048);
  headroom_bench::add_all("smoke/", 128);
  return headroom_bench::run_cases(argc, argv);
}
