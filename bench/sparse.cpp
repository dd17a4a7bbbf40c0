// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
//
// Attention to the keys that lists show against attention to all of them, in turn: what it costs is
// to follow what is visible. 32 heads, 8 groups, width 128 but for latents, causal, in bfloat16, on
// one thread.
//
//   lists/tokens/COUNT/1xTOKENS   attend_tokens to COUNT tokens anywhere among so many
//   lists/latents/COUNT/1xTOKENS  the same over latents of 512 + 64, 128 heads, absorbed
//   lists/blocks/1inSHARE/QxK     attend_blocks in blocks of 64 x 64, each query block over its own
//                                 keys and some before them, one in SHARE
//   sparse/1xTOKENS               page_index and attend_blocks, over a sixteenth of the pages of 16
//                                 tokens
//
// `pairs` is what `all/listed` would be if only pairs of query and key counted. `recall` is the
// part of the softmax weight that the selected pages hold, the mean over heads, where one key in
// 256 is twice the sum of its queries.

#include "support/counters.hpp"
#include "support/grouped_inputs.hpp"
#include "support/in_turn.hpp"
#include "support/inputs.hpp"
#include "support/latent_inputs.hpp"

#include <algorithm>
#include <array>
#include <headroom/attention.hpp>
#include <headroom/block_sparse.hpp>
#include <headroom/cost.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/mla.hpp>
#include <headroom/mla_sparse.hpp>
#include <headroom/page_index.hpp>
#include <headroom/token_sparse.hpp>
#include <string>
#include <vector>

namespace headroom_bench {
namespace {

constexpr int Q_heads = 32, KV_groups = 8, dim = 128;
const headroom::gqa<Q_heads, KV_groups, dim> heads;
using inputs = grouped_inputs<Q_heads, KV_groups, dim, Eigen::bfloat16>;

// Lists of blocks of keys that are drawn, for each block of queries its own and some before it. As
// a mask it shows what they hold.
class drawn_lists : public headroom::mask_defaults {
 public:
  // Lists count(n) of the n blocks that the last query of a block sees, or parts of.
  template <class Count>
  drawn_lists(lengths n, headroom::block_shape shape, const Count& count)
      : shape_(shape), first_position_(n.kv_len - n.q_len) {
    numbers random;
    for (Index t = 0; t < n.q_len; t += shape.queries) {
      const Index last = first_position_ + std::min(t + shape.queries, n.q_len) - 1;
      const Index own = last / shape.keys;
      Index left = count(own + 1) - 1;
      for (Index b = 0; b < own; ++b)
        if ((random() + 1) / 2 * static_cast<float>(own - b) < static_cast<float>(left)) {
          blocks_.push_back(b);
          --left;
        }
      blocks_.push_back(own);
      offsets_.push_back(static_cast<Index>(blocks_.size()));
    }
  }

  const std::vector<Index>& offsets() const { return offsets_; }
  const std::vector<Index>& blocks() const { return blocks_; }

  headroom::key_range keys(const headroom::query_row& row) const { return {0, row.kv_len, false}; }
  bool visible(const headroom::query_row& row, Index key) const {
    const auto list = static_cast<std::size_t>((row.position - first_position_) / shape_.queries);
    return std::binary_search(blocks_.begin() + offsets_[list],
                              blocks_.begin() + offsets_[list + 1], key / shape_.keys);
  }

  // Pairs of a query and a key that it sees, of those before it and itself.
  Index pairs(Index q_len) const {
    Index sum = 0;
    for (Index t = 0; t < q_len; ++t) {
      const Index seen = first_position_ + t + 1;
      const auto list = static_cast<std::size_t>(t / shape_.queries);
      for (Index i = offsets_[list]; i < offsets_[list + 1]; ++i) {
        const Index begin = blocks_[static_cast<std::size_t>(i)] * shape_.keys;
        sum += std::min(begin + shape_.keys, seen) - begin;
      }
    }
    return sum;
  }

