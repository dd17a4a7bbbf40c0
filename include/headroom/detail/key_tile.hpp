// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/codec.hpp>
#include <headroom/detail/block.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/rows_to_come.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/detail/tile.hpp>
#include <headroom/kv_source.hpp>

#include <algorithm>
#include <concepts>

namespace headroom::inline HEADROOM_ISA::detail {

/// Reads tiles of keys and values from a source: in place where they lie there in one run, or in a
/// few that are joined, as numbers that the reader takes; else copied into scratch memory, decoded
/// if it must be.
///
/// \tparam Reader  as reads_scalar; a block of rows is one
template <class Reader, kv_source Source>
class tile_reader {
 public:
  using Key = typename number_read<Reader, typename Source::KeyCodec>::type;
  using Value = typename number_read<Reader, typename Source::ValueCodec>::type;

  tile_reader(const Source& source, Index group, scratch& memory)
      : source_(source),
        group_(group),
        keys_(memory.take<Key>(tile_keys * source.qk_dim())),
        values_(memory.take<Value>(in_keys ? 0 : tile_keys * source.v_dim())),
        key_parts_(memory.take<key_part>(has_one_run<Source> ? 0 : most_parts)),
        value_parts_(memory.take<value_part>(has_one_run<Source> || in_keys ? 0 : most_parts)) {}

  /// Keys of tokens [begin, end), at most tile_keys of them; valid until the next call.
  tile<Key> keys(Index begin, Index end) const {
    return read<typename Source::KeyCodec>(
        [&](Index from) { return source_.keys(group_, from, end); }, begin, end, source_.qk_dim(),
        keys_);
  }

  /// Values of the same tokens, whose keys are these.
  tile<Value> values(Index begin, Index end, [[maybe_unused]] const tile<Key>& keys) const {
    if constexpr (in_keys)
      return keys;
    else
      return read<typename Source::ValueCodec>(
          [&](Index from) { return source_.values(group_, from, end); }, begin, end,
          source_.v_dim(), values_);
  }

  /// The same keys where they lie, also if that is in several runs: a tile, or joined ones if the
  /// source may have more than a run.
  auto joined_keys(Index begin, Index end) const {
    if constexpr (has_one_run<Source>)
      return keys(begin, end);
    else
      return join<typename Source::KeyCodec, Key>(
          [&](Index from) { return source_.keys(group_, from, end); },
          [&] { return keys(begin, end); }, begin, end, source_.qk_dim(), key_parts_);
  }

  /// Their values.
  template <class Keys>
  auto joined_values(Index begin, Index end, [[maybe_unused]] const Keys& joined) const {
    if constexpr (in_keys)
      return joined;
    else if constexpr (has_one_run<Source>)
      return values(begin, end, joined);
    else
      return join<typename Source::ValueCodec, Value>(
          [&](Index from) { return source_.values(group_, from, end); },
          [&] { return values(begin, end, {}); }, begin, end, source_.v_dim(), value_parts_);
  }

  /// The keys of tokens [begin, end), if there are any; valid while the reader is.
  rows_to_come keys_to_come(Index begin, Index end) const {
    const auto find = [](const void* reader, Index from, Index to) {
      const tile_reader& of = *static_cast<const tile_reader*>(reader);
      return in_bytes(of.source_.keys(of.group_, from, to));
    };
    return {this, find, begin, end, row_bytes<typename Source::KeyCodec>(source_.qk_dim())};
  }

  /// Their values.
  rows_to_come values_to_come(Index begin, Index end) const {
    const auto find = [](const void* reader, Index from, Index to) {
      const tile_reader& of = *static_cast<const tile_reader*>(reader);
      return in_bytes(of.source_.values(of.group_, from, to));
    };
    return {this, find, begin, end, row_bytes<typename Source::ValueCodec>(source_.v_dim())};
  }

