// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/codec.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/matmul.hpp>
#include <headroom/detail/row_block.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/kv_source.hpp>

#include <algorithm>
#include <concepts>

namespace headroom::inline HEADROOM_ISA::detail {

/// Reads tiles of keys and values from a source: in place where they lie there as numbers to
/// compute with and in one run, else decoded into scratch memory.
template <class Scalar, kv_source Source>
class tile_reader {
 public:
  tile_reader(const Source& source, Index group, scratch& memory)
      : source_(source),
        group_(group),
        keys_(memory.take<Scalar>(tile_keys * source.qk_dim())),
        values_(memory.take<Scalar>(tile_keys * source.v_dim())) {}

  /// Keys of tokens [begin, end), at most tile_keys of them; valid until the next call.
  tile<Scalar> keys(Index begin, Index end) const {
    return read<typename Source::KeyCodec>(
        [&](Index from) { return source_.keys(group_, from, end); }, begin, end, source_.qk_dim(),
        keys_);
  }

  /// Values of the same tokens.
  tile<Scalar> values(Index begin, Index end) const {
    return read<typename Source::ValueCodec>(
        [&](Index from) { return source_.values(group_, from, end); }, begin, end, source_.v_dim(),
        values_);
  }

 private:
  template <class Codec, class Runs>
  static tile<Scalar> read(const Runs& runs, Index begin, Index end, Index dim, Scalar* decoded) {
    if constexpr (std::same_as<Codec, scalar_codec<Scalar>>) {
      const auto run = runs(begin);
      // A stride below the width (a broadcast, or rows in reverse) is more than a product takes.
      if (run.tokens == end - begin && run.stride >= dim) return {run.rows, run.stride};
    }
    for (Index j = begin; j < end;) {
      const auto run = runs(j);
      for (Index i = 0; i < run.tokens; ++i, ++j)
        Codec::decode(run.rows + i * run.stride, decoded + (j - begin) * dim, dim);
    }
    return {decoded, dim};
  }

  const Source& source_;
  Index group_;
  Scalar* keys_;
  Scalar* values_;
};

/// Takes keys [begin, end) of `group` into a block of rows, tile by tile. Tiles start at multiples
/// of tile_keys, so that the same keys always fall into the same tiles.
template <class Block, kv_source Source>
void add_keys(const Block& block, const Source& source, Index group, Index begin, Index end,
              scratch& memory) {
  const tile_reader<typename Block::Scalar, Source> reader(source, group, memory);
  begin = std::max(begin, block.begin());
  end = std::min(end, block.end());
  while (begin < end) {
    const Index next = std::min((begin / tile_keys + 1) * tile_keys, end);
    const auto keys = reader.keys(begin, next);
    block.add_tile(begin, next - begin, keys, reader.values(begin, next));
    begin = next;
  }
}

}  // namespace headroom::inline HEADROOM_ISA::detail
