// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/block_sparse.hpp>
#include <headroom/dense_mask.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/mask.hpp>
#include <headroom/options.hpp>
#include <headroom/paged_cache.hpp>
#include <headroom/score_mod.hpp>
#include <headroom/token_sparse.hpp>
#include <headroom/tree_mask.hpp>

#include "support/any_mask.hpp"
#include "support/any_source.hpp"
#include "support/pages.hpp"
#include "support/problem.hpp"
#include "support/random.hpp"
#include "support/scattered_pages.hpp"
#include "support/sizes.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <deque>
#include <iterator>
#include <optional>
#include <type_traits>
#include <vector>

// Random sequences as a server holds them, in caches and on pages, under masks of every kind.

namespace headroom_tests {

/// The masks of a run. Last may modify scores.
template <class Last>
using mask_of_any_kind =
    any_mask<headroom::none, headroom::causal, headroom::sliding_window,
             headroom::both_masks<headroom::causal, headroom::sliding_window>,
             headroom::either_mask<headroom::causal, headroom::prefix>,
             headroom::both_masks<headroom::causal, headroom::either_mask<headroom::sliding_window,
                                                                          headroom::prefix>>,
             headroom::both_masks<headroom::causal, headroom::key_length>,
             headroom::both_masks<headroom::causal, headroom::local_chunk>,
             headroom::dense_mask<char>, headroom::tree_mask<16>, Last>;
constexpr Eigen::Index mask_kinds = 11;

/// What was run, to be sure that everything was.
struct serving_summary {
  int configurations = 0, forks = 0, without_keys = 0;
  std::array<int, 3> sources = {};     // caches, pages of a pool, pages of somebody else's
  std::array<int, 3> selections = {};  // all tokens, some, some blocks
  std::array<int, mask_kinds> masks = {};
  double worst = 0;  // error / bound
};

/// One sequence of a batch: what it asks, and what it holds.
struct member {
  Eigen::Index q_len, kv_len;
  tensor<float> k, v;  // before they are stored
  std::optional<Eigen::Index> first_position;
  std::vector<char> flags;    // [q_len, 1 or Q_heads, kv_len], of a dense mask
  std::vector<float> slopes;  // [Q_heads], of alibi
  std::vector<int> list;      // tokens or blocks that are selected
  std::vector<char> listed;   // [q_len, kv_len], the tokens of the list, or all

  Eigen::Index position() const { return first_position.value_or(kv_len - q_len); }
  headroom::dense_mask<char> in_list() const {
    return headroom::dense_mask<char>(headroom::tokens_major(listed.data(), q_len, 1, kv_len));
  }
};

struct batch_shape {
  Eigen::Index Q_heads, KV_groups, qk_dim, v_dim;

