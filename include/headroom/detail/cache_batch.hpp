// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/batch_sequence.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/nesting.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/detail/scratch_list.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/mask.hpp>
#include <headroom/parallel.hpp>
#include <headroom/view.hpp>

#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

// Caches around others in one attend_batch: what the member attend of each would do before and
// after a call of its own is done for all of them.

namespace headroom::inline HEADROOM_ISA::detail {

// A cache that changes queries and outputs: rotated_cache, scaled_cache.
template <class C>
concept changes_queries = wrapping_cache<C> &&
    requires(const C& cache, const view<float>& rows, Index h) {
  cache.prepare_queries(rows, h);
  cache.restore_outputs(rows, h);
};

// The cache in those that change queries.
template <class Cache>
const auto& innermost(const Cache& cache) {
  if constexpr (changes_queries<Cache>)
    return innermost(cache.stored());
  else
    return cache;
}
template <class Cache>
using innermost_of = std::remove_cvref_t<decltype(innermost(std::declval<const Cache&>()))>;

/// Whether such caches go into a batch: not where one is a user's, around another, and only its
/// attend knows what it does.
template <class Cache>
concept batched_cache = kv_source<innermost_of<Cache>> || keeps_some<innermost_of<Cache>>;

// What a call over the innermost cache reads, and under which mask.
template <class Inner, attention_mask Mask_>
struct batch_read {
  using Source = Inner;
  using Mask = Mask_;
};
template <keeps_some Inner, attention_mask Mask_>
struct batch_read<Inner, Mask_> {
  using Source = decltype(std::declval<const Inner&>().kept(0));
  using Mask = decltype(std::declval<const Source&>().masked(std::declval<Mask_>()));
};

/// The sequences of an attend_batch over caches; between prepare and restore, of queries and
/// outputs that lie as those of the call.
template <batched_cache Cache, attention_mask Mask>
class cache_batch {
  using Inner = innermost_of<Cache>;
  using Read = batch_read<Inner, Mask>;

 public:
  using Sequence = batch_sequence<typename Read::Source, typename Read::Mask>;

  /// Room for `most` caches in memory that outlives the batch.
  cache_batch(Index most, scratch& memory)
      : caches_(memory.take<const Cache*>(most)),
        kept_(keeps_some<Inner> ? most : 0, memory),
        sequences_(most, memory) {}

  /// q_len queries, of the last tokens of a cache that outlives the batch.
  void add(const Cache& cache, [[maybe_unused]] Index q_len, const Mask& mask) {
    caches_[sequences_.all().size()] = &cache;
    const Inner& inner = innermost(cache);
    if constexpr (keeps_some<Inner>) {
      const auto& kept = kept_.emplace_back(inner.kept(q_len));
      sequences_.emplace_back(kept, kept.masked(mask), kept.first_position());
    } else {
      sequences_.emplace_back(inner, mask);
    }
  }

  std::span<const Sequence> sequences() const { return sequences_.all(); }

  /// Queries, [offsets[i], offsets[i+1]) over cache i, as what these hold needs them; in place.
  template <class Scalar, executor Executor>
  void prepare(const view<Scalar>& q, std::span<const Index> offsets,
               const Executor& executor) const {
    if constexpr (changes_queries<Cache>)
      for_each_head(q, offsets, executor, [](const Cache& cache, const auto& rows, Index h) {
        prepare_queries(cache, rows, h);
      });
  }
  /// And outputs back.
  template <class Scalar, executor Executor>
  void restore(const view<Scalar>& out, std::span<const Index> offsets,
               const Executor& executor) const {
    if constexpr (changes_queries<Cache>)
      for_each_head(out, offsets, executor, [](const Cache& cache, const auto& rows, Index h) {
        restore_outputs(cache, rows, h);
      });
  }

 private:
  template <class Scalar, class Executor, class F>
  void for_each_head(const view<Scalar>& rows, std::span<const Index> offsets,
                     const Executor& executor, const F& f) const {
    executor(rows.heads(), [&](Index h) {
      for (std::size_t i = 0; i < sequences_.all().size(); ++i)
        f(*caches_[i], rows.slice_tokens(offsets[i], offsets[i + 1]), h);
    });
  }

  template <class C, class Rows>
  static void prepare_queries(const C& cache, const Rows& q, Index h) {
    cache.prepare_queries(q, h);
    if constexpr (changes_queries<stored_in<C>>) prepare_queries(cache.stored(), q, h);
  }
  template <class C, class Rows>
  static void restore_outputs(const C& cache, const Rows& out, Index h) {
    if constexpr (changes_queries<stored_in<C>>) restore_outputs(cache.stored(), out, h);
    cache.restore_outputs(out, h);
  }

  const Cache** caches_;
  scratch_list<typename Read::Source> kept_;
  scratch_list<Sequence> sequences_;
};

}  // namespace headroom::inline HEADROOM_ISA::detail
