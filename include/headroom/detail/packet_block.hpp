// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/block.hpp>
#include <headroom/detail/broadcast.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/kernels/outer.hpp>
#include <headroom/detail/kernels/softmax.hpp>
#include <headroom/detail/pack.hpp>
#include <headroom/detail/packet.hpp>
#include <headroom/detail/packet_bfloat16.hpp>
#include <headroom/detail/rows_to_come.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/detail/tile.hpp>
#include <headroom/mask.hpp>
#include <headroom/softmax_state.hpp>

#include <algorithm>
#include <concepts>
#include <type_traits>

namespace headroom::inline HEADROOM_ISA::detail {

/// A block of query rows on the micro-kernels: the float twin of row_block.
///
/// Rows are cut into panels, and a panel's scores are transposed, [keys, width]: its rows stand in
/// the lanes of packets.
///
/// A panel skips the keys that none of its rows sees, so a causal mask costs little more than the
/// triangle that it leaves.
///
/// \tparam Operand  what products multiply: floats, or pairs of bfloat16 for keys and values that
///                  are stored so, with queries and weights rounded to it, the latter less where
///                  few keys are seen (most_keys_with_residuals). Pairs take an even qk_dim.
template <class Call, class Operand = float>
class packet_block : public reads_packets {
 public:
  packet_block(const Call& call, const stacked_rows& rows, const softmax_state<float>& state,
               scratch& memory)
      : call_(call),
        rows_(rows),
        state_(state),
        ranges_(call, rows, memory),
        scale_(split_scale::of<Operand>(call.scale)),
        panel_rows_(whole_packets(parts(rows.count, parts(rows.count, widest)))),
        queries_(memory.take<Operand>(whole_packets(rows.count) * depth(call.q.dim()))),
        weights_(memory.take<float>(panel_rows_ * tile_keys + lanes)),
        residuals_(memory.take<Operand>(panel_rows_ * depth_with_residuals)),
        has_residuals_(memory.take<bool>(is_pair<Operand> ? parts(rows.count, panel_rows_) : 0)) {
    // Lanes beyond the last row belong to no query: they see nothing and stay empty.
    const Index padded = whole_packets(rows.count);
    std::fill(state.max + rows.count, state.max + padded, softmax_state<float>::minus_infinity);
    std::fill(state.sum + rows.count, state.sum + padded, 0.f);
    for (Index r = 0; r < rows.count; r += panel_rows_) {
      pack_queries(r);
      if constexpr (is_pair<Operand>) has_residuals_[r / panel_rows_] = sees_few_keys(r);
    }
  }

  /// Keys [begin, end) hold every key that some row sees; no other key need be read, and none that
  /// is hidden.
  Index begin() const { return ranges_.begin(); }
  Index end() const { return ranges_.end(); }
  const hidden_keys& hidden() const { return ranges_.hidden(); }

  /// Takes in keys [first, first + tokens), tokens <= tile_keys.
  ///
  /// \param next_keys, next_values  of the tile after this one
  template <class KeyRows, class ValueRows>
  void add_tile(Index first, Index tokens, const KeyRows& keys, const ValueRows& values,
                rows_to_come next_keys = {}, rows_to_come next_values = {}) const {
    scratch memory;
    value_columns_of<ValueRows> columns(values, tokens, state_.v_dim);
    // Packing pays where several panels share it; stored numbers are widened on the way.
    if (rows_.count > 2 * panel_rows_ || !std::same_as<typename ValueRows::number, float>)
      columns.pack(memory);
    const auto operands = as_operands<Operand>(keys, tokens, call_.q.dim(), memory);
    for (Index r = 0; r < rows_.count; r += panel_rows_)
      add_panel(r, first, tokens, operands, columns, next_keys, next_values);
  }

 private:
  template <class ValueRows>
  using value_columns_of = value_tile<ValueRows, Operand, Call::width_multiple>;

  static constexpr Index widest = outer_packets * lanes;  // rows of a panel
  // Pairs of the keys of a panel that has residuals; the first and the last may be half of one.
  static constexpr Index depth_with_residuals =
      is_pair<Operand> ? most_keys_with_residuals / 2 + 1 : 0;

  static constexpr Index whole_packets(Index rows) { return parts(rows, lanes) * lanes; }
  static constexpr Index depth(Index dim) { return parts(dim, depth_of<Operand>); }

