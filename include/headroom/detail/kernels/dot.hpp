// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>
#include <headroom/detail/kernels/outer.hpp>
#include <headroom/detail/lane_sums.hpp>
#include <headroom/detail/packet.hpp>

#include <algorithm>
#include <type_traits>

// The micro-kernel of products with few rows, too few to fill the lanes of a packet: channels stand
// in the lanes, and each key is read once, from memory, for all rows.
//
//   scores[keys, rows] = keys[keys, dim] queries[rows, dim]^T
//
// Register tile: as many keys as give 8 sums or one packet of sums, whichever is more; whole
// packets of sums are then added up across lanes at once. One row takes a few keys after another
// into such a tile: the processor works on several keys at once as it is, and rows read to their
// end are what it foresees best.

namespace headroom::inline HEADROOM_ISA::detail {

/// More rows than this fill half a packet, and outer products are faster.
inline constexpr int most_dot_rows = std::max(1, lanes / 2);

/// Keys of the register tile; rows is a power of two.
constexpr int dot_keys(int rows) {
  return std::max(8, lanes) / rows;
}

// The packet at d of a row: of stored numbers, or of a row that widens itself.
template <class Number>
packet load_at(const Number* row, Index d) {
  return load(row + d);
}
template <class Row>
packet load_at(const Row& row, Index d) requires(!std::is_pointer_v<Row>) {
  return row.load(d);
}

template <int rows, int keys, class Row, class Stored>
void dot_tile(const float* q, const Row* k, Index dim, float* scores, const Stored* const* ahead) {
  constexpr int sums = rows * keys;
  packet sum[sums];
  unroll<sums>([&](auto i) HEADROOM_ALWAYS_INLINE { sum[i] = broadcast(0.f); });
  constexpr int together = rows == 1 && keys % 4 == 0 ? 4 : keys;
  const Index whole = dim / lanes * lanes;
  unroll<keys / together>([&](auto part) HEADROOM_ALWAYS_INLINE {
    constexpr int first = part * together;
    for (Index d = 0; d < whole; d += lanes) {
      packet key[together];
      unroll<together>([&](auto j) HEADROOM_ALWAYS_INLINE {
        prefetch_far(ahead[first + j] + d);
        key[j] = load_at(k[first + j], d);
        if constexpr (rows > 1) keep(key[j]);
      });
      unroll<rows>([&](auto r) HEADROOM_ALWAYS_INLINE {
        packet query = load(q + r * dim + d);
        keep(query);
        unroll<together>([&](auto j) HEADROOM_ALWAYS_INLINE {
          packet& to = sum[(first + j) * rows + r];
          to = multiply_add(query, key[j], to);
        });
      });
    }
  });
  if constexpr (sums % lanes == 0) {
    unroll<sums / lanes>([&](auto part) HEADROOM_ALWAYS_INLINE {
      square packets;
      unroll<lanes>([&](auto i)
                        HEADROOM_ALWAYS_INLINE { packets.packet[i] = sum[part * lanes + i]; });
      store(scores + part * lanes, lane_sums(packets));
    });
  } else {
    unroll<sums>([&](auto i) HEADROOM_ALWAYS_INLINE { scores[i] = sum_of(sum[i]); });
  }
  for (Index d = whole; d < dim; ++d)
    for (int i = 0; i < sums; ++i)
      scores[i] += q[i % rows * dim + d] * static_cast<float>(k[i / rows][d]);
}

/// scores[keys, rows] = k[keys, dim] q[rows, dim]^T. While key j is read, memory at ahead[j] is
/// asked for.
template <int rows, class Rows, class Stored>
void dot_product(const float* q, const Rows& k, Index count, Index dim, float* scores,
                 const Stored* const* ahead) {
  constexpr int keys = dot_keys(rows);
  Index j = 0;
  for (; j + keys <= count; j += keys)
    dot_tile<rows, keys>(q, k.rows + j, dim, scores + j * rows, ahead + j);
  for (; j < count; ++j) dot_tile<rows, 1>(q, k.rows + j, dim, scores + j * rows, ahead + j);
}

}  // namespace headroom::inline HEADROOM_ISA::detail
