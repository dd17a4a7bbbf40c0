// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: calls of latent attention that run together write what each would write alone in the same
// form, in whatever order the items of a phase run.
#include <headroom/detail/latent_batch.hpp>
#include <headroom/latent_cache.hpp>

#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/problem.hpp"
#include "support/product.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

constexpr Index heads = 3, rank = 19, nope = 9, rope = 3, value = 7;
using cache = hr::latent_cache<Eigen::half>;
using call_type = hr::detail::attention_call<float, float, hr::causal>;

struct sequence {
  tensor<float> q;
  cache latents;
  bool expanded;

  sequence(Index q_len, Index kv_len, bool as_expanded, random_source& random)
      : q(q_len, heads, nope + rope), latents(kv_len, rank, rope), expanded(as_expanded) {
    random.fill(q.view());
    latents.append(random_matrix<float>(kv_len, rank, random).view(),
                   random_matrix<float>(kv_len, rope, random).view());
  }
};

// Counts the phases, and runs the items of each from the last to the first.
struct backwards {
  int* phases;
  template <class Work>
  void operator()(Index count, const Work& work) const {
    ++*phases;
    for (Index i = count; i-- > 0;) work(i);
  }
};

struct batch {
  hr::causal mask;
  hr::detail::up_projection<float> up;

  // The outputs of sequences [first, first + count), and how many phases they took.
  std::vector<answer<float>> run(const std::vector<sequence>& all, std::size_t first,
                                 std::size_t count, int expected_phases) const {
    std::vector<answer<float>> out;
    for (std::size_t i = first; i < first + count; ++i)
      out.push_back({{all[i].q.tokens(), heads, value}, {all[i].q.tokens(), heads, 1}});
    hr::detail::scratch memory;
    hr::detail::latent_batch<call_type, cache, float> together(static_cast<Index>(count), up,
                                                               memory);
    for (std::size_t i = 0; i < count; ++i) {
      const sequence& s = all[first + i];
      const call_type call{s.q.view(), out[i].out.view(),
                           mask,       s.latents.tokens(),
                           1,          s.latents.tokens() - s.q.tokens(),
                           0.25f,      0.f,
                           {},         out[i].lse.per_head()};
      if (s.expanded)
        together.add_expanded(call, s.latents);
      else
        together.add_absorbed(call, s.latents);
    }
    int phases = 0;
    together.run(backwards{&phases});
    CHECK(phases == expected_phases);
    return out;
  }
};

}  // namespace

TEST_CASE("calls of both forms together write what each writes alone") {
  random_source random(41);
  tensor<float> weights(heads * (nope + value), 1, rank);
  random.fill(weights.view());
  const batch of{{},
                 {hr::linear<float>(std::as_const(weights).view().data(), weights.tokens(), rank),
                  nope, value}};
  std::vector<sequence> all;
  for (const bool expanded : {false, true, false})
    for (const auto& [q_len, kv_len] :
         {std::pair<Index, Index>{1, 1700}, {0, 4}, {2, 3}, {200, 210}, {1, 0}})
      all.emplace_back(q_len, kv_len, expanded, random);
  const auto together = of.run(all, 0, all.size(), 3);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const bool absorbs = !all[i].expanded && all[i].q.tokens() > 0;
    CHECK(same_bits(of.run(all, i, 1, absorbs ? 3 : 1).front(), together[i]));
  }
  CHECK(of.run(all, 0, 0, 1).empty());
}
