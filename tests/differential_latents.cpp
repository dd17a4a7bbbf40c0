// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: as in differential_serving.cpp, for latents: a batch of sequences of any lengths, each in a
// cache, on pages of a pool that it shares with others, or a slice of a longer one's latents, each
// under a mask of its own, is attention over keys and values made beforehand. What a codec gives
// back counts as exact. Whatever memory holds beside the tokens is NaN, and so are latents that no
// query sees.
#include <headroom/int8_codec.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/mla_batch.hpp>
#include <headroom/paged_latents.hpp>
#include <headroom/token_slice.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/any_source.hpp"
#include "support/catch.hpp"
#include "support/matrix.hpp"
#include "support/serving.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

using causal_alibi = hr::both_masks<hr::causal, hr::alibi>;
using some_mask = mask_of_any_kind<causal_alibi>;
using any_mla =
    hr::mla<Eigen::Dynamic, Eigen::Dynamic, Eigen::Dynamic, Eigen::Dynamic, Eigen::Dynamic>;

/// A sequence whose rows [c, k_pe], in place of keys, are those of latents.
member random_latents(const any_mla& core, random_source& random) {
  member m;
  m.kv_len = random.chance(0.1)    ? 0
             : random.chance(0.02) ? random.pick(long_lengths)
                                   : random.integer(1, random.chance(0.5) ? 20 : 130);
  m.q_len = random.chance(0.5) ? 1 : random.integer(0, random.chance(0.5) ? 5 : 60);
  // The plain loops of the definition are slow.
  while (m.q_len * m.kv_len * core.q_heads() * (core.nope_width() + core.value_width()) > 30'000 &&
         m.q_len > 1)
    m.q_len = (m.q_len + 1) / 2;
  m.k = tensor<float>(m.kv_len, 1, core.rank() + core.rope_width());
  m.v = tensor<float>(m.kv_len, 1, 0);
  random.fill(m.k.view());
  return m;
}

/// Puts latents into caches and onto pages.
template <class Stored, int rank>
class latent_store {
 public:
  using Cache = hr::latent_cache<Stored, rank>;
  using Paged = hr::paged_latents<Stored, rank>;
  using Slice = hr::token_slice<Cache>;
  using Source = any_source<Cache, Paged, Slice>;

  latent_store(const any_mla& core, Index most_tokens, random_source& random)
      : core_(core),
        random_(random),
        page_tokens_(random.pick<Index>({1, 2, 5, 16, 64})),
        pool_(most_tokens / page_tokens_ + 12, page_tokens_, core.rank(), core.rope_width()) {
    const matrix<float> ones = matrix<float>::Ones(1, core.rank() + core.rope_width());
    scramble<Paged>(pool_, random, [&](Paged& to) {
      to.append(ones.leftCols(core.rank()), ones.rightCols(core.rope_width()));
    });
    poison(pool_);
  }

  /// How many sequences have pages of others.
  int forks() const { return paged_.forks(); }

  /// A source of kind 0 to 2. One on pages may begin with another one's latents: m then holds
  /// these.
  const Source& add(member& m, Index kind, const some_mask& mask) {
    if (kind == 1) return paged(m);
    poison_unseen(m.k.view(), m.v.view(), mask, m.q_len, core_.q_heads(), m.position());
    const Index before = kind == 0 ? 0 : random_.integer(0, 20);
    Cache& cache = caches_.emplace_back(before + m.kv_len + 3, core_.rank(), core_.rope_width());
    const tensor<float> none(before + 3, 1, m.k.dim());  // NaN
    append(cache, none, 0);
    cache.truncate(before);
    append(cache, m.k, 0);
    if (kind == 0) return sources_.emplace_back(cache);
    append(cache, tensor<float>(3, 1, m.k.dim()), 0);
    return sources_.emplace_back(slices_.emplace_back(cache, before, before + m.kv_len));
  }

 private:
  /// Rows from `begin` on, some at a time.
  template <class Sequence>
  void append(Sequence& sequence, const tensor<float>& rows, Index begin) {
    while (begin < rows.tokens()) {
      const Index end = std::min(rows.tokens(), begin + random_.integer(1, 2 * page_tokens_ + 40));
      const auto some = rows.view().slice_tokens(begin, end);
      sequence.append(some.slice_dim(0, core_.rank()), some.slice_dim(core_.rank(), rows.dim()));
      begin = end;
    }
  }

  const Source& paged(member& m) {
    Paged& sequence = paged_.add(m, pool_, random_);
    append(sequence, m.k, sequence.tokens());
    return sources_.emplace_back(sequence);
  }

