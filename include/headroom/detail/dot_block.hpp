// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/codec.hpp>
#include <headroom/detail/block.hpp>
#include <headroom/detail/broadcast.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/kernels/dot.hpp>
#include <headroom/detail/kernels/lane_softmax.hpp>
#include <headroom/detail/kernels/softmax.hpp>
#include <headroom/detail/kernels/weighted_sum.hpp>
#include <headroom/detail/pack.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/detail/tile.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/softmax_state.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>

namespace headroom::inline HEADROOM_ISA::detail {

/// A block of very few query rows, at most most_dot_rows: decoding. Its time is that of reading
/// keys and values, so each is read once, where it lies and as it is stored, and widened in
/// registers.
///
/// A core reads several streams faster than one, because its prefetcher follows each only to the
/// end of a page. Keys that all rows see are therefore taken from several places at a time: a step
/// is a few keys of each stream, in any order, given by their addresses.
template <class Call, kv_source Source>
class dot_block {
 public:
  dot_block(const Call& call, const stacked_rows& rows, const softmax_state<float>& state,
            const Source& source, scratch& memory)
      : call_(call),
        rows_(rows),
        state_(state),
        source_(source),
        ranges_(call, rows, memory),
        width_(static_cast<Index>(std::bit_ceil(static_cast<std::size_t>(rows.count)))),
        softmax_(width_),
        queries_(memory.take<float>(width_ * call.q.dim())),
        weights_(memory.take<float>(width_ * step_keys + lanes)),
        decoded_keys_(memory.take<float>(decodes<KeyCodec> ? step_keys * source.qk_dim() : 0)),
        decoded_values_(memory.take<float>(decodes<ValueCodec> ? step_keys * source.v_dim() : 0)) {
    stack_queries(call.q, rows, call.scale, queries_);
    std::fill(queries_ + rows.count * call.q.dim(), queries_ + width_ * call.q.dim(), 0.f);
    seen_by_all_ = {0, call.kv_len, true};
    for (Index r = 0; r < rows.count; ++r) {
      const key_range seen = ranges_.in_tile(r, 0, call.kv_len);
      seen_by_all_.begin = std::max(seen_by_all_.begin, seen.begin);
      seen_by_all_.end = std::min(seen_by_all_.end, seen.full ? seen.end : 0);
    }
  }

  /// Takes in those of keys [begin, end) that some row sees.
  void add_keys(Index begin, Index end) {
    begin = std::max(begin, ranges_.begin());
    end = std::max(begin, std::min(end, ranges_.end()));
    const Index all_begin = std::clamp(seen_by_all_.begin, begin, end);
    const Index all_end = std::clamp(seen_by_all_.end, all_begin, end);
    add_run(begin, all_begin, false);
    const Index length = (all_end - all_begin) / (streams * stream_keys) * stream_keys;
    add_steps(length / stream_keys, true, [&](Index i, step& keys) {
      for (Index s = 0; s < streams; ++s)
        fill(keys, s, streams, all_begin + s * length + i * stream_keys, stream_keys);
    });
    add_run(all_begin + streams * length, all_end, true);
    add_run(all_end, end, false);
    for (Index r = 0; r < rows_.count; ++r) {
      state_.max[r] = softmax_.max(r);
      state_.sum[r] = softmax_.sum(r);
    }
  }

 private:
  static constexpr Index streams = 4;
  static constexpr Index stream_keys = 8;
  static constexpr Index step_keys = streams * stream_keys;

  using KeyCodec = typename Source::KeyCodec;
  using ValueCodec = typename Source::ValueCodec;
  template <class Codec>
  using number = typename number_read<reads_packets, Codec>::type;
  template <class Codec>
  static constexpr bool decodes = !std::same_as<Codec, scalar_codec<number<Codec>>>;

  // Keys taken in together, as they are stored.
  struct step {
    Index count = 0;
    std::array<Index, step_keys> position;
    std::array<const typename KeyCodec::Storage*, step_keys> keys;
    std::array<const typename ValueCodec::Storage*, step_keys> values;
  };

  // Puts keys [first, first + count) into every `stride`-th place from `place` on.
  void fill(step& to, Index place, Index stride, Index first, Index count) const {
    for (Index i = 0; i < count; ++i) to.position[at(place + i * stride)] = first + i;
    fill_rows([&](Index j) { return source_.keys(rows_.group, j, first + count); }, first, count,
              place, stride, to.keys);
    fill_rows([&](Index j) { return source_.values(rows_.group, j, first + count); }, first, count,
              place, stride, to.values);
    to.count += count;
  }

  template <class Runs, class Rows>
  static void fill_rows(const Runs& runs, Index first, Index count, Index place, Index stride,
                        Rows& rows) {
    for (Index i = 0; i < count;) {
      const auto run = runs(first + i);
      for (Index j = 0; j < run.tokens; ++j, ++i, place += stride)
        rows[at(place)] = run.rows + j * run.stride;
    }
  }

  static std::size_t at(Index i) { return static_cast<std::size_t>(i); }

  void add_run(Index begin, Index end, bool all_seen) {
    add_steps((end - begin + step_keys - 1) / step_keys, all_seen, [&](Index i, step& keys) {
      const Index first = begin + i * step_keys;
      fill(keys, 0, 1, first, std::min(step_keys, end - first));
    });
  }

