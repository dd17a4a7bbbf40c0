// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: as in differential.cpp, for what a server puts together: a batch of sequences of any
// lengths, each in a cache, on pages of a pool that it shares with others, or on pages of somebody
// else's, or some tokens or blocks of these, each under a mask of its own, keys and values in one
// scalar or codec or in two. What a codec gives back counts as exact. Whatever memory holds beside
// the tokens is NaN, where a codec has one, and so are tokens that no query sees.
#include <headroom/batch.hpp>
#include <headroom/fp8_codec.hpp>
#include <headroom/int4_codec.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/selected_mask.hpp>

#include <algorithm>
#include <deque>
#include <span>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/problem.hpp"
#include "support/serving.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

using causal_alibi = hr::both_masks<hr::causal, hr::alibi>;
using grouped = hr::attention<8, 2, 64>;
using multi_head = hr::attention<4, 4, 32, 16>;

/// Runs items one after another in a random order.
struct shuffled {
  std::uint64_t seed;

  template <class Work>
  void operator()(Index count, const Work& work) const {
    random_source random(seed);
    std::vector<Index> order;
    for (Index i = 0; i < count; ++i) order.push_back(i);
    for (Index i = count; i > 1; --i)
      std::swap(order[static_cast<std::size_t>(i - 1)],
                order[static_cast<std::size_t>(random.integer(0, i - 1))]);
    for (const Index i : order) work(i);
  }
};

std::string text(const batch_shape& s, std::uint64_t seed) {
  std::ostringstream words;
  words << "seed " << seed << ", Q_heads " << s.Q_heads << ", KV_groups " << s.KV_groups
        << ", qk_dim " << s.qk_dim << ", v_dim " << s.v_dim;
  return words.str();
}

/// How far a part of an answer is from attention over what the member's source stores.
template <class Stored, class StoredValue>
double error_of(const member& m, hr::view<const float> q, hr::view<const float> out,
                hr::view<const float> lse, const auto& mask,
                const hr::attention_options<float>& options) {
  using Source = typename store<Stored, StoredValue>::Source;
  const auto k = stored_as<typename Source::KeyCodec>(m.k);
  const auto v = stored_as<typename Source::ValueCodec>(m.v);
  auto own = options;
  own.first_position = m.position();
  const auto exact = exact_attention<float>(
      q, k.view(), v.view(), mask, own, 0,
      rounding_of_codecs<float, typename Source::KeyCodec, typename Source::ValueCodec>());
  return std::max(error_ratio(out, exact.out.view(), exact.bound.out.view()),
                  error_ratio(lse, exact.lse.view(), exact.bound.lse.view()));
}