  const any_mla core_;
  random_source& random_;
  Index page_tokens_;
  typename Paged::Pool pool_;
  std::deque<Cache> caches_;
  forked_sequences<Paged> paged_;
  std::deque<Slice> slices_;
  std::deque<Source> sources_;
};

/// Keys and values of all heads made from latents, in double, and the sizes that their products
/// have: |W| |c| in place of W c.
struct expanded {
  tensor<double> k, k_size, v, v_size;

  expanded(const any_mla& core, const tensor<float>& rows, const matrix<float>& up)
      : k(rows.tokens(), core.q_heads(), core.nope_width() + core.rope_width()),
        k_size(k),
        v(rows.tokens(), core.q_heads(), core.value_width()),
        v_size(v) {
    const Index nope = core.nope_width(), outputs = nope + core.value_width();
    for (Index t = 0; t < k.tokens(); ++t)
      for (Index h = 0; h < k.heads(); ++h) {
        for (Index i = 0; i < outputs; ++i) {
          double sum = 0, size = 0;
          for (Index r = 0; r < core.rank(); ++r) {
            const double product = double(up(h * outputs + i, r)) * double(rows(t, 0, r));
            sum += product;
            size += std::abs(product);
          }
          (i < nope ? k(t, h, i) : v(t, h, i - nope)) = sum;
          (i < nope ? k_size(t, h, i) : v_size(t, h, i - nope)) = size;
        }
        for (Index i = 0; i < core.rope_width(); ++i) {
          k(t, h, nope + i) = double(rows(t, 0, core.rank() + i));
          k_size(t, h, nope + i) = std::abs(k(t, h, nope + i));
        }
      }
  }
};

/// How far a part of an answer is from attention over keys and values made beforehand. To the bound
/// of that comes what projecting adds, before or after: see support/error_bound.hpp for gamma.
/// - A score is scale sum_d q_d (W c)_d, summed over d or over c first: it errs by the roundings of
///   both sums, and by that of W^T q to bfloat16 where latents are multiplied so, each as a share
///   of scale sum_d |q_d| (|W| |c|)_d.
/// - An output is sum_j p_j (W c_j)_d, summed over j or over c first: by the roundings of both sums
///   and that of p_j, each as a share of the largest (|W| |c_j|)_d.
template <class Stored>
double error_of(const any_mla& core, const member& m, const expanded& made, hr::view<const float> q,
                hr::view<const float> out, hr::view<const float> lse, const some_mask& mask,
                const hr::attention_options<float>& options) {
  const double u = unit_roundoff<float>, w = [] {
    if constexpr (std::is_same_v<Stored, Eigen::bfloat16>)
      return operand_roundoff<float, Stored, Stored>().relative;
    return 0.;
  }();
  const auto projecting = static_cast<double>(core.rank() + q.dim());
  const auto keys = static_cast<double>(m.kv_len);
  double largest = 0;
  for (Index t = 0; t < q.tokens(); ++t)
    for (Index j = 0; j < m.kv_len; ++j)
      for (Index h = 0; h < q.heads(); ++h) {
        double size = 0;
        for (Index d = 0; d < q.dim(); ++d)
          size += std::abs(double(q(t, h, d))) * made.k_size(j, h, d);
        if (size > largest) largest = size;  // not so where a latent that none sees is NaN
      }
  const double scale = std::abs(options.scale.value_or(1 / std::sqrt(static_cast<float>(q.dim()))));
  const double moved = scale * largest * (gamma_bound(projecting + 8, u) + w);
  auto own = options;
  own.first_position = m.position();
  auto exact = exact_attention<float>(q, made.k.view(), made.v.view(), mask, own, moved);
  const double share =
      (gamma_bound(projecting + 2 * (keys + keys / 16) + 8, u) + w) * std::exp(2 * moved);
  for (Index h = 0; h < q.heads(); ++h)
    for (Index d = 0; d < out.dim(); ++d) {
      double size = 0;
      for (Index j = 0; j < m.kv_len; ++j)
        if (made.v_size(j, h, d) > size) size = made.v_size(j, h, d);
      for (Index t = 0; t < q.tokens(); ++t)
        if (exact.bound.out(t, h, d) > 0) exact.bound.out(t, h, d) += share * size;
    }
  return std::max(
      error_ratio(out, std::as_const(exact.out).view(), std::as_const(exact.bound.out).view()),
      error_ratio(lse, std::as_const(exact.lse).view(), std::as_const(exact.bound.lse).view()));
}

struct latent_summary {
  int batches = 0, forks = 0, expanded = 0, absorbed = 0, without_keys = 0;
  std::array<int, 3> sources = {};  // caches, pages of a pool, slices
  std::array<int, mask_kinds> masks = {};
  double worst = 0;  // error / bound
};

