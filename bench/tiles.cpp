// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// What the block sizes of detail/block.hpp were chosen by: blocks of so many rows walk the keys of
// a long context in tiles of so many, with the kernels and the packing of attention and nothing
// else. More rows share the reading and packing of a tile, and leave fewer blocks to threads; more
// keys share the reading of sums, while the second-level cache holds them.
//
//   tiles/OPERAND/ROWSxKEYS    4608 keys, width 128
//
// The sizes in use are block_rows x tile_keys, 384x192 with the widest packets, else 192x96.

#include "support/counters.hpp"
#include "support/inputs.hpp"

#include <headroom/detail/kernels/outer.hpp>
#include <headroom/detail/kernels/softmax.hpp>
#include <headroom/detail/pack.hpp>
#include <headroom/detail/packet_bfloat16.hpp>
#include <headroom/detail/scratch.hpp>
#include <string>
#include <type_traits>
#include <vector>

namespace headroom_bench {
namespace {

namespace detail = headroom::detail;

constexpr Index dim = 128;

// Operand is what products multiply: float, or a pair of bfloat16.
template <class Operand>
class block_and_keys {
 public:
  block_and_keys(Index rows, Index keys, Index tile_keys)
      : rows_(rows),
        count_(keys),
        tile_keys_(tile_keys),
        queries_(std::size_t(rows * depth)),
        keys_(std::size_t(keys * dim)),
        values_(std::size_t(keys * dim)),
        weights_(std::size_t(tile_keys * width + detail::lanes)),
        value_(std::size_t(rows * dim)),
        max_(std::size_t(rows)),
        sum_(std::size_t(rows)) {}

  void attend() {
    detail::rows_to_come none;
    for (Index first = 0; first < count_; first += tile_keys_) {
      detail::scratch memory;
      detail::value_tile<detail::tile<Number>, Operand> values({values_.data() + first * dim, dim},
                                                               tile_keys_, dim);
      values.pack(memory);
      const detail::tile<Operand> keys = detail::as_operands<Operand>(
          detail::tile<Number>{keys_.data() + first * dim, dim}, tile_keys_, dim, memory);
      for (Index r = 0; r < rows_; r += width) {
        detail::deep_outer_product<Operand>({keys.data, keys.stride}, tile_keys_,
                                            detail::outer_packets, queries_.data() + r * depth,
                                            depth, weights_.data(), none);
        float factor[width];
        detail::weigh_scores<Operand>(weights_.data(), tile_keys_, width, max_.data() + r,
                                      sum_.data() + r, factor);
        values.add_product({reinterpret_cast<const Operand*>(weights_.data()), width}, width, 0,
                           tile_keys_, value_.data() + r * dim, none);
      }
    }
  }

  work done() const {
    return {4.0 * double(rows_ * count_ * dim), 2.0 * double(count_ * dim) * sizeof(Number)};
  }

  static constexpr Index width = detail::outer_packets * detail::lanes;

 private:
  using Number = std::conditional_t<detail::is_pair<Operand>, Eigen::bfloat16, float>;
  static constexpr Index depth = dim / detail::depth_of<Operand>;

  // All bits 0: no sum grows without end, and the CPU takes as long for one number as for another.
  Index rows_, count_, tile_keys_;
  std::vector<Operand> queries_;
  std::vector<Number> keys_, values_;
  std::vector<float> weights_, value_, max_, sum_;
};

template <class Operand>
void add(const std::string& name, Index rows, Index keys, Index tile_keys) {
  add_case(name + '/' + std::to_string(rows) + 'x' + std::to_string(tile_keys),
           [=](benchmark::State& state) {
             block_and_keys<Operand> block(rows, keys, tile_keys);
             measure(state, block.done(), [&] { block.attend(); });
           });
}

template <class Operand>
void add_all(const std::string& operand) {
  constexpr Index panel = block_and_keys<Operand>::width;
  for (const Index panels : {1, 3, 6, 12, 24})
    for (const Index tile_keys : {48, 96, 192, 384, 768})
      add<Operand>("tiles/" + operand, panels * panel, 768 * 6, tile_keys);
  add<Operand>("smoke/tiles/" + operand, panel, 96, 48);
}

}  // namespace
}  // namespace headroom_bench

int main(int argc, char** argv) {
  using namespace headroom_bench;
  add_all<float>("float");
  if (headroom::detail::has_fast_bfloat16_dots)
    add_all<headroom::detail::bfloat16_pair>("bfloat16");
  return run_cases(argc, argv);
}
