// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: attention over a ring is attention over a cache of all tokens, under the same mask and the
// ring's window and prefix, whatever the chunks that the tokens came in, what was taken back and
// which keys were written anew. Until a token leaves the window it is the same bits; always, those
// of a cache that holds what the ring keeps. On pages the same, whatever forks do, and no more
// pages are taken than its capacity is.
#include <headroom/attention.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/page_pool.hpp>
#include <headroom/paged_cache.hpp>
#include <headroom/ring_cache.hpp>

#include <algorithm>

#include "support/catch.hpp"
#include "support/codec_laws.hpp"
#include "support/pages.hpp"
#include "support/problem.hpp"

namespace hr = headroom;
using namespace headroom_tests;
using Eigen::Index;

namespace {

constexpr int any = Eigen::Dynamic;

// Causal or not, a narrower window, holes, a score that depends on the distance: by position.
struct any_mask : hr::mask_defaults {
  static constexpr bool modifies_scores = true;

  bool causal = true;
  Index window = 1 << 20;
  bool holes = false;
  float slope = 0;

  hr::key_range keys(const hr::query_row& row) const {
    return {row.position - window + 1, causal ? row.position + 1 : row.kv_len, !holes};
  }
  bool visible(const hr::query_row& row, Index key) const {
    return (row.head + row.position + key) % 5 != 0;
  }
  template <class Score>
  Score modify(Score score, const hr::query_row& row, Index key) const {
    return score - static_cast<Score>(slope) * static_cast<Score>(row.position - key);
  }
};

any_mask random_mask(random_source& random, Index window) {
  any_mask mask;
  mask.causal = random.chance(0.8);
  if (random.chance(0.2)) mask.window = random.integer(1, window + 3);
  mask.holes = random.chance(0.3);
  if (random.chance(0.3)) mask.slope = 0.125f;
  return mask;
}

// Which tokens a ring has in memory, kept as a list of slots.
struct ring_model {
  hr::ring_shape shape;
  std::vector<Index> slots;
  Index seen = 0;

  explicit ring_model(const hr::ring_shape& s)
      : shape(s), slots(static_cast<std::size_t>(s.window + s.chunk - 1), -1) {}

  Index& slot(Index t) { return slots[static_cast<std::size_t>(t - shape.prefix) % slots.size()]; }
  void append(Index count) {
    for (; count > 0; --count, ++seen)
      if (seen >= shape.prefix) slot(seen) = seen;
  }
  // Whether the tokens from `first` to `end` are there.
  bool stores(Index first, Index end) {
    for (Index t = std::max(shape.prefix, first); t < end; ++t)
      if (slot(t) != t) return false;
    return true;
  }
  // Whether those are that the query at `position` sees before `end`.
  bool holds(Index position, Index end) { return stores(position - shape.window + 1, end); }
};

template <class Scalar, class Source, class Mask>
answer<Scalar> attend_to(hr::view<const Scalar> q, const Source& source, const Mask& mask,
                         std::optional<Index> first_position = std::nullopt) {
  answer<Scalar> result{{q.tokens(), q.heads(), source.v_dim()}, {q.tokens(), q.heads(), 1}};
  const any_attention heads(q.heads(), source.groups(), source.qk_dim(), source.v_dim());
  heads(q, source, result.out.view(), mask,
        {.lse = result.lse.per_head(), .first_position = first_position});
  return result;
}

// Where rings are made: memory of their own, or pages of a pool that has enough for one and a fork.
template <class Stored, class StoredValue>
struct in_one_piece {
  using Ring = hr::ring_cache<hr::kv_cache<Stored, any, any, any, StoredValue>>;
  static constexpr Index least_window = 1;

  in_one_piece(random_source&, const hr::ring_shape& shape, Index groups, Index qk_dim, Index v_dim)
      : ring(shape, groups, qk_dim, v_dim) {
    REQUIRE(ring.capacity() == hr::ring_tokens(shape.window, shape.prefix, shape.chunk));
  }
  template <class Rows>
  void disturb(const Rows&, const Rows&) {}

  Ring ring;
};

template <class Stored, class StoredValue>
struct on_pages {
  using Cache = hr::paged_cache<Stored, any, any, any, StoredValue>;
  using Ring = hr::ring_cache<Cache>;
  static constexpr Index least_window = 2;  // of 1 a page is given up that may be gone back to