  // Steps that fill_step(i, step) fills. While one is computed, the next is on its way to the
  // second-level cache, keys during the key product and values during the value product, so that
  // memory never rests.
  template <class FillStep>
  void add_steps(Index count, bool all_seen, const FillStep& fill_step) {
    std::array<step, 2> steps;
    if (count > 0) fill_step(0, steps[0]);
    for (Index i = 0; i < count; ++i) {
      const step& keys = steps[at(i % 2)];
      step& next = steps[at((i + 1) % 2)];
      next.count = 0;
      if (i + 1 < count) fill_step(i + 1, next);
      const bool last = next.count < keys.count;  // asks for what is there, for lack of a next step
      add_step(keys, last ? keys : next, all_seen);
    }
  }

  void add_step(const step& keys, const step& next, bool all_seen) {
    multiply_keys<most_dot_rows>(keys, next);
    if (call_.softcap > 0.f) cap_scores(weights_, keys.count * width_, call_.softcap);
    bool hidden = false;
    if (Call::Mask::modifies_scores || !all_seen) hidden = modify(keys, all_seen);
    if (softmax_.weigh(weights_, keys.count))
      for (Index r = 0; r < rows_.count; ++r) state_.value_row(r) *= softmax_.factor(r);
    if constexpr (packet_codec<ValueCodec>)
      if (!hidden)
        return add_values<most_dot_rows>(
            keys, next, widened<ValueCodec>(keys.values, keys.count, state_.v_dim));
    row_list<ValueCodec> list;
    const auto values =
        read<ValueCodec>(keys.values, keys.count, state_.v_dim, decoded_values_, list);
    if (hidden && !all_finite(values, keys.count, state_.v_dim))
      add_visible_values(keys, values);
    else
      add_values<most_dot_rows>(keys, next, values);
  }

  template <int rows>
  void multiply_keys(const step& keys, const step& next) const {
    if constexpr (rows > 1)
      if (width_ < rows) return multiply_keys<rows / 2>(keys, next);
    const Index dim = call_.q.dim();
    if constexpr (packet_codec<KeyCodec>) {
      dot_product<rows>(queries_, widened<KeyCodec>(keys.keys, keys.count, dim), keys.count, dim,
                        weights_, next.keys.data());
    } else {
      row_list<KeyCodec> list;
      dot_product<rows>(queries_, read<KeyCodec>(keys.keys, keys.count, dim, decoded_keys_, list),
                        keys.count, dim, weights_, next.keys.data());
    }
  }

  template <int rows, class Values>
  void add_values(const step& keys, const step& next, const Values& values) const {
    if constexpr (rows > 1)
      if (rows_.count < rows) return add_values<rows - 1>(keys, next, values);
    add_weighted_sum<rows>(weights_, width_, values, keys.count, state_.v_dim, state_.value,
                           next.values.data());
  }

  // Stored rows that kernels widen in registers.
  template <class Codec>
  struct packet_rows {
    using row_type = decltype(Codec::read(nullptr, 0));
    row_type rows[step_keys];
    const row_type& row(Index j) const { return rows[j]; }
  };
  template <class Codec, class Rows>
  static packet_rows<Codec> widened(const Rows& stored, Index count, Index dim) {
    packet_rows<Codec> rows;
    for (Index j = 0; j < count; ++j) rows.rows[j] = Codec::read(stored[at(j)], dim);
    return rows;
  }

  // Stored rows as a kernel reads them: where they lie, or decoded.
  template <class Codec>
  using row_list = std::array<const float*, decodes<Codec> ? step_keys : 1>;
  template <class Codec, class Rows>
  static scattered<number<Codec>> read(const Rows& stored, Index count, Index dim, float* decoded,
                                       row_list<Codec>& list) {
    if constexpr (decodes<Codec>) {
      for (Index j = 0; j < count; ++j) {
        list[at(j)] = decoded + j * dim;
        Codec::decode(stored[at(j)], decoded + j * dim, dim);
      }
      return {list.data()};
    } else {
      return {stored.data()};
    }
  }

  bool sees(Index r, Index position) const {
    const key_range seen = ranges_.in_tile(r, position, 1);
    return !seen.empty() && (seen.full || call_.mask.visible(call_.row(rows_, r), position));
  }

  // Biases, and scores of keys that a row does not see; returns whether there is such a key.
  bool modify(const step& keys, bool all_seen) const {
    bool hidden = false;
    for (Index r = 0; r < rows_.count; ++r) {
      const query_row row = call_.row(rows_, r);
      for (Index j = 0; j < keys.count; ++j) {
        float& score = weights_[j * width_ + r];
        if (!all_seen && !sees(r, keys.position[at(j)])) {
          score = softmax_state<float>::minus_infinity;
          hidden = true;
        } else if constexpr (Call::Mask::modifies_scores) {
          score = call_.mask.modify(score, row, keys.position[at(j)]);
        }
      }
    }
    return hidden;
  }

  template <class Values>
  void add_visible_values(const step& keys, const Values& values) const {
    for (Index r = 0; r < rows_.count; ++r)
      for (Index j = 0; j < keys.count; ++j)
        if (sees(r, keys.position[at(j)]))
          for (Index d = 0; d < state_.v_dim; ++d)
            state_.value[r * state_.v_dim + d] +=
                weights_[j * width_ + r] * static_cast<float>(values.row(j)[d]);
  }

  const Call& call_;
  stacked_rows rows_;
  softmax_state<float> state_;
  const Source& source_;
  row_ranges ranges_;
  Index width_;  // rows, padded to a power of two
  lane_softmax softmax_;
  float* queries_;  // [width, qk_dim], scaled
  float* weights_;  // [step_keys, width], scores first
  float* decoded_keys_;
  float* decoded_values_;
  key_range seen_by_all_;
};

}  // namespace headroom::inline HEADROOM_ISA::detail
