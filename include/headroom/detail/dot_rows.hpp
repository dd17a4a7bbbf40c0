// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/block.hpp>
#include <headroom/detail/broadcast.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/dot_queries.hpp>
#include <headroom/detail/group_ranges.hpp>
#include <headroom/detail/kernels/dot.hpp>
#include <headroom/detail/kernels/lane_softmax.hpp>
#include <headroom/detail/kernels/softmax.hpp>
#include <headroom/detail/kernels/weighted_sum.hpp>
#include <headroom/detail/key_parts.hpp>
#include <headroom/detail/line_reader.hpp>
#include <headroom/detail/line_shape.hpp>
#include <headroom/detail/operand.hpp>
#include <headroom/detail/pack.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/packet_bfloat16.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/detail/tile.hpp>
#include <headroom/detail/value_weights.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/softmax_state.hpp>

#include <algorithm>
#include <concepts>
#include <span>

namespace headroom::inline HEADROOM_ISA::detail {

/// Keys that are taken before their values are: the first `count` of each group in this order.
struct key_step {
  line_order order;
  Index count;
};

/// Very few query rows of the groups of a line, and what becomes of them as keys and values pass
/// by: scores, weights, sums. Where keys and values lie is for those who pass them to know.
///
/// \tparam Operand    what products multiply: floats; or pairs of bfloat16 for keys and values that
///                    are stored so, or of whole numbers for those that are bytes, with queries and
///                    weights rounded to it. Widths then fill packets of whole numbers.
/// \tparam most_rows  of a group
template <class Call, kv_source Source, class Operand, int most_rows>
class dot_rows {
  using KeyCodec = typename Source::KeyCodec;
  using ValueCodec = typename Source::ValueCodec;
  using Key = typename KeyCodec::Storage;
  using Value = typename ValueCodec::Storage;
  using value_reader = line_reader<ValueCodec, is_integer<Operand>>;

 public:
  /// \param rows       of the first group; those of the others are the same rows of theirs
  /// \param states     of the groups, one each
  /// \param most_keys  of a step
  dot_rows(const Call& call, const stacked_rows& rows, std::span<const softmax_state<float>> states,
           const Source& source, Index most_keys, scratch& memory)
      : call_(call),
        rows_(rows),
        states_(states),
        shape_(line_shape::of(groups(), rows.count)),
        value_shape_{groups(), std::max(shape_.keys, most_sum_keys<Operand, Value>(rows.count)),
                     shape_.rows},
        key_shape_(groups() == 1 ? value_shape_ : shape_),
        ranges_(call, rows, groups(), memory),
        key_reader_(key_shape_, source.qk_dim(), memory),
        value_reader_(value_shape_, source.v_dim(), memory),
        softmax_(shape_, memory),
        queries_(call, rows, shape_, memory),
        weights_(memory.take<float>(shape_.line_of(most_keys) * shape_.size() + lanes)),
        key_factors_(
            memory.take<float>(factored_codec<KeyCodec> ? most_keys * groups() + lanes : 0)),
        value_factors_(memory.take<float>(value_reader_.factors() + lanes)),
        value_weights_(shape_, value_shape_, weights_, shape_.line_of(most_keys),
                       call.kv_len <= most_keys_with_residuals, memory),
        zeros_(memory.take<Value>(is_pair<Operand> ? source.v_dim() : 0)) {
    if constexpr (is_pair<Operand>) std::fill(zeros_, zeros_ + source.v_dim(), Value(0));
  }

  /// The first of the groups, and how many they are.
  Index group() const { return rows_.group; }
  Index groups() const { return static_cast<Index>(states_.size()); }

  /// How many keys, and values, are taken at a time: those of a line, or of several.
  const line_shape& key_shape() const { return key_shape_; }
  const line_shape& value_shape() const { return value_shape_; }

  const hidden_keys& hidden() const { return ranges_.hidden(); }

  /// Those of keys [begin, end) that some row sees, and others between them.
  key_parts parts(Index begin, Index end) const {
    begin = std::max(begin, ranges_.begin());
    end = std::max(begin, std::min(end, ranges_.end()));
    return key_parts::of(begin, end, ranges_.seen_by_all(), shape_);
  }