template <class Stored, class StoredValue, class Last, class Known>
void run(std::uint64_t seed, int count, serving_summary& done) {
  using Store = store<Stored, StoredValue>;
  using Tokens = typename Store::Tokens;
  using Blocks = typename Store::Blocks;
  using Shown = mask_of_any_kind<Last>;
  using Source = any_source<typename Store::Source, Tokens, Blocks>;
  using Mask = any_mask<Shown, hr::selected_mask<Shown, Tokens>, hr::selected_mask<Shown, Blocks>>;
  for (int i = 0; i < count; ++i, ++seed) {
    random_source random(seed);
    const batch_shape s = random_shape(random);
    INFO(text(s, seed));
    std::vector<member> members;
    std::vector<int> offsets = {0};
    Index tokens = 0;
    for (Index n = random.integer(0, 4); n >= 0; --n) {
      members.push_back(random_member(s, random));
      offsets.push_back(offsets.back() + static_cast<int>(members.back().q_len));
      tokens += members.back().kv_len;
      done.without_keys += members.back().kv_len == 0;
    }

    Store held(s, tokens, random, done);
    std::deque<Tokens> some_tokens;
    std::deque<Blocks> some_blocks;
    std::deque<Source> sources;
    std::vector<Shown> masks;
    std::vector<hr::batch_sequence<Source, Mask>> sequences;
    for (member& m : members) {
      if (random.chance(0.15)) m.first_position = random.integer(-5, m.kv_len + 5);
      const Index which = random.integer(0, mask_kinds - 1);
      const Index kind = random.pick<Index>({0, 0, 0, 1, 2});
      const Index block = kind == 2 ? random.pick<Index>({1, 7, 16, 64, 500}) : 1;
      ++done.masks[static_cast<std::size_t>(which)];
      ++done.selections[static_cast<std::size_t>(kind)];
      const Shown& shown = masks.emplace_back(random_mask<Last>(which, m, s, random));
      list_tokens(m, kind, block, random);
      const auto& all = held.add(m, shown & m.in_list());
      const std::span<const int> list(m.list);
      if (kind == 0) {
        sequences.emplace_back(sources.emplace_back(all), Mask(shown), m.first_position);
      } else if (kind == 1) {
        const Tokens& some = some_tokens.emplace_back(all, list);
        sequences.emplace_back(sources.emplace_back(some),
                               Mask(hr::selected_mask(shown, some, m.position())), m.position());
      } else {
        const Blocks& some = some_blocks.emplace_back(all, block, list);
        sequences.emplace_back(sources.emplace_back(some),
                               Mask(hr::selected_mask(shown, some, m.position())), m.position());
      }
    }

    const random_options chosen(s, random);
    tensor<float> q(offsets.back(), s.Q_heads, s.qk_dim, random.pick(all_layouts));
    random.fill(q.view(), random.pick<double>({0.1, 1, 1, 4}));
    const layout order = random.pick(all_layouts);
    answer<float> got{{q.tokens(), s.Q_heads, s.v_dim, order}, {q.tokens(), s.Q_heads, 1, order}};
    auto options = chosen.options;
    options.lse = got.lse.per_head();
    with_heads<Known>(s, [&](const auto& heads) {
      hr::attend_batch(heads, std::as_const(q).view(), offsets, sequences, got.out.view(), options,
                       shuffled{seed});
    });

    for (std::size_t m = 0; m < members.size(); ++m) {
      const Index begin = offsets[m], end = offsets[m + 1];
      INFO("sequence " << m << ": q_len " << end - begin << ", kv_len " << members[m].kv_len);
      const double error = error_of<Stored, StoredValue>(
          members[m], std::as_const(q).view().slice_tokens(begin, end),
          std::as_const(got.out).view().slice_tokens(begin, end),
          std::as_const(got.lse).view().slice_tokens(begin, end), masks[m] & members[m].in_list(),
          chosen.options);
      done.worst = std::max(done.worst, error);
      REQUIRE(error <= 1);
    }
    REQUIRE((got.out.gaps_untouched() && got.lse.gaps_untouched()));
    done.forks += held.forks();
    ++done.configurations;
  }
}

}  // namespace

TEST_CASE("What a server puts together is the definition of each of its parts") {
  serving_summary done;
  // Sizes that the compiler knows make kernels of their own, which take long to compile: one pair
  // of codecs has them of each kind of product, of bfloat16, of whole numbers and of floats.
  run<Eigen::bfloat16, Eigen::bfloat16, hr::causal_top_left, grouped>(710'000, 400, done);
  run<hr::int8_blocks, hr::fp8_codec, causal_alibi, any_attention>(720'000, 400, done);
  run<hr::int8_rows, hr::int8_blocks, hr::causal_top_left, grouped>(730'000, 400, done);
  run<hr::int4_blocks, hr::int8_rows, causal_alibi, any_attention>(740'000, 400, done);
  run<Eigen::half, float, causal_alibi, multi_head>(750'000, 400, done);
  run<hr::saturating_int8, hr::int4_blocks, hr::causal_top_left, any_attention>(760'000, 400, done);

  WARN(done.configurations << " batches; " << done.sources[0] << " sequences in caches, "
                           << done.sources[1] << " on pages of a pool, " << done.forks
                           << " of them forks, " << done.sources[2]
                           << " on pages of somebody else's; " << done.selections[1]
                           << " lists of tokens, " << done.selections[2] << " of blocks, "
                           << done.without_keys << " sequences without keys; worst error "
                           << done.worst << " of its bound");
  REQUIRE(done.configurations >= 2000);
  REQUIRE(std::ranges::min(done.sources) >= 1000);
  REQUIRE(std::ranges::min(done.selections) >= 500);
  REQUIRE(std::ranges::min(done.masks) >= 300);
  REQUIRE(std::min(done.forks, done.without_keys) >= 200);
}
