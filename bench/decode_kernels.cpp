// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// What bounds decode: its two products alone, on keys and values that no cache holds, read in the
// order that decoding reads them. Attention can come near these; what it adds is the softmax,
// masks, and finding where keys lie.
//
//   decode_kernels/KV/ROWS   rows of a query group over keys and values of 8 groups, width 128

#include "support/counters.hpp"
#include "support/inputs.hpp"

#include <headroom/detail/kernels/dot.hpp>
#include <headroom/detail/kernels/weighted_sum.hpp>
#include <headroom/detail/line_walk.hpp>
#include <headroom/detail/memory.hpp>
#include <headroom/kv_source.hpp>
#include <memory>
#include <string>
#include <vector>

namespace headroom_bench {
namespace {

namespace detail = headroom::detail;

// All in lines of 4 keys of each group, and a few lines of keys before those of values.
template <class KV, int rows>
class products {
 public:
  static constexpr Index groups = 8, dim = 128, lines_at_a_time = 16;

  explicit products(Index tokens)
      : tokens_(tokens),
        keys_(filled(tokens * groups * dim)),
        values_(filled(tokens * groups * dim)),
        queries_(groups * rows * dim, 0.5f),
        weights_(static_cast<std::size_t>(lines_at_a_time * shape_.size())),
        value_(groups * rows * dim) {}

  void operator()() {
    detail::scratch memory;
    detail::line_walk<KV> keys(shape_, dim, memory), values(shape_, dim, memory);
    const auto order = detail::line_order::in_streams(0, tokens_ / detail::streams);
    keys.start(order, tokens_);
    values.start(order, tokens_);
    for (Index line = 0; line < tokens_ / shape_.keys; line += lines_at_a_time) {
      for (Index l = 0; l < lines_at_a_time; ++l)
        detail::dot_product<rows>(queries_.data(), keys.next(run_of(keys_)), detail::as_stored(),
                                  groups, shape_.keys, shape_.keys, dim,
                                  weights_.data() + l * shape_.size());
      for (Index l = 0; l < lines_at_a_time; ++l) {
        const KV* const* const row = values.next(run_of(values_));
        for (Index g = 0; g < groups; ++g)
          detail::add_weighted_sum<rows>(weights_.data() + l * shape_.size() + shape_.at(g, 0, 0),
                                         row + g * shape_.keys, detail::as_stored(), shape_.keys,
                                         dim, value_.data() + g * rows * dim);
      }
    }
  }

  work least_work() const {
    const auto numbers = static_cast<double>(2 * tokens_ * groups * dim);
    return {2 * rows * numbers, numbers * sizeof(KV)};
  }

 private:
  using array = detail::aligned_array<KV>;  // on huge pages, as the library's caches are

  static array filled(Index size) {
    array numbers = detail::uninitialised<KV>(size);
    std::uninitialized_fill_n(numbers.get(), size, KV(0.5f));
    return numbers;
  }

  auto run_of(const array& stored) const {
    return [this, &stored](Index g, Index first) {
      return headroom::token_run<KV>{stored.get() + (first * groups + g) * dim, groups * dim,
                                     tokens_ - first};
    };
  }

  detail::line_shape shape_ = detail::line_shape::of(groups, rows);
  Index tokens_;
  array keys_, values_;  // [tokens, groups, dim]
  std::vector<float> queries_, weights_, value_;
};

template <class KV, int rows>
void add(const std::string& prefix, const std::string& kv, Index tokens) {
  add_case(prefix + "decode_kernels/" + kv + '/' + std::to_string(rows),
           [tokens](benchmark::State& state) {
             products<KV, rows> both(tokens);
             measure(state, both.least_work(), [&] { both(); });
           });
}

void add_all(const std::string& prefix, Index tokens) {
  add<float, 1>(prefix, "float", tokens);
  add<float, 4>(prefix, "float", tokens);
  add<Eigen::half, 1>(prefix, "half", tokens);
  add<Eigen::half, 4>(prefix, "half", tokens);
  add<Eigen::bfloat16, 4>(prefix, "bfloat16", tokens);
}

}  // namespace
}  // namespace headroom_bench

int main(int argc, char** argv) {
  headroom_bench::add_all("", 16384);
  headroom_bench::add_all("smoke/", 512);
  return headroom_bench::run_cases(argc, argv);
}
