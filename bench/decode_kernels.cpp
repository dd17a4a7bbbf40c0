// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// What bounds decode: its two products and the exponentials alone, on keys and values that no cache
// holds, read in the order that decoding reads them. Attention can come near these; what it adds is
// splits that merge, masks, and finding where keys lie.
//
//   decode_kernels/STORED/ROWSxTOKENS  rows of a query group over keys and values of 8 groups,
//                                      width 128
//   decode_bound/STORED/ROWSxTOKENS    attention over a kv_cache against these, in turn, each over
//                                      the caches of one layer after another
//
// STORED is a scalar or a codec. bfloat16 is multiplied in pairs where the CPU does that faster and
// there are two rows or more, whole numbers in pairs where it does that faster.

#include "support/counters.hpp"
#include "support/in_turn.hpp"
#include "support/inputs.hpp"

#include <algorithm>
#include <headroom/attention.hpp>
#include <headroom/detail/kernels/dot.hpp>
#include <headroom/detail/kernels/lane_softmax.hpp>
#include <headroom/detail/kernels/weighted_sum.hpp>
#include <headroom/detail/line_reader.hpp>
#include <headroom/detail/line_walk.hpp>
#include <headroom/detail/memory.hpp>
#include <headroom/detail/packet_bfloat16.hpp>
#include <headroom/detail/packet_int16.hpp>
#include <headroom/detail/read_pace.hpp>
#include <headroom/detail/value_weights.hpp>
#include <headroom/fp8_codec.hpp>
#include <headroom/int4_codec.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/kv_source.hpp>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

namespace headroom_bench {
namespace {

namespace detail = headroom::detail;

constexpr Index groups = 8, dim = 128;

// What products multiply for so many rows: a type that the compiler knows when it has read this
// far, since g++ 13 mistakes one that it still has to choose.
template <class Codec, int rows>
constexpr auto operand_for() {
  if constexpr (detail::has_fast_bfloat16_dots && rows > 1 &&
                std::is_same_v<Codec, headroom::scalar_codec<Eigen::bfloat16>>)
    return std::type_identity<detail::bfloat16_pair>();
  else if constexpr (detail::has_fast_int16_dots && detail::whole_number_codec<Codec>)
    return std::type_identity<detail::int16_pair>();
  else
    return std::type_identity<float>();
}

// One group after another, as caches hold them, and a few lines of keys before those of values.
template <class Codec, int rows>
class kernels {
 public:
  explicit kernels(Index tokens)
      : tokens_(tokens),
        keys_(filled(tokens * groups)),
        values_(filled(tokens * groups)),
        queries_(rows * dim, Number(5)),
        value_(rows * dim) {}

  void operator()() {
    for (Index g = 0; g < groups; ++g) {
      detail::scratch memory;
      detail::line_walk<Stored, true> keys(taken_, dim, row_size, pace.ahead, memory);
      detail::line_walk<Stored, true> values(taken_, dim, row_size, pace.ahead, memory);
      const detail::line_reader<Codec> key_reader(taken_, dim, memory);
      const value_reader reader(taken_, dim, memory);
      detail::lane_softmax softmax(shape_, memory);
      const Index lines = shape_.line_of(step);
      auto* const scores = memory.take<float>(step * shape_.rows + detail::lanes);
      auto* const factors = memory.take<float>(key_reader.factors() + detail::lanes);
      auto* const value_factors = memory.take<float>(reader.factors() + detail::lanes);
      const detail::value_weights<Operand> weights(shape_, taken_, scores, lines, false, memory);
      const detail::line_keys all{detail::line_order::in_streams(0, tokens_ / detail::streams),
                                  tokens_};
      keys.start(all);
      values.start(all);
      for (Index first = 0; first < tokens_; first += step) {
        for (Index j = 0; j < step; j += taken_.keys)
          multiply(keys.next(run_of(keys_, g)), key_reader, factors, scores + j * shape_.rows);
        softmax.weigh(scores, lines);
        weights.make(lines);
        for (Index j = 0; j < step; j += taken_.keys)
          add(weights, j, values.next(run_of(values_, g)), reader, value_factors);
      }
    }
  }

  work least_work() const {
    return {4. * rows * static_cast<double>(tokens_ * groups * dim),
            2. * static_cast<double>(tokens_ * groups * row_size) * sizeof(Stored)};
  }

 private:
  using Operand = typename decltype(operand_for<Codec, rows>())::type;
  using Number = detail::number_of<Operand>;
  using Stored = typename Codec::Storage;
  using array = detail::aligned_array<Stored>;  // on huge pages, as the library's caches are
  using value_reader = detail::line_reader<Codec, detail::is_integer<Operand>>;

  static constexpr Index row_size = Codec::storage_size(dim), depth = detail::depth_of<Operand>;
  static constexpr detail::read_pace pace =
      detail::read_pace::of(rows, 2 * dim, 2 * row_size * static_cast<Index>(sizeof(Stored)),
                            detail::row_layout::side_by_side);
  static constexpr Index step = pace.step_keys;

  static array filled(Index count) {
    array rows_of_numbers = detail::uninitialised<Stored>(count * row_size);
    const std::vector<float> numbers(dim, 5.f);
    std::uninitialized_fill_n(rows_of_numbers.get(), count * row_size, Stored(0));
    for (Index j = 0; j < count; ++j)
      Codec::encode(numbers.data(), rows_of_numbers.get() + j * row_size, dim);
    return rows_of_numbers;
  }