 private:
  template <class Storage>
  static rows_to_come::run in_bytes(const token_run<Storage>& run) {
    return {reinterpret_cast<const char*>(run.rows),
            run.stride * static_cast<Index>(sizeof(Storage)), run.tokens};
  }

  template <class Codec, class Runs, class Number>
  static tile<Number> read(const Runs& runs, Index begin, Index end, Index dim, Number* copy) {
    constexpr bool stored = std::same_as<Codec, scalar_codec<Number>>;
    if constexpr (stored) {
      const auto run = runs(begin);
      // A stride below the width (a broadcast, or rows in reverse) is more than a product takes.
      if (run.tokens == end - begin && run.stride >= dim) return {run.rows, run.stride};
    }
    for (Index j = begin; j < end;) {
      const auto run = runs(j);
      eigen_assert(1 <= run.tokens && run.tokens <= end - j && "a run is no longer than asked for");
      for (Index i = 0; i < run.tokens; ++i, ++j) {
        const auto* const row = run.rows + i * run.stride;
        if constexpr (stored)
          std::copy(row, row + dim, copy + (j - begin) * dim);
        else
          Codec::decode(row, copy + (j - begin) * dim, dim);
      }
    }
    return {copy, dim};
  }

  // Runs that are joined: a product takes rows of a tile by sixes, and loses by shorter ones.
  static constexpr Index least_run = 16, most_parts = tile_keys / least_run + 1;

  template <class Codec, class Number, class Runs, class InOne>
  static joined_tiles<Number> join(const Runs& runs, const InOne& in_one, Index begin, Index end,
                                   Index dim, typename joined_tiles<Number>::part* parts) {
    if constexpr (std::same_as<Codec, scalar_codec<Number>>) {
      std::size_t count = 0;
      for (Index j = begin; count < most_parts;) {
        const auto run = runs(j);
        eigen_assert(1 <= run.tokens && run.tokens <= end - j);
        if (run.stride < dim) break;
        parts[count++] = {{run.rows, run.stride}, j - begin, j - begin + run.tokens};
        j += run.tokens;
        if (j == end) return {{parts, count}};
      }
    }
    parts[0] = {in_one(), 0, end - begin};
    return {{parts, 1}};
  }

  static constexpr bool in_keys = has_values_in_keys<Source> && std::same_as<Key, Value>;
  using key_part = typename joined_tiles<Key>::part;
  using value_part = typename joined_tiles<Value>::part;

  const Source& source_;
  Index group_;
  Key* keys_;
  Value* values_;
  key_part* key_parts_;
  value_part* value_parts_;
};

/// Takes keys [begin, end) of `group` into a block of rows, tile by tile. Tiles end at multiples of
/// tile_keys, so that the same keys always fall into the same tiles.
template <class Block, kv_source Source>
void add_keys(const Block& block, const Source& source, Index group, Index begin, Index end,
              scratch& memory) {
  const tile_reader<Block, Source> reader(source, group, memory);
  const hidden_keys& hidden = block.hidden();
  begin = hidden.past(std::max(begin, block.begin()));
  end = std::min(end, block.end());
  while (begin < end) {
    const Index next = hidden.tile_end(begin, end);
    const Index tokens = next - begin, to_come = hidden.past(next);
    if constexpr (std::derived_from<Block, reads_packets>) {
      const auto keys = reader.joined_keys(begin, next);
      // The tile after this one is asked for meanwhile, even behind `end`: the next split begins
      // with it.
      const Index after = hidden.tile_end(to_come, block.end());
      block.add_tile(begin, tokens, keys, reader.joined_values(begin, next, keys),
                     reader.keys_to_come(to_come, after), reader.values_to_come(to_come, after));
    } else {
      const auto keys = reader.keys(begin, next);
      block.add_tile(begin, tokens, keys, reader.values(begin, next, keys));
    }
    begin = to_come;
  }
}

}  // namespace headroom::inline HEADROOM_ISA::detail
