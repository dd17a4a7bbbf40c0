// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// What bounds prefill: all that a causal prefill cannot avoid, and nothing else. Queries come from
// memory and are packed, keys and values are packed once a block, products and exponentials are of
// the triangle, in panels of rows, and outputs go to memory. Grouped-query attention, 32 heads, 8
// groups, width 128.
//
//   prefill_kernels/KV/N    of N tokens
//   chunk_kernels/KV/QxK    of the last Q of K tokens: 4 and more make rows enough for these
//   kernels,
//                           fewer are cases of bench_decode_kernels
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

  explicit triangle(lengths n)
      : n_(n),
        q_(zeros<float>(n.q_len * Q_heads * dim)),
        keys_(zeros<KV>(n.kv_len * groups * dim)),
        values_(zeros<KV>(n.kv_len * groups * dim)),
        out_(zeros<float>(n.q_len * Q_heads * dim)) {}

  void operator()() const {
    const Index rows = n_.q_len * heads;
    for (Index first = (rows - 1) / detail::block_rows * detail::block_rows; first >= 0;
         first -= detail::block_rows)
      for (Index g = 0; g < groups; ++g) {
        detail::scratch memory;
        const block b(g, first, std::min(detail::block_rows, rows - first), memory);
        pack_queries(b);
        for (Index key = 0; key < seen(b, b.rows - 1); key += detail::tile_keys) add_tile(b, key);
        write(b);
      }
  }

  work least_work() const {
    return {
        4. * dim * Q_heads * double(headroom::causal_pairs(n_.q_len, n_.kv_len)),
        2. * dim *
            (double(n_.q_len * Q_heads) * sizeof(float) + double(n_.kv_len * groups) * sizeof(KV))};
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

  // How many keys row r sees: its query's own is the last.
  Index seen(const block& b, Index r) const { return n_.kv_len - n_.q_len + b.query(r) + 1; }

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
    const Index tokens = std::min(detail::tile_keys, seen(b, b.rows - 1) - key);
    const Index from = (b.group * n_.kv_len + key) * dim;
    const detail::tile<KV> stored_keys{keys_.get() + from, dim};
    const detail::tile<KV> stored_values{values_.get() + from, dim};
    const auto keys = detail::as_operands<Operand>(stored_keys, tokens, dim, memory);
    detail::value_tile<detail::tile<KV>, Operand> values(stored_values, tokens, dim);
    // As attention does: floats that few panels share stay where they are.
    if (b.rows > 2 * panel || !std::is_same_v<KV, float>) values.pack(memory);
    // Few rows do not hide the time that the next tile takes to arrive.
    const Index last = seen(b, b.rows - 1) - key;
    auto next_keys = rows_after(stored_keys, tokens, last);
    auto next_values = rows_after(stored_values, tokens, last);
    for (Index r = 0; r < b.rows; r += panel) {
      const Index width = b.width(r), seen_keys = std::min(tokens, seen(b, r + width - 1) - key);
      if (seen_keys <= 0) continue;
      const int packets = static_cast<int>(width / detail::lanes);
      float factor[panel];
      next_keys.spread(detail::outer_steps(seen_keys, packets, dim / depth));
      detail::deep_outer_product<Operand>(keys, seen_keys, packets, b.queries + r * dim / depth,
                                          dim / depth, b.weights, next_keys);
      detail::weigh_scores<Operand>(b.weights, seen_keys, width, b.max + r, b.sum + r, factor);
      values.add_product({reinterpret_cast<const Operand*>(b.weights), width}, width, 0, seen_keys,
                         b.value + r * dim, next_values);
    }
  }

  // Those of the tile that comes after `tokens` rows, of `all` from the first on.
  static detail::rows_to_come rows_after(const detail::tile<KV>& rows, Index tokens, Index all) {
    const auto find = [](const void* tile, Index begin, Index end) {
      const auto& from = *static_cast<const detail::tile<KV>*>(tile);
      return detail::rows_to_come::run{reinterpret_cast<const char*>(from.row(begin)),
                                       dim * Index(sizeof(KV)), end - begin};
    };
    return {&rows, find, tokens, std::min(all, tokens + detail::tile_keys),
            dim * Index(sizeof(KV))};
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

  lengths n_;
  detail::aligned_array<float> q_;           // [q_len, heads, dim]
  detail::aligned_array<KV> keys_, values_;  // [groups, kv_len, dim]
  detail::aligned_array<float> out_;         // [q_len, heads, dim]
};

template <class KV, class Operand = float>
void add(const std::string& name, lengths n) {
  add_case(name, [n](benchmark::State& state) {
    const triangle<KV, Operand> all(n);
    measure(state, all.least_work(), all);
  });
}

void add_all(const std::string& kind, const std::string& size, lengths n) {
  add<float>(kind + "/float/" + size, n);
  add<Eigen::half>(kind + "/half/" + size, n);
  using operand = std::conditional_t<detail::has_fast_bfloat16_dots, detail::bfloat16_pair, float>;
  add<Eigen::bfloat16, operand>(kind + "/bfloat16/" + size, n);
}

void add_prefill(const std::string& prefix, Index tokens) {
  add_all(prefix + "prefill_kernels", std::to_string(tokens), {tokens, tokens});
}

void add_chunk(const std::string& prefix, lengths n) {
  add_all(prefix + "chunk_kernels", std::to_string(n.q_len) + 'x' + std::to_string(n.kv_len), n);
}

}  // namespace
}  // namespace headroom_bench

int main(int argc, char** argv) {
  using namespace headroom_bench;
  add_prefill("", 512);
  add_prefill("", 2048);
  for (const Index q_len : {4, 8, 16, 64}) add_chunk("", {q_len, 8192});
  add_prefill("smoke/", 128);
  add_chunk("smoke/", {8, 300});
  return run_cases(argc, argv);
}