  bool operator==(const batch_shape&) const = default;
};

/// Calls use(an attention of this shape): a Known one, whose sizes the compiler knows, where the
/// shape is that of one. Where Known is any_attention, it never knows them.
template <class Known, class Use>
void with_heads(const batch_shape& s, const Use& use) {
  if constexpr (std::is_default_constructible_v<Known>) {
    const Known heads;
    if (s == batch_shape{heads.q_heads(), heads.kv_groups(), heads.qk_width(), heads.v_width()})
      return use(heads);
  }
  use(any_attention(s.Q_heads, s.KV_groups, s.qk_dim, s.v_dim));
}

inline batch_shape random_shape(random_source& random) {
  const Eigen::Index common = random.integer(0, 9);
  if (common == 0) return {8, 2, 64, 64};
  if (common == 1) return {4, 4, 32, 16};
  const Eigen::Index groups = random.pick<Eigen::Index>({1, 1, 2, 3, 4});
  const Eigen::Index qk_dim = random.pick(awkward_widths);
  return {groups * random.pick<Eigen::Index>({1, 1, 2, 3, 4, 7, 8}), groups, qk_dim,
          random.chance(0.5) ? qk_dim : random.pick(awkward_widths)};
}

inline member random_member(const batch_shape& s, random_source& random) {
  member m;
  m.kv_len = random.chance(0.1)    ? 0
             : random.chance(0.05) ? random.pick(long_lengths)
                                   : random.integer(1, random.chance(0.5) ? 40 : 300);
  m.q_len = random.chance(0.5) ? 1 : random.integer(0, random.chance(0.5) ? 12 : 130);
  // The plain loops of the definition are slow.
  while (m.q_len * m.kv_len * s.Q_heads * (s.qk_dim + s.v_dim) > 400'000 && m.q_len > 1)
    m.q_len = (m.q_len + 1) / 2;
  m.k = tensor<float>(m.kv_len, s.KV_groups, s.qk_dim);
  m.v = tensor<float>(m.kv_len, s.KV_groups, s.v_dim);
  random.fill(m.k.view());
  random.fill(m.v.view());
  return m;
}

/// Mask number `which` of mask_kinds, which reads what it needs from m.
template <class Last>
mask_of_any_kind<Last> random_mask(Eigen::Index which, member& m, const batch_shape& s,
                                   random_source& random) {
  using mask = mask_of_any_kind<Last>;
  const headroom::sliding_window window(random.integer(1, m.kv_len + 2));
  const headroom::prefix prefix(random.integer(0, m.kv_len + 1));
  switch (which) {
    case 0:
      return mask(headroom::none());
    case 1:
      return mask(headroom::causal());
    case 2:
      return mask(headroom::sliding_window(window.window, random.integer(0, 20)));
    case 3:
      return mask(headroom::causal() & window);
    case 4:
      return mask(headroom::causal() | prefix);
    case 5:
      return mask(headroom::causal() & (window | prefix));
    case 6:
      return mask(headroom::causal() & headroom::key_length(random.integer(0, m.kv_len)));
    case 7:
      return mask(headroom::causal() & headroom::local_chunk(random.integer(1, m.kv_len + 2)));
    case 8: {
      const Eigen::Index heads = random.chance(0.5) ? 1 : s.Q_heads;
      const double density = random.pick<double>({0.02, 0.5, 1});
      for (Eigen::Index i = 0; i < m.q_len * heads * m.kv_len; ++i)
        m.flags.push_back(random.chance(density));
      return mask(headroom::dense_mask<char>(
          headroom::tokens_major<const char>(m.flags.data(), m.q_len, heads, m.kv_len)));
    }
    case 9: {
      std::vector<int> parents;
      for (Eigen::Index i = 0; i < std::min({m.q_len, m.kv_len, Eigen::Index(16)}); ++i)
        parents.push_back(static_cast<int>(random.integer(-1, i - 1)));
      return mask(headroom::tree_mask<16>(parents));
    }
    default:
      m.slopes = headroom::alibi_slopes(s.Q_heads);
      if constexpr (Last::modifies_scores)
        return mask(headroom::causal() & headroom::alibi(m.slopes));
      else
        return mask(Last());
  }
}

/// The numbers that a codec gives back.
template <class Codec>
tensor<float> stored_as(const tensor<float>& numbers) {
  tensor<float> result(numbers.tokens(), numbers.heads(), numbers.dim());
  std::vector<typename Codec::Storage> row(
      static_cast<std::size_t>(Codec::storage_size(numbers.dim())));
  for (Eigen::Index t = 0; t < numbers.tokens(); ++t)
    for (Eigen::Index h = 0; h < numbers.heads(); ++h) {
      Codec::encode(numbers.view().row(t, h), row.data(), numbers.dim());
      Codec::decode(row.data(), result.view().row(t, h), numbers.dim());
    }
  return result;
}

/// Lists all tokens of a member (kind 0), some, or some blocks of `block` tokens.
inline void list_tokens(member& m, Eigen::Index kind, Eigen::Index block, random_source& random) {
  m.listed.assign(static_cast<std::size_t>(m.q_len * m.kv_len), kind == 0);
  if (kind == 0) return;
  const double share = random.pick<double>({0, 0.1, 0.5, 0.95, 1});
  for (Eigen::Index b = 0; b * block < m.kv_len; ++b) {
    if (!random.chance(share)) continue;
    m.list.push_back(static_cast<int>(b));
    for (Eigen::Index t = 0; t < m.q_len; ++t)
      for (Eigen::Index j = b * block; j < std::min((b + 1) * block, m.kv_len); ++j)
        m.listed[static_cast<std::size_t>(t * m.kv_len + j)] = true;
  }
}

/// Options, and the sinks that they read.
struct random_options {
  std::vector<float> sinks;
  headroom::attention_options<float> options;

  random_options(const batch_shape& s, random_source& random) {
    if (random.chance(0.25)) options.scale = static_cast<float>(random.normal());
    if (random.chance(0.25)) options.softcap = static_cast<float>(0.5 + 30 * random.uniform());
    if (random.chance(0.25)) sinks = random.numbers(s.Q_heads, 3);
    options.sinks = sinks;
  }
  random_options(const random_options&) = delete;
};

/// Sequences on the pages of a pool, of which some begin with those of others.
template <class Paged>
class forked_sequences {
 public:
  /// A new sequence, empty or a fork of an earlier one that was cut back: m then holds its tokens.
  Paged& add(member& m, typename Paged::Pool& pool, random_source& random) {
    members_.push_back(&m);
    if (sequences_.empty() || random.chance(0.4)) return sequences_.emplace_back(pool);
    const auto which = static_cast<std::size_t>(random.integer(0, std::ssize(sequences_) - 1));
    const member& before = *members_[which];
    const Eigen::Index shared = random.integer(0, std::min(m.kv_len, before.kv_len));
    Paged& fork = sequences_.emplace_back(sequences_[which].fork());
    fork.truncate(shared);
    forks_ += shared > 0;
    copy_tokens(before.k, m.k, shared);
    copy_tokens(before.v, m.v, shared);
    return fork;
  }

  /// How many share a token.
  int forks() const { return forks_; }

 private:
  static void copy_tokens(const tensor<float>& from, tensor<float>& to, Eigen::Index count) {
    for (Eigen::Index t = 0; t < count; ++t)
      for (Eigen::Index h = 0; h < to.heads(); ++h)
        std::copy_n(from.view().row(t, h), to.dim(), to.view().row(t, h));
  }

  std::deque<Paged> sequences_;
  std::vector<const member*> members_;  // of sequences_
  int forks_ = 0;
};

/// Puts tokens into caches and onto pages.
template <class Stored, class StoredValue>
class store {
 public:
  using Contiguous =
      headroom::kv_cache<Stored, Eigen::Dynamic, Eigen::Dynamic, Eigen::Dynamic, StoredValue>;
  using Paged =
      headroom::paged_cache<Stored, Eigen::Dynamic, Eigen::Dynamic, Eigen::Dynamic, StoredValue>;
  using Scattered = scattered_pages<Stored, StoredValue>;
  using Source = any_source<Contiguous, Paged, typename Scattered::View>;
  using Tokens = headroom::selected_tokens<Source, int>;
  using Blocks = headroom::selected_blocks<Source, int>;

  store(const batch_shape& s, Eigen::Index most_tokens, random_source& random,
        serving_summary& done)
      : shape_(s),
        random_(random),
        done_(done),
        page_tokens_(random.pick<Eigen::Index>({1, 2, 5, 16, 16, 64})),
        pool_(most_tokens / page_tokens_ + 12, page_tokens_, s.KV_groups, s.qk_dim, s.v_dim) {
    const problem<> token({0, 1, s.KV_groups, s.KV_groups, s.qk_dim, s.v_dim});
    scramble<Paged>(pool_, random, [&](Paged& to) { to.append(token.keys(), token.values()); });
    poison(pool_);
  }

  /// A source of a random kind. One on pages of the pool may begin with another one's tokens: m
  /// then holds these.
  const Source& add(member& m, const auto& mask) {
    const Eigen::Index kind = random_.integer(0, 2);
    ++done_.sources[static_cast<std::size_t>(kind)];
    if (kind == 1) return paged(m);
    poison_unseen(m.k.view(), m.v.view(), mask, m.q_len, shape_.Q_heads, m.position());
    return kind == 0 ? contiguous(m) : scattered(m);
  }

  /// How many sequences have pages of others.
  int forks() const { return paged_.forks(); }

 private:
  template <class Cache>
  void append(Cache& cache, const member& m, Eigen::Index begin) {
    while (begin < m.kv_len) {
      const Eigen::Index end =
          std::min(m.kv_len, begin + random_.integer(1, 2 * page_tokens_ + 40));
      cache.append(m.k.view().slice_tokens(begin, end), m.v.view().slice_tokens(begin, end));
      begin = end;
    }
  }

  const Source& contiguous(const member& m) {
    const Eigen::Index capacity = m.kv_len + 3;
    Contiguous& cache =
        contiguous_.emplace_back(capacity, shape_.KV_groups, shape_.qk_dim, shape_.v_dim);
    const tensor<float> k(capacity, shape_.KV_groups, shape_.qk_dim);  // NaN
    const tensor<float> v(capacity, shape_.KV_groups, shape_.v_dim);
    cache.append(k.view(), v.view());
    cache.clear();
    append(cache, m, 0);
    return sources_.emplace_back(cache);
  }

  const Source& paged(member& m) {
    Paged& sequence = paged_.add(m, pool_, random_);
    append(sequence, m, sequence.tokens());
    return sources_.emplace_back(sequence);
  }

  const Source& scattered(const member& m) {
    const Eigen::Index page_tokens = random_.pick<Eigen::Index>({1, 3, 8, 16, 128});
    const Scattered& pages = scattered_.emplace_back(m.k.view(), m.v.view(), page_tokens, random_);
    return sources_.emplace_back(views_.emplace_back(pages.view()));
  }

  const batch_shape shape_;
  random_source& random_;
  serving_summary& done_;
  Eigen::Index page_tokens_;
  typename Paged::Pool pool_;
  std::deque<Contiguous> contiguous_;
  forked_sequences<Paged> paged_;
  std::deque<Scattered> scattered_;
  std::deque<typename Scattered::View> views_;
  std::deque<Source> sources_;
};

}  // namespace headroom_tests
