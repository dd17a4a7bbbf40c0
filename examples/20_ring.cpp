// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// A context without end, in constant memory. Where queries see a window and the first few tokens
// (StreamingLLM), what has left the window need not be kept: a ring_cache writes new tokens over
// the oldest, and reads as a cache of everything would under that mask. Rotated keys keep the
// positions of the whole context. For a model that must not meet distances longer than it was
// trained for, the first tokens follow the window, their keys written anew; or the middle of a
// kv_cache is dropped now and then, and what is behind it turned back.
#include <headroom/attention.hpp>
#include <headroom/context_shift.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/ring_cache.hpp>
#include <headroom/rope.hpp>

#include <stdexcept>

#include "ladder.hpp"

constexpr Index Q_heads = 8, KV_groups = 2, dim = 32;
constexpr Index tokens = 5000, window = 256, kept = 4, chunk = 100;
using Cache = headroom::kv_cache<float, KV_groups, dim>;

// Columns of rotated numbers, as they would come out of a model's projections.
Matrix rotated(const headroom::rope& rotate, Matrix rows, Index heads, Index position) {
  rotate(headroom::as_view(rows, heads), position);
  return rows;
}

int main() {
  const headroom::gqa<Q_heads, KV_groups, dim> attend;
  const headroom::rope rotate(dim);
  const Matrix q = Matrix::Random(tokens, Q_heads * dim);
  const Matrix k = Matrix::Random(tokens, KV_groups * dim);
  const Matrix v = Matrix::Random(tokens, KV_groups * dim);
  const Matrix turned_q = rotated(rotate, q, Q_heads, 0),
               turned_k = rotated(rotate, k, KV_groups, 0);

  // Chunk by chunk, over all tokens under a mask and over those that are kept.
  headroom::ring_cache<Cache> ring({.window = window, .prefix = kept, .chunk = chunk});
  Cache full(tokens);
  const auto windowed =
      headroom::causal{} & (headroom::sliding_window{window} | headroom::prefix{kept});
  Matrix over_ring(tokens, Q_heads * dim), over_all(tokens, Q_heads * dim);
  for (Index t = 0; t < tokens; t += chunk) {
    ring.append(turned_k.middleRows(t, chunk), v.middleRows(t, chunk));
    full.append(turned_k.middleRows(t, chunk), v.middleRows(t, chunk));
    const auto queries = turned_q.middleRows(t, chunk);
    attend(queries, ring, over_ring.middleRows(t, chunk), headroom::causal{});
    attend(queries, full, over_all.middleRows(t, chunk), windowed);
  }
  bool holds = agree("a window over a ring, and over all tokens", over_ring, over_all);
  std::printf("after %td tokens the ring takes %td KiB, a cache of all %td\n", ring.tokens(),
              ring.capacity() * ring.bytes_per_token() / 1024,
              full.capacity() * full.bytes_per_token() / 1024);
  holds &= 10 * ring.capacity() < full.capacity();

  // StreamingLLM's positions: those among the tokens that the last query sees, as in a cache of
  // these alone. The first tokens stand right before the window, by turning on as many positions
  // as are between.
  constexpr Index seen = kept + window, between = tokens - seen;
  ring.write_keys(0, rotated(rotate, k.topRows(kept), KV_groups, between));
  Matrix k_seen(seen, KV_groups * dim), v_seen(seen, KV_groups * dim);
  k_seen << k.topRows(kept), k.bottomRows(window);
  v_seen << v.topRows(kept), v.bottomRows(window);
  Cache alone(seen);
  alone.append(rotated(rotate, k_seen, KV_groups, 0), v_seen);
  Matrix streamed(1, Q_heads * dim), over_alone(1, Q_heads * dim);
  attend(turned_q.bottomRows(1), ring, streamed, headroom::causal{});
  attend(rotated(rotate, q.bottomRows(1), Q_heads, seen - 1), alone, over_alone,
         headroom::causal{});
  holds &= agree("positions among the kept tokens, in a ring and in a cache of these", streamed,
                 over_alone);

  // What it can no longer answer it refuses: tokens that the next query would see are gone.
  bool refused = false;
  try {
    ring.truncate(tokens / 2);
  } catch (const std::invalid_argument& error) {
    std::puts(error.what());
    refused = ring.tokens() == tokens;
  }

  // Context shift. A cache that is full loses half its tokens, all but the first few; the keys
  // behind the gap turn back, as if their tokens had come right after those.
  constexpr Index room = 600, dropped = 300, left = room - dropped;
  Cache shifted(room);
  shifted.append(turned_k.topRows(room), v.topRows(room));
  headroom::shift_context(shifted, kept, dropped, rotate);
  std::printf("%td tokens of %td are left\n", shifted.tokens(), room);

  // The same from the beginning: the tokens that are left, rotated to where they stand now.
  Matrix k_left(left, KV_groups * dim), v_left(left, KV_groups * dim);
  k_left << k.topRows(kept), k.middleRows(kept + dropped, left - kept);
  v_left << v.topRows(kept), v.middleRows(kept + dropped, left - kept);
  Cache anew(room);
  anew.append(rotated(rotate, k_left, KV_groups, 0), v_left);

  const Matrix next = rotated(rotate, q.row(room), Q_heads, left);
  const Matrix next_k = rotated(rotate, k.row(room), KV_groups, left);
  Matrix over_shifted(1, Q_heads * dim), over_anew(1, Q_heads * dim);
  shifted.append(next_k, v.row(room));
  anew.append(next_k, v.row(room));
  attend(next, shifted, over_shifted, headroom::causal{});
  attend(next, anew, over_anew, headroom::causal{});
  holds &=
      agree("the next token after a shift, and in a cache filled anew", over_shifted, over_anew);
  return verdict(holds && refused);
}