  on_pages(random_source& random, const hr::ring_shape& shape, Index groups, Index qk_dim,
           Index v_dim)
      : on_pages(random.pick<Index>({1, 2, 3, 16, 16, 32}), shape, groups, qk_dim, v_dim) {}
  on_pages(Index page_tokens, const hr::ring_shape& shape, Index groups, Index qk_dim, Index v_dim)
      : pool(2 * pages(page_tokens, shape), page_tokens, groups, qk_dim, v_dim), ring(shape, pool) {
    poison(pool);
    REQUIRE(ring.capacity() <= page_tokens * pages(page_tokens, shape));
  }

  // A prefix in whole pages; a window, what may be taken back and a chunk that comes, from the last
  // token of a page on.
  static Index pages(Index page_tokens, const hr::ring_shape& shape) {
    const auto of = [&](Index tokens) { return (tokens + page_tokens - 1) / page_tokens; };
    return of(shape.prefix) + of(shape.window + 2 * shape.chunk - 2 + page_tokens);
  }

  template <class Rows>
  void disturb(const Rows& k, const Rows& v) {
    Ring fork = ring.fork();
    fork.append(k, v);
    std::swap(fork, ring);
    ring = std::move(fork);
    REQUIRE(pool.pages_shared() == 0);
  }

  typename Cache::Pool pool;
  Ring ring;
};

/// `count` rings, each through several turns.
template <class Scalar, class Stored, class StoredValue = Stored,
          template <class, class> class Where = in_one_piece>
void run(std::uint64_t seed, int count) {
  using Full = hr::kv_cache<Stored, any, any, any, StoredValue>;
  Index wraps = 0, dropped_and_kept = 0, keys_written = 0, refused = 0;
  for (int i = 0; i < count; ++i, ++seed) {
    random_source random(seed);
    hr::ring_shape shape{.window = random.pick<Index>({1, 2, 3, 5, 16, 31, 64, 96, 97, 130}),
                         .prefix = random.pick<Index>({0, 0, 1, 4, 7, 20}),
                         .chunk = random.pick<Index>({1, 1, 2, 3, 8, 33, 70, 150})};
    if (i % 16 == 0) shape.window = 1600;  // a decode step is split
    using Place = Where<Stored, StoredValue>;
    shape.window = std::max(shape.window, Place::least_window);
    const Index turn = hr::ring_tokens(shape.window, 0, shape.chunk);
    const Index groups = random.integer(1, 3);
    const Index total = shape.prefix + random.integer(2 * turn, i % 16 == 0 ? 2 * turn : 5 * turn);
    const problem<Scalar> p({shape.chunk, total, groups * random.integer(1, 4), groups,
                             random.pick<Index>({3, 8, 16, 33}), random.pick<Index>({5, 16, 24})},
                            seed);
    INFO("seed " << seed << ", window " << shape.window << ", prefix " << shape.prefix << ", chunk "
                 << shape.chunk << ", groups " << groups << ", width " << p.k.dim());
    Place place(random, shape, groups, p.k.dim(), p.v.dim());
    auto& ring = place.ring;
    Full full(total, groups, p.k.dim(), p.v.dim());
    ring_model model(shape);
    tensor<Scalar> keys(p.k);  // of which some are written anew

    Index most_seen = 0;
    // A few calls, about evenly over the tokens.
    const Index pause = total / random.integer(3, 8) + 1;
    for (Index next_call = 0; ring.tokens() < total;) {
      const Index t = ring.tokens();
      const Index chunk =
          std::min(random.chance(0.5) ? shape.chunk : random.integer(0, shape.chunk), total - t);
      const hr::view<const Scalar> k = keys.view().slice_tokens(t, t + chunk);
      const auto v = p.values().slice_tokens(t, t + chunk);
      ring.append(k, v);
      full.append(k, v);
      model.append(chunk);
      REQUIRE(ring.tokens() == model.seen);
      most_seen = std::max(most_seen, model.seen);
      if (chunk > 0 && random.chance(0.2)) place.disturb(k, v);

      if (random.chance(0.2)) {
        const Index left = std::max<Index>(0, ring.tokens() - random.integer(0, 2 * shape.chunk));
        if (left <= shape.prefix || model.holds(left, left)) {
          ring.truncate(left);
          full.truncate(left);
          model.seen = left;
        } else {
          REQUIRE(most_seen - left > shape.chunk);
          REQUIRE_THROWS_AS(ring.truncate(left), std::invalid_argument);
          ++refused;
        }
        REQUIRE(ring.tokens() == model.seen);
      }
      if (random.chance(0.2)) {
        const Index first = random.chance(0.5) ? 0 : random.integer(0, ring.tokens());
        const Index last = random.integer(first, std::min(ring.tokens(), first + turn));
        const auto written = p.keys().slice_tokens(total - (last - first), total);
        if (last <= shape.prefix || model.stores(first, last)) {
          ring.write_keys(first, written);
          full.write_keys(first, written);
          for (Index token = first; token < last; ++token)
            for (Index g = 0; g < groups; ++g)
              std::copy_n(written.row(token - first, g), p.k.dim(), keys.view().row(token, g));
          ++keys_written;
        } else {
          REQUIRE_THROWS_AS(ring.write_keys(first, written), std::invalid_argument);
          ++refused;
        }
      }
      if (ring.tokens() < next_call || ring.tokens() == 0) continue;
      next_call = ring.tokens() + pause;

      // Queries of the last chunk, or some of them, or of before where the ring still has it.
      const Index q_len = random.integer(1, std::max<Index>(chunk, 1));
      const Index position = ring.tokens() - q_len - random.integer(0, 2);
      const auto q = p.queries().slice_tokens(0, q_len);
      const any_mask mask = random_mask(random, shape.window);
      INFO("q_len " << q_len << " at " << position << " of " << ring.tokens());
      if (!model.holds(position, ring.tokens())) {
        REQUIRE_THROWS_AS(attend_to(q, ring, mask, position), std::invalid_argument);
        ++refused;
        continue;
      }
      const auto got = attend_to(q, ring, mask, position);
      const auto windowed = mask & (hr::sliding_window(shape.window) | hr::prefix(shape.prefix));
      hr::attention_options<Scalar> options;
      options.first_position = position;
      const decoded_source numbers(full);
      REQUIRE(error_ratio(got, exact_attention<Scalar>(
                                   q, numbers.keys(), numbers.values(), windowed, options, 0,
                                   rounding_of_codecs<Scalar, typename Full::KeyCodec,
                                                      typename Full::ValueCodec>())) <= 1);

      const auto kept = ring.kept(q_len, position);
      if (kept.tokens() == ring.tokens()) {
        REQUIRE(same_bits(got, attend_to(q, full, windowed, position)));
      } else if (i % 2) {
        Full alone(kept.tokens(), groups, p.k.dim(), p.v.dim());
        for (Index j = 0; j < kept.tokens(); ++j) {
          const Index token = kept.token(j);
          REQUIRE(kept.place(token) == j);
          alone.append(keys.view().slice_tokens(token, token + 1),
                       p.values().slice_tokens(token, token + 1));
        }
        REQUIRE(same_bits(got, attend_to(q, alone, kept.masked(mask), kept.first_position())));
        ++dropped_and_kept;
      }
    }
    wraps += most_seen / (shape.prefix + turn);
  }
  CHECK(wraps > 2 * count);
  CHECK(dropped_and_kept > count / 2);
  CHECK(keys_written > count);
  CHECK(refused > 0);
}

}  // namespace

TEST_CASE("keys and values in float") {
  run<float, float>(700'000, 160);
}

TEST_CASE("in 16 bits") {
  run<float, Eigen::bfloat16>(710'000, 100);
}

TEST_CASE("in 8 bits") {
  run<float, hr::int8_blocks>(720'000, 100);
}

TEST_CASE("keys in one codec, values in another, computed in double") {
  run<double, hr::int8_rows, Eigen::half>(730'000, 60);
}

TEST_CASE("on pages, in float") {
  run<float, float, float, on_pages>(740'000, 120);
}

TEST_CASE("on pages, in 8 bits and 16") {
  run<double, hr::int8_rows, Eigen::half, on_pages>(750'000, 60);
}