  /// Takes `count` keys of each group, from key `first` of a step on: as many as are taken at a
  /// time, or those that are left.
  template <class Ahead>
  void multiply_keys(const Key* const* stored, const Ahead& ahead, Index first, Index count) const {
    const Index l = shape_.line_of(first);
    key_reader_.read(stored, count, [&](auto* keys, const auto& reader) {
      const auto multiply = [&](Index from, Index all, Index exist) {
        multiply_rows<most_rows>(keys + from, reader, all, exist, line(l + shape_.line_of(from)),
                                 ahead.from(from));
      };
      if (count == key_shape_.keys)
        multiply(0, count, count);
      else
        for (Index i = 0; i < count; i += shape_.keys)
          multiply(i, shape_.keys, std::min(shape_.keys, count - i));
      if constexpr (factored_codec<KeyCodec>)
        for (Index g = 0; g < groups(); ++g)
          key_reader_.read_factors(keys + g * key_shape_.keys, count, key_factors(l, g));
    });
  }

  /// Makes weights of the scores of a step. Returns whether a row does not see one of its keys.
  ///
  /// \param all_seen  whether all rows see all of them, as far as is known
  bool weigh(const key_step& keys, bool all_seen) {
    const Index together = value_shape_.keys;
    const Index lines = value_shape_.line_of(keys.count + together - 1) * shape_.line_of(together);
    if constexpr (factored_codec<KeyCodec> || is_integer<Operand>)
      for (Index i = 0; i < keys.count; i += key_shape_.keys) multiply_scores(shape_.line_of(i));
    float unit = queries_.unit();
    if (call_.softcap > 0.f) {
      cap_scores(weights_, lines * shape_.size(), call_.softcap, unit);
      unit = 1;
    }
    bool hidden = false;
    if (Call::Mask::modifies_scores || !all_seen)
      hidden = ranges_.modify(
          keys.order, keys.count, all_seen,
          [this](Index g, Index i, Index r) -> float& { return number(g, i, r); }, unit);
    if (Call::Mask::modifies_scores) unit = 1;
    for (Index l = shape_.line_of(keys.count); l < lines; ++l)
      shape_.pad(line(l), std::max(keys.count - l * shape_.keys, Index(0)));
    if (softmax_.weigh(weights_, lines, unit)) rescale_values();
    value_weights_.make(lines);
    return hidden;
  }

  /// Takes `count` values of each group, those of the keys from `first` of a step on: as many as
  /// are taken at a time, or those that are left.
  template <class Ahead>
  void add_values(const Value* const* stored, const Ahead& ahead, const key_step& keys, Index first,
                  Index count, bool hidden) const {
    value_reader_.read(stored, count, [&](auto* values, const auto& reader) {
      const auto whole = value_reader_.with_factors(reader);
      for (Index g = 0; g < groups(); ++g) {
        const auto* const* const of_group = values + g * value_shape_.keys;
        if (hidden && !all_finite(rows_through{of_group, whole}, count, v_dim())) {
          add_visible_values(keys, first, g, of_group, whole, count);
        } else {
          add_products(g, first, of_group, reader, count, ahead.from(g * value_shape_.keys));
        }
      }
    });
  }

  /// Completes the states.
  void finish() const {
    for (Index g = 0; g < groups(); ++g)
      for (Index r = 0; r < rows_.count; ++r) {
        state(g).max[r] = softmax_.max(g, r);
        state(g).sum[r] = softmax_.sum(g, r);
      }
  }

 private:
  const softmax_state<float>& state(Index g) const { return states_[static_cast<std::size_t>(g)]; }
  Index v_dim() const { return state(0).v_dim; }

  float* line(Index l) const { return weights_ + l * shape_.size(); }

  // The score, then the weight, of key i of a step.
  float& number(Index g, Index i, Index r) const {
    return line(shape_.line_of(i))[shape_.at(g, shape_.place_of(i), r)];
  }

  float* key_factors(Index l, Index g) const {
    return key_factors_ + (l * groups() + g) * shape_.keys;
  }

  // By what the numbers of keys, and of queries, were divided by.
  void multiply_scores(Index l) const {
    for (Index g = 0; g < groups(); ++g) {
      float* const scores = line(l) + shape_.at(g, 0, 0);
      if constexpr (factored_codec<KeyCodec>)
        key_shape_.multiply(key_factors(l, g), scores, scores);
      if constexpr (is_integer<Operand>) queries_.multiply_by_units(g, scores, key_shape_.keys);
    }
  }