  // What the rows of one panel see of a tile, as positions within it.
  struct panel_view {
    Index row;    // first row
    Index rows;   // that exist
    Index width;  // numbers a key
    Index begin;  // keys [begin, end) hold all that any row sees
    Index end;
    bool partial;        // some row does not see all of them
    bool has_holes;      // single keys are to be asked for
    bool has_residuals;  // what rounding takes from weights is multiplied as well
  };

  panel_view view_of(Index r, Index first, Index tokens) const {
    const Index rows = std::min(rows_.count - r, panel_rows_);
    panel_view panel{r, rows, whole_packets(rows), tokens, 0, false, false, has_residuals(r)};
    for (Index i = r; i < r + panel.rows; ++i) {
      const key_range seen = ranges_.in_tile(i, first, tokens);
      if (seen.empty()) continue;
      panel.begin = std::min(panel.begin, seen.begin);
      panel.end = std::max(panel.end, seen.end);
      panel.has_holes |= !seen.full;
    }
    // A pair of keys is taken in whole.
    panel.begin = panel.begin / depth_of<Operand> * depth_of<Operand>;
    panel.end = std::min(depth(panel.end) * depth_of<Operand>, tokens);
    panel.partial = panel.has_holes;
    for (Index i = r; i < r + panel.rows; ++i) {
      const key_range seen = ranges_.in_tile(i, first, tokens);
      panel.partial |= seen.begin > panel.begin || seen.end < panel.end;
    }
    return panel;
  }

  bool has_residuals(Index r) const {
    if constexpr (is_pair<Operand>)
      return has_residuals_[r / panel_rows_];
    else
      return false;
  }

  // Whether the rows of a panel together see few keys.
  bool sees_few_keys(Index r) const {
    Index begin = call_.kv_len, end = 0;
    for (Index i = r; i < std::min(r + panel_rows_, rows_.count); ++i) {
      if (ranges_.of(i).empty()) continue;
      begin = std::min(begin, ranges_.of(i).begin);
      end = std::max(end, ranges_.of(i).end);
    }
    return end - begin <= most_keys_with_residuals;
  }

  // [dim, width], scaled; rows that do not exist are zero.
  void pack_queries(Index r) const {
    using Query = std::remove_const_t<typename decltype(call_.q)::Scalar>;
    scratch memory;
    const Index dim = call_.q.dim();
    const Query* rows[widest];
    const Index exist = std::min(rows_.count - r, panel_rows_), width = whole_packets(exist);
    for (Index i = 0; i < exist; ++i) rows[i] = call_.q.row(rows_.query(r + i), rows_.head(r + i));
    if (exist < width) {
      Query* const zeros = memory.take<Query>(dim);
      std::fill(zeros, zeros + dim, Query(0));
      std::fill(rows + exist, rows + width, zeros);
    }
    pack_panel(scattered<Query>{rows}, width, dim, queries_ + r * depth(dim), scale_.of_queries);
  }

  template <class KeyRows, class ValueRows>
  void add_panel(Index r, Index first, Index tokens, const KeyRows& keys,
                 const value_columns_of<ValueRows>& values, rows_to_come& next_keys,
                 rows_to_come& next_values) const {
    const panel_view panel = view_of(r, first, tokens);
    if (panel.begin >= panel.end) return;
    const Index deep = depth(call_.q.dim());
    const int packets = static_cast<int>(panel.width / lanes);
    next_keys.spread(outer_steps(panel.end - panel.begin, packets, deep));
    keys.for_each_part(
        panel.begin, panel.end, [&](const tile<Operand>& part, Index begin, Index end) {
          deep_outer_product<Operand>(part, end - begin, packets, queries_ + r * deep, deep,
                                      weights_ + (begin - panel.begin) * panel.width, next_keys);
        });
    float unit = scale_.of_scores;
    if (call_.softcap > 0.f) {
      cap_scores(weights_, (panel.end - panel.begin) * panel.width, call_.softcap, unit);
      unit = 1;
    }
    if (panel.partial) hide(panel, first, tokens);
    if (Call::Mask::modifies_scores || panel.has_holes) modify(panel, first, tokens, unit);
    if (Call::Mask::modifies_scores) unit = 1;
    float factor[widest];
    weigh(panel, unit, factor);
    for (Index i = 0; i < panel.rows; ++i)
      if (factor[i] != 1.f) state_.value_row(r + i) *= factor[i];
    // Weight 0 times a value that is not finite is NaN.
    if (panel.partial && !values.all_finite()) {
      for (Index i = 0; i < panel.rows; ++i)
        add_visible_values(
            call_, call_.row(rows_, r + i), ranges_.in_tile(r + i, first, tokens), first,
            [&](Index j) { return weight(panel, i, j); }, values.rows(), state_.v_dim,
            state_.value + (r + i) * state_.v_dim);
      return;
    }
    const auto add_products = [&](const Operand* weights) {
      values.add_product({weights, panel.width}, panel.rows, panel.begin, panel.end - panel.begin,
                         state_.value + r * state_.v_dim, next_values);
    };
    add_products(weights_of_values());
    if constexpr (is_pair<Operand>)
      if (panel.has_residuals && values.all_finite()) add_products(residuals_);
  }