  auto run_of(const array& stored, Index g) const {
    return [this, &stored, g](Index, Index first) {
      return headroom::token_run<Stored>{stored.get() + (g * tokens_ + first) * row_size, row_size,
                                         tokens_ - first};
    };
  }

  void multiply(const Stored* const* stored, const detail::line_reader<Codec>& reader,
                float* factors, float* scores) const {
    reader.read(stored, taken_.keys, [&](auto* keys, const auto& read) {
      detail::dot_product<rows, Operand>(queries_.data(), keys, read, 1, taken_.keys, taken_.keys,
                                         dim, scores, pace.ahead);
      if constexpr (detail::factored_codec<Codec>) {
        reader.read_factors(keys, taken_.keys, factors);
        taken_.multiply(factors, scores, scores);
      }
    });
  }

  void add(const detail::value_weights<Operand>& weights, Index first, const Stored* const* stored,
           const value_reader& reader, float* factors) {
    reader.read(stored, taken_.keys, [&](auto* values, const auto& read) {
      if constexpr (value_reader::has_factors) reader.read_factors(values, taken_.keys, factors);
      for (Index column = 0; column < dim; column += reader.columns()) {
        const float* const of_columns = factors + column / reader.columns() * taken_.keys;
        const Operand* const operands =
            weights.operands(0, first, value_reader::has_factors ? of_columns : nullptr);
        detail::add_weighted_sum<rows, value_reader::most_packets>(
            operands, values, read, taken_.keys / depth,
            detail::value_columns{column, column + reader.columns(), dim}, value_.data(),
            taken_.keys / 2, pace.ahead, weights.units());
      }
    });
  }

  detail::line_shape shape_ = detail::line_shape::of(1, rows);
  // What is taken at a time: a line, or several.
  detail::line_shape taken_{1, std::max(shape_.keys, detail::most_sum_keys<Operand, Stored>(rows)),
                            shape_.rows};
  Index tokens_;
  array keys_, values_;  // [groups, tokens, row_size]
  std::vector<Number> queries_;
  std::vector<float> value_;
};

// Attention over the caches of as many layers as no cache holds. Where a group has more than 4
// rows, they are those of several queries.
template <class Stored, int rows>
class layers {
 public:
  static constexpr int heads = std::min(rows, 4);

  layers(Index tokens, Index count) : q_(random_(rows / heads, groups * heads * dim)), out_(q_) {
    for (Index layer = 0; layer < count; ++layer)
      fill(caches_.emplace_back(tokens), random_, groups * dim, groups * dim);
  }

  void operator()(std::size_t layer) {
    headroom::gqa<groups * heads, groups, dim>()(q_, caches_[layer], out_, headroom::causal{});
  }

 private:
  numbers random_ = {};
  matrix q_, out_;
  std::vector<headroom::kv_cache<Stored, groups, dim>> caches_;
};

template <class Stored>
using codec_of = typename headroom::kv_cache<Stored, groups, dim>::KeyCodec;

template <class Stored, int rows>
void add(const std::string& prefix, const std::string& stored, Index tokens) {
  const std::string name = '/' + stored + '/' + std::to_string(rows) + 'x' + std::to_string(tokens);
  using stripped = kernels<codec_of<Stored>, rows>;
  add_case(prefix + "decode_kernels" + name, [tokens](benchmark::State& state) {
    stripped all(tokens);
    measure(state, all.least_work(), [&] { all(); });
  });
  add_case(
      prefix + "decode_bound" + name,
      [tokens](benchmark::State& state) {
        std::vector<stripped> kernels_of;
        const auto layer_bytes = static_cast<std::size_t>(stripped(tokens).least_work().bytes);
        const std::size_t count = beyond_caches() / layer_bytes + 1;
        for (std::size_t i = 0; i < count; ++i) kernels_of.emplace_back(tokens);
        layers<Stored, rows> attention(tokens, static_cast<Index>(count));
        std::size_t layer = 0;
        const times_in_turn times = time_in_turn(
            state, [&] { return seconds_of([&] { kernels_of[layer](); }); },
            [&] { return seconds_of([&] { attention(layer); }); },
            [&] { layer = (layer + 1) % count; });
        state.counters["kernels_ms"] = 1e3 * times.one;
        state.counters["ms"] = 1e3 * times.other;
        state.counters["kernels/attention"] = times.one_over_other;
      },
      25);
}

template <int rows>
void add_all(const std::string& prefix, Index tokens) {
  add<float, rows>(prefix, "float", tokens);
  add<Eigen::half, rows>(prefix, "half", tokens);
  add<Eigen::bfloat16, rows>(prefix, "bfloat16", tokens);
  add<headroom::int8_rows, rows>(prefix, "int8_rows", tokens);
  add<headroom::int8_blocks, rows>(prefix, "int8_blocks", tokens);
  add<headroom::fp8_codec, rows>(prefix, "fp8", tokens);
  add<headroom::int4_blocks, rows>(prefix, "int4_blocks", tokens);
}

}  // namespace
}  // namespace headroom_bench

int main(int argc, char** argv) {
  using namespace headroom_bench;
  add_all<1>("", 4096);
  add_all<4>("", 4096);
  add_all<8>("", 4096);
  add_all<1>("long/", 32768);
  add_all<4>("long/", 32768);
  add_all<8>("long/", 8192);
  add_all<4>("smoke/", 512);
  return run_cases(argc, argv);
}