  // The first `exist` of `all` keys of each group.
  template <int rows, class Keys, class Reader, class Ahead>
  void multiply_rows(const Keys& keys, const Reader& reader, Index all, Index exist, float* scores,
                     const Ahead& ahead) const {
    if constexpr (rows > Call::rows_multiple)
      if (shape_.rows < rows)
        return multiply_rows<rows / 2>(keys, reader, all, exist, scores, ahead);
    dot_product<rows, Operand, Call::width_multiple>(queries_.numbers(), keys, reader,
                                                     shape_.groups, all, exist, call_.q.dim(),
                                                     scores, asked_of<rows>(ahead));
  }

  void rescale_values() const {
    for (Index g = 0; g < groups(); ++g)
      for (Index r = 0; r < rows_.count; ++r)
        if (const float factor = softmax_.factor(g, r); factor != 1.f)
          state(g).value_row(r) *= factor;
  }

  template <class Values, class Reader, class Ahead>
  void add_products(Index g, Index first, Values values, const Reader& reader, Index count,
                    const Ahead& ahead) const {
    const float* factors = nullptr;
    if constexpr (value_reader::has_factors) {
      value_reader_.read_factors(values, count, value_factors_);
      factors = value_factors_;
    }
    const Value* padded[most_line_keys];
    if constexpr (is_pair<Operand>) {
      if (count < value_shape_.keys) {
        // Weight 0 times what is not there might be NaN.
        std::fill(std::copy(values, values + count, padded), padded + value_shape_.keys, zeros_);
        values = padded;
      }
      count = value_shape_.keys / 2;
    }
    const Index together = value_reader_.columns();
    for (Index column = 0; column < v_dim(); column += together) {
      const value_columns columns{column, std::min(column + together, v_dim()), v_dim()};
      const auto add = [&](const Operand* weights) {
        add_rows<most_rows>(weights, values, reader, count, columns, ahead, state(g).value);
      };
      add(value_weights_.operands(g, first, factors));
      if (const Operand* const residuals = value_weights_.residuals(g, first))
        if (all_finite(rows_through{values, reader}, value_shape_.keys, v_dim())) add(residuals);
      if (factors) factors += value_shape_.keys;
    }
  }

  // What kernels ask for while they read keys, or values. In one run that lies behind the rows they
  // have; but a few rows of floats are multiplied so fast that loads run ahead of what was asked
  // for. To look up where it lies, as in pages, holds them back: decoding four rows takes 0.92 of
  // the time on a Zen 4. One row, or eight, or 16 bits only take longer for it.
  template <int rows, class Stored>
  static auto asked_of(const paged_read_ahead<Stored>& ahead) {
    if constexpr (has_one_run<Source> && !(1 < rows && rows <= 4 && std::same_as<Stored, float>))
      return read_ahead{ahead.far, ahead.near};
    else
      return ahead;
  }

  template <int rows, class Values, class Reader, class Ahead>
  void add_rows(const Operand* weights, const Values& values, const Reader& reader, Index count,
                const value_columns& columns, const Ahead& ahead, float* value) const {
    if constexpr (rows > Call::rows_multiple)
      if (rows_.count < rows)
        return add_rows<rows - Call::rows_multiple>(weights, values, reader, count, columns, ahead,
                                                    value);
    add_weighted_sum<rows, value_reader::most_packets, Call::width_multiple>(
        weights, values, reader, count, columns, value, value_shape_.keys / 2,
        asked_of<rows>(ahead), value_weights_.units());
  }

  template <class Rows, class Reader>
  void add_visible_values(const key_step& keys, Index first, Index g, const Rows& values,
                          const Reader& reader, Index count) const {
    for (Index r = 0; r < rows_.count; ++r)
      for (Index j = 0; j < count; ++j)
        if (ranges_.sees(g, r, keys.order.position(first + j)))
          for (Index d = 0; d < v_dim(); ++d)
            state(g).value[r * v_dim() + d] +=
                number(g, first + j, r) * static_cast<float>(reader(values[j])[d]);
  }

  const Call& call_;
  stacked_rows rows_;
  std::span<const softmax_state<float>> states_;  // [groups]
  line_shape shape_;
  line_shape value_shape_;  // what values are taken at a time: a line, or several
  line_shape key_shape_;    // the same of keys: of several groups a line
  group_ranges<Call> ranges_;
  line_reader<KeyCodec> key_reader_;
  value_reader value_reader_;
  lane_softmax softmax_;
  dot_queries<Operand> queries_;
  float* weights_;        // [lines, shape], scores first
  float* key_factors_;    // [lines, groups, keys], of their numbers
  float* value_factors_;  // of the values taken at a time
  value_weights<Operand> value_weights_;
  Value* zeros_;  // a value
};

}  // namespace headroom::inline HEADROOM_ISA::detail