  // Scores become weights, and residuals where there are some.
  void weigh(const panel_view& panel, float unit, float (&factor)[widest]) const {
    const Index keys = panel.end - panel.begin, width = panel.width;
    float* const max = state_.max + panel.row;
    float* const sum = state_.sum + panel.row;
    if constexpr (is_pair<Operand>)
      if (panel.has_residuals) {
        weigh_scores<float>(weights_, keys, width, max, sum, factor, unit);
        return split_weights(weights_, keys, width, residuals_);
      }
    weigh_scores<Operand>(weights_, keys, width, max, sum, factor, unit);
  }

  const Operand* weights_of_values() const { return reinterpret_cast<const Operand*>(weights_); }

  float weight(const panel_view& panel, Index i, Index j) const {
    const Index key = j - panel.begin, at = key / depth_of<Operand> * panel.width + i;
    const Operand& whole = weights_of_values()[at];
    if constexpr (is_pair<Operand>) {
      const auto number = [&](const Operand& pair) {
        return static_cast<float>(key % 2 == 0 ? pair.first : pair.second);
      };
      return panel.has_residuals ? number(whole) + number(residuals_[at]) : number(whole);
    } else {
      return whole;
    }
  }

  // Scores of keys that no range of the row holds.
  void hide(const panel_view& panel, Index first, Index tokens) const {
    for (Index i = 0; i < panel.rows; ++i) {
      const key_range seen = ranges_.in_tile(panel.row + i, first, tokens);
      float* const scores = weights_ + i;
      const Index from = std::clamp(seen.begin, panel.begin, panel.end);
      const Index to = std::clamp(seen.end, from, panel.end);
      for (Index j = panel.begin; j < from; ++j)
        scores[(j - panel.begin) * panel.width] = softmax_state<float>::minus_infinity;
      for (Index j = to; j < panel.end; ++j)
        scores[(j - panel.begin) * panel.width] = softmax_state<float>::minus_infinity;
    }
  }

  // Biases, on scores times their unit, and keys hidden one by one. Scores of a row lie far apart
  // here: to take them out first, as mask_scores does, takes longer than it saves.
  void modify(const panel_view& panel, Index first, Index tokens, float unit) const {
    for (Index i = 0; i < panel.rows; ++i) {
      const key_range seen = ranges_.in_tile(panel.row + i, first, tokens);
      if (seen.full && !Call::Mask::modifies_scores) continue;
      const query_row row = call_.row(rows_, panel.row + i);
      for (Index j = seen.begin; j < seen.end; ++j) {
        float& score = weights_[(j - panel.begin) * panel.width + i];
        if (!seen.shows(j) && (seen.hides(j) || !call_.mask.visible(row, first + j)))
          score = softmax_state<float>::minus_infinity;
        else if constexpr (Call::Mask::modifies_scores)
          score = call_.mask.modify(unit * score, row, first + j);
      }
    }
  }

  const Call& call_;
  stacked_rows rows_;
  softmax_state<float> state_;
  row_ranges ranges_;
  split_scale scale_;
  Index panel_rows_;     // as nearly equal as whole packets allow
  Operand* queries_;     // panel after panel, scaled
  float* weights_;       // [tile_keys, width] of the panel at hand, scores first
  Operand* residuals_;   // of as many weights as have some
  bool* has_residuals_;  // of each panel, whether its weights have
};

}  // namespace headroom::inline HEADROOM_ISA::detail