 private:
  headroom::block_shape shape_;
  Index first_position_;
  std::vector<Index> offsets_ = {0};
  std::vector<Index> blocks_;
};

template <class Listed, class All>
void compare(benchmark::State& state, double pairs, const Listed& listed, const All& all) {
  const times_in_turn times = time_in_turn(
      state, [&] { return seconds_of(all); }, [&] { return seconds_of(listed); }, empty_caches);
  state.counters["all_ms"] = 1e3 * times.one;
  state.counters["listed_ms"] = 1e3 * times.other;
  state.counters["all/listed"] = times.one_over_other;
  state.counters["pairs"] = pairs;
}

// attend(in, lists, out) is attention to what the lists show.
template <class Attend>
void compare_lists(benchmark::State& state, lengths n, const drawn_lists& lists,
                   const Attend& attend) {
  const inputs in(n);
  matrix out(n.q_len, in.q.cols()), out_of_all(n.q_len, in.q.cols());
  const auto listed = [&] { attend(in, lists, out); };
  const auto all = [&] { heads(in.q, in.cache, out_of_all, headroom::causal{}); };
  listed();
  in.check(out, headroom::causal{} & lists);
  all();
  in.check(out_of_all);
  const auto pairs = [](Index number) { return static_cast<double>(number); };
  compare(state, pairs(headroom::causal_pairs(n.q_len, n.kv_len)) / pairs(lists.pairs(n.q_len)),
          listed, all);
}

void add_tokens(const std::string& prefix, Index count, Index tokens) {
  const lengths n{1, tokens};
  add_case(prefix + "lists/tokens/" + std::to_string(count), n,
           [=](benchmark::State& state, lengths) {
             const drawn_lists lists(n, {.queries = 1, .keys = 1}, [&](Index) { return count; });
             compare_lists(state, n, lists, [](const inputs& in, const auto& l, matrix& out) {
               headroom::attend_tokens(heads, in.q, in.cache, l.offsets(), l.blocks(), out,
                                       headroom::causal{});
             });
           });
}

void add_latents(const std::string& prefix, Index query_heads, Index count, Index tokens) {
  const lengths n{1, tokens};
  add_case(prefix + "lists/latents/" + std::to_string(count), n,
           [=](benchmark::State& state, lengths) {
             const drawn_lists lists(n, {.queries = 1, .keys = 1}, [&](Index) { return count; });
             const latent_inputs<Eigen::bfloat16> in(query_heads, n);
             const headroom::mla<Eigen::Dynamic, latent_rank, nope_dim, rope_dim, v_dim> core(
                 query_heads, latent_rank, nope_dim, rope_dim, v_dim);
             const headroom::linear up(in.weights);
             matrix out(1, query_heads * v_dim), expected = out, out_of_all = out;
             const auto listed = [&] {
               headroom::attend_tokens(core, in.q, in.latents, lists.offsets(), lists.blocks(), up,
                                       out, headroom::causal{});
             };
             const auto all = [&] {
               core.absorbed(in.q, in.latents, up, out_of_all, headroom::causal{});
             };
             listed();
             core.expanded(in.q, in.latents, up, expected, headroom::causal{} & lists);
             check_near(out.row(0), expected.row(0).cast<double>(), 0, 0,
                        allowed_error<Eigen::bfloat16>);
             all();
             in.check(out_of_all);
             compare(state, static_cast<double>(tokens) / static_cast<double>(count), listed, all);
           });
}

void add_blocks(const std::string& prefix, Index share, lengths n) {
  constexpr headroom::block_shape shape{.queries = 64, .keys = 64};
  add_case(prefix + "lists/blocks/1in" + std::to_string(share), n,
           [=](benchmark::State& state, lengths) {
             const drawn_lists lists(n, shape,
                                     [&](Index blocks) { return (blocks + share - 1) / share; });
             compare_lists(state, n, lists, [&](const inputs& in, const auto& l, matrix& out) {
               headroom::attend_blocks(heads, in.q, in.cache, shape, l.offsets(), l.blocks(), out,
                                       headroom::causal{});
             });
           });
}

void add_index(const std::string& prefix, Index tokens) {
  constexpr Index page = 16, share = 16;
  add_case(prefix + "sparse/1x" + std::to_string(tokens), [=](benchmark::State& state) {
    numbers random;
    const matrix q = random(1, Q_heads * dim);
    matrix k = random(tokens, KV_groups * dim);
    const matrix v = random(tokens, KV_groups * dim);
    for (Index j = 100; j < tokens; j += 256)
      for (Index h = 0; h < Q_heads; ++h)
        k.row(j).segment(h / (Q_heads / KV_groups) * dim, dim) +=
            2 * q.row(0).segment(h * dim, dim);
    headroom::kv_cache<Eigen::bfloat16, KV_groups, dim> cache(tokens);
    cache.append(k, v);
    headroom::page_index index(page, tokens, Q_heads, KV_groups, dim);
    index.update(cache);
    std::vector<Index> pages(static_cast<std::size_t>(tokens / page / share));
    matrix out(1, Q_heads * dim), out_of_all(1, Q_heads * dim);
    matrix lse(1, Q_heads), lse_of_all(1, Q_heads);
    const auto listed = [&] {
      const Index count = index.select(q, pages);
      headroom::attend_blocks(heads, q, cache, {.queries = 1, .keys = page},
                              std::array{Index(0), count}, pages, out, headroom::causal{},
                              {.lse = lse});
    };
    const auto all = [&] { heads(q, cache, out_of_all, headroom::causal{}, {.lse = lse_of_all}); };
    listed();
    all();
    compare(state, static_cast<double>(share), listed, all);
    state.counters["recall"] = static_cast<double>((lse - lse_of_all).array().exp().mean());
  });
}

}  // namespace
}  // namespace headroom_bench

int main(int argc, char** argv) {
  using namespace headroom_bench;
  for (const Index tokens : {8192, 32768})
    for (const Index count : {512, 2048}) add_tokens("", count, tokens);
  for (const Index count : {512, 2048}) add_latents("", 128, count, 8192);
  for (const Index share : {2, 4, 8}) add_blocks("", share, {2048, 2048});
  for (const Index tokens : {8192, 32768}) add_index("", tokens);
  add_tokens("smoke/", 100, 1024);
  add_latents("smoke/", 3, 100, 1024);
  add_blocks("smoke/", 3, {300, 300});
  add_index("smoke/", 1024);
  return run_cases(argc, argv);
}
