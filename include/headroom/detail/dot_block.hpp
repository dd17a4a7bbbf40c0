// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/codec.hpp>
#include <headroom/detail/block.hpp>
#include <headroom/detail/broadcast.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/kernels/dot.hpp>
#include <headroom/detail/kernels/outer.hpp>
#include <headroom/detail/kernels/softmax.hpp>
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
        queries_(memory.take<float>(width_ * call.q.dim())),
        weights_(memory.take<float>(width_ * step_keys + lanes)),
        decoded_keys_(memory.take<float>(decodes<KeyCodec> ? step_keys * source.qk_dim() : 0)),
        decoded_values_(memory.take<float>(decodes<ValueCodec> ? step_keys * source.v_dim() : 0)) {
    stack_queries(call.q, rows, call.scale, queries_);
    std::fill(queries_ + rows.count * call.q.dim(), queries_ + width_ * call.q.dim(), 0.f);
    std::fill(state.max + rows.count, state.max + width_, softmax_state<float>::minus_infinity);
    std::fill(state.sum + rows.count, state.sum + width_, 0.f);
    seen_by_all_ = {0, call.kv_len, true};
    for (Index r = 0; r < rows.count; ++r) {
      const key_range seen = ranges_.in_tile(r, 0, call.kv_len);
      seen_by_all_.begin = std::max(seen_by_all_.begin, seen.begin);
      seen_by_all_.end = std::min(seen_by_all_.end, seen.full ? seen.end : 0);
    }
  }

  /// Takes in those of keys [begin, end) that some row sees.
  void add_keys(Index begin, Index end) const {
    begin = std::max(begin, ranges_.begin());
    end = std::max(begin, std::min(end, ranges_.end()));
    const Index all_begin = std::clamp(seen_by_all_.begin, begin, end);
    const Index all_end = std::clamp(seen_by_all_.end, all_begin, end);
    add_run(begin, all_begin, false);
    const Index length = (all_end - all_begin) / (streams * stream_keys) * stream_keys;
    for (Index j = all_begin; j < all_begin + length; j += stream_keys) {
      step keys;
      for (Index s = 0; s < streams; ++s) fill(keys, s, streams, j + s * length, stream_keys);
      add_step(keys, true);
    }
    add_run(all_begin + streams * length, all_end, true);
    add_run(all_end, end, false);
  }

 private:
  static constexpr Index streams = 4;
  static constexpr Index stream_keys = 16;
  static constexpr Index step_keys = streams * stream_keys;

  using KeyCodec = typename Source::KeyCodec;
  using ValueCodec = typename Source::ValueCodec;
  template <class Codec>
  using number = typename number_read<reads_packets, Codec>::type;
  template <class Codec>
  static constexpr bool decodes = !std::same_as<Codec, scalar_codec<number<Codec>>>;

  // Keys taken in together.
  struct step {
    Index count = 0;
    std::array<Index, step_keys> position;
    std::array<const number<KeyCodec>*, step_keys> keys;
    std::array<const number<ValueCodec>*, step_keys> values;
  };

  // Puts keys [first, first + count) into every `stride`-th place from `place` on.
  void fill(step& to, Index place, Index stride, Index first, Index count) const {
    for (Index i = 0; i < count; ++i) to.position[at(place + i * stride)] = first + i;
    fill_rows<KeyCodec>([&](Index j) { return source_.keys(rows_.group, j, first + count); }, first,
                        count, place, stride, to.keys, decoded_keys_, source_.qk_dim());
    fill_rows<ValueCodec>([&](Index j) { return source_.values(rows_.group, j, first + count); },
                          first, count, place, stride, to.values, decoded_values_, source_.v_dim());
    to.count += count;
  }

  template <class Codec, class Runs, class Rows>
  static void fill_rows(const Runs& runs, Index first, Index count, Index place, Index stride,
                        Rows& rows, float* decoded, Index dim) {
    for (Index i = 0; i < count;) {
      const auto run = runs(first + i);
      for (Index j = 0; j < run.tokens; ++j, ++i, place += stride) {
        const auto* const stored = run.rows + j * run.stride;
        if constexpr (decodes<Codec>) {
          Codec::decode(stored, decoded + place * dim, dim);
          rows[at(place)] = decoded + place * dim;
        } else {
          rows[at(place)] = stored;
        }
      }
    }
  }

  static std::size_t at(Index i) { return static_cast<std::size_t>(i); }

  void add_run(Index begin, Index end, bool all_seen) const {
    while (begin < end) {
      step keys;
      fill(keys, 0, 1, begin, std::min(step_keys, end - begin));
      add_step(keys, all_seen);
      begin += keys.count;
    }
  }

  void add_step(const step& keys, bool all_seen) const {
    multiply_keys<most_dot_rows>(keys);
    if (call_.softcap > 0.f) cap_scores(weights_, keys.count * width_, call_.softcap);
    bool hidden = false;
    if (Call::Mask::modifies_scores || !all_seen) hidden = modify(keys, all_seen);
    float factor[lanes];
    weigh_scores(weights_, keys.count, width_, state_.max, state_.sum, factor);
    for (Index r = 0; r < rows_.count; ++r)
      if (factor[r] != 1.f) state_.value_row(r) *= factor[r];
    const scattered values{keys.values.data()};
    if (hidden && !all_finite(values, keys.count, state_.v_dim))
      add_visible_values(keys);
    else
      add_outer_product(by_columns{{weights_, width_}}, rows_.count, values, keys.count,
                        state_.v_dim, state_.value, state_.v_dim);
  }

  template <int rows>
  void multiply_keys(const step& keys) const {
    if constexpr (rows > 1)
      if (width_ < rows) return multiply_keys<rows / 2>(keys);
    // While scores are computed, their values are on the way.
    const auto ahead = [&](Index begin, Index end) {
      for (Index j = begin; j < end; ++j) prefetch_row(keys.values[at(j)], state_.v_dim);
    };
    dot_product<rows>(queries_, scattered{keys.keys.data()}, keys.count, call_.q.dim(), weights_,
                      ahead);
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

  void add_visible_values(const step& keys) const {
    for (Index r = 0; r < rows_.count; ++r)
      for (Index j = 0; j < keys.count; ++j)
        if (sees(r, keys.position[at(j)]))
          for (Index d = 0; d < state_.v_dim; ++d)
            state_.value[r * state_.v_dim + d] +=
                weights_[j * width_ + r] * static_cast<float>(keys.values[at(j)][d]);
  }

  const Call& call_;
  stacked_rows rows_;
  softmax_state<float> state_;
  const Source& source_;
  row_ranges ranges_;
  Index width_;     // rows, padded to a power of two
  float* queries_;  // [width, qk_dim], scaled
  float* weights_;  // [step_keys, width], scores first
  float* decoded_keys_;
  float* decoded_values_;
  key_range seen_by_all_;
};

}  // namespace headroom::inline HEADROOM_ISA::detail
