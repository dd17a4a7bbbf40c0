// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/kernels/outer.hpp>
#include <headroom/detail/packet.hpp>

#include <algorithm>

// The micro-kernel of products with few rows, too few to fill the lanes of a packet: channels stand
// in the lanes, and each key is read once, from memory, for all rows.
//
//   scores[keys, rows] = keys[keys, dim] queries[rows, dim]^T
//
// Register tile: as many keys as give 8 sums or one packet of sums, whichever is more; whole
// packets of sums are then added up across lanes by one transposition.

namespace headroom::inline HEADROOM_ISA::detail {

/// More rows than this fill half a packet, and outer products are faster.
inline constexpr int most_dot_rows = std::max(1, lanes / 2);

/// Keys of the register tile; rows is a power of two. One row is in no need of more sums than four,
/// since the processor works on several keys at once as it is, and rows read to their end are what
/// it foresees best.
constexpr int dot_keys(int rows) {
  return rows == 1 ? 4 : std::max(8, lanes) / rows;
}

template <int rows, int keys, class Number>
void dot_tile(const float* q, const Number* const* k, Index dim, float* scores) {
  constexpr int sums = rows * keys;
  packet sum[sums];
  unroll<sums>([&](auto i) HEADROOM_ALWAYS_INLINE { sum[i] = broadcast(0.f); });
  Index d = 0;
  for (; d + lanes <= dim; d += lanes) {
    packet key[keys];
    unroll<keys>([&](auto j) HEADROOM_ALWAYS_INLINE {
      key[j] = load(k[j] + d);
      if constexpr (rows > 1) keep(key[j]);
    });
    unroll<rows>([&](auto r) HEADROOM_ALWAYS_INLINE {
      packet query = load(q + r * dim + d);
      keep(query);
      unroll<keys>([&](auto j) HEADROOM_ALWAYS_INLINE {
        sum[j * rows + r] = multiply_add(query, key[j], sum[j * rows + r]);
      });
    });
  }
  if constexpr (sums % lanes == 0) {
    unroll<sums / lanes>([&](auto part) HEADROOM_ALWAYS_INLINE {
      square packets;
      unroll<lanes>([&](auto i)
                        HEADROOM_ALWAYS_INLINE { packets.packet[i] = sum[part * lanes + i]; });
      store(scores + part * lanes, sums_of(packets));
    });
  } else {
    unroll<sums>([&](auto i) HEADROOM_ALWAYS_INLINE { scores[i] = sum_of(sum[i]); });
  }
  for (; d < dim; ++d)
    for (int i = 0; i < sums; ++i)
      scores[i] += q[i % rows * dim + d] * static_cast<float>(k[i / rows][d]);
}

/// scores[keys, rows] = k[keys, dim] q[rows, dim]^T. Before keys [begin, end) are read,
/// ahead(begin, end) may ask for memory that is wanted soon.
template <int rows, class Number, class Ahead>
void dot_product(const float* q, const scattered<Number>& k, Index count, Index dim, float* scores,
                 const Ahead& ahead) {
  constexpr int keys = dot_keys(rows);
  Index j = 0;
  for (; j + keys <= count; j += keys) {
    ahead(j, j + keys);
    dot_tile<rows, keys>(q, k.rows + j, dim, scores + j * rows);
  }
  for (; j < count; ++j) {
    ahead(j, j + 1);
    dot_tile<rows, 1>(q, k.rows + j, dim, scores + j * rows);
  }
}

}  // namespace headroom::inline HEADROOM_ISA::detail