template <class Stored, int known_rank>
void run(std::uint64_t seed, int count, latent_summary& done) {
  using Store = latent_store<Stored, known_rank>;
  for (int i = 0; i < count; ++i, ++seed) {
    random_source random(seed);
    const any_mla core(random.integer(1, 6),
                       known_rank > 0 ? Index(known_rank) : random.integer(1, 40),
                       random.integer(1, 24), random.integer(0, 16), random.integer(1, 24));
    INFO("seed " << seed << ", Q_heads " << core.q_heads() << ", rank " << core.rank() << ", nope "
                 << core.nope_width() << ", rope " << core.rope_width() << ", value "
                 << core.value_width());
    const batch_shape shape{core.q_heads(), 1, core.rank() + core.rope_width(), core.rank()};
    const matrix<float> up =
        random_matrix<float>(random, core.q_heads() * (core.nope_width() + core.value_width()),
                             core.rank(), 1 / std::sqrt(double(core.rank())));
    std::vector<member> members;
    std::vector<int> offsets = {0};
    Index tokens = 0;
    for (Index n = random.integer(0, 3); n >= 0; --n) {
      members.push_back(random_latents(core, random));
      offsets.push_back(offsets.back() + static_cast<int>(members.back().q_len));
      tokens += members.back().kv_len;
      done.without_keys += members.back().kv_len == 0;
    }
    Store held(core, tokens, random);
    std::vector<hr::batch_sequence<typename Store::Source, some_mask>> sequences;
    for (member& m : members) {
      if (random.chance(0.15)) m.first_position = random.integer(-5, m.kv_len + 5);
      const Index which = random.integer(0, mask_kinds - 1), kind = random.integer(0, 2);
      ++done.masks[static_cast<std::size_t>(which)];
      ++done.sources[static_cast<std::size_t>(kind)];
      ++(core.expands(m.q_len, m.kv_len) ? done.expanded : done.absorbed);
      const some_mask mask = random_mask<causal_alibi>(which, m, shape, random);
      sequences.emplace_back(held.add(m, kind, mask), mask, m.first_position);
    }

    const random_options chosen(shape, random);
    tensor<float> q(offsets.back(), core.q_heads(), core.nope_width() + core.rope_width(),
                    random.pick(all_layouts));
    random.fill(q.view(), random.pick<double>({0.1, 1, 1, 4}));
    const layout order = random.pick(all_layouts);
    answer<float> got{{q.tokens(), q.heads(), core.value_width(), order},
                      {q.tokens(), q.heads(), 1, order}};
    auto options = chosen.options;
    options.lse = got.lse.per_head();
    hr::attend_batch(core, std::as_const(q).view(), offsets, sequences, hr::linear(up),
                     got.out.view(), options);

    for (std::size_t m = 0; m < members.size(); ++m) {
      const Index begin = offsets[m], end = offsets[m + 1];
      INFO("sequence " << m << ": q_len " << end - begin << ", kv_len " << members[m].kv_len);
      const auto rows = stored_as<typename Store::Cache::KeyCodec>(members[m].k);
      const double error = error_of<Stored>(core, members[m], expanded(core, rows, up),
                                            std::as_const(q).view().slice_tokens(begin, end),
                                            std::as_const(got.out).view().slice_tokens(begin, end),
                                            std::as_const(got.lse).view().slice_tokens(begin, end),
                                            sequences[m].mask(), chosen.options);
      done.worst = std::max(done.worst, error);
      REQUIRE(error <= 1);
    }
    REQUIRE((got.out.gaps_untouched() && got.lse.gaps_untouched()));
    done.forks += held.forks();
    ++done.batches;
  }
}

}  // namespace

TEST_CASE("A batch of latents is attention over keys and values made beforehand") {
  latent_summary done;
  run<float, Eigen::Dynamic>(810'000, 1200, done);
  run<Eigen::bfloat16, Eigen::Dynamic>(820'000, 900, done);
  run<hr::int8_blocks, 48>(830'000, 900, done);

  WARN(done.batches << " batches; " << done.sources[0] << " sequences in caches, "
                    << done.sources[1] << " on pages of a pool, " << done.forks
                    << " of them forks, " << done.sources[2] << " in slices; " << done.expanded
                    << " expanded, " << done.absorbed << " absorbed, " << done.without_keys
                    << " without keys; worst error " << done.worst << " of its bound");
  REQUIRE(done.batches >= 3000);
  REQUIRE(std::ranges::min(done.sources) >= 1000);
  REQUIRE(std::ranges::min(done.masks) >= 300);
  REQUIRE(std::min({done.forks, done.expanded, done.absorbed, done.without_keys}) >= 200);
}
