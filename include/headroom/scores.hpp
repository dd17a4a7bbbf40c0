// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/attention.hpp>
#include <headroom/detail/block.hpp>
#include <headroom/detail/broadcast.hpp>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <headroom/detail/key_tile.hpp>
#include <headroom/detail/mask_scores.hpp>
#include <headroom/detail/matmul.hpp>
#include <headroom/detail/scratch.hpp>
#include <headroom/detail/tile.hpp>
#include <headroom/kv_source.hpp>
#include <headroom/mask.hpp>
#include <headroom/options.hpp>
#include <headroom/parallel.hpp>
#include <headroom/selected_mask.hpp>
#include <headroom/softmax_state.hpp>
#include <headroom/view.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <type_traits>

namespace headroom::inline HEADROOM_ISA {

/// What a score has been through; in this order, which is also that of attention.
enum class score_stage {
  raw,     ///< scale * dot(q, k), of hidden keys too
  capped,  ///< after the softcap, of hidden keys too
  biased,  ///< after bias and mask; minus infinity where hidden
  softmax  ///< the weights of the values, sinks in the denominator; zeros if no key is seen
};

/// Scores of one query head: [queries, keys], row i of query first_query + i, column j of key
/// first_key + j, as the mask of the call counts both.
template <class Scalar>
struct score_tile {
  using Matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

  Index head;
  Index first_query;
  Index first_key;
  Eigen::Map<const Matrix, 0, Eigen::OuterStride<>> scores;  ///< valid until the visit returns
};

namespace detail {

// Queries of a tile: enough to share the reading of keys.
inline constexpr Index score_queries = 64;

/// The scores of some queries of a group, tile by tile of keys.
template <class Call, kv_source Source>
class score_block {
 public:
  using Scalar = typename Call::Scalar;

  /// \param queries  [rows, qk_dim], scaled
  score_block(const Call& call, const Source& source, const stacked_rows& rows,
              const Scalar* queries, scratch& memory)
      : call_(call),
        rows_(rows),
        dim_(source.qk_dim()),
        reader_(source, rows.group, memory),
        ranges_(call, rows, memory),
        queries_(queries),
        scores_(memory.take<Scalar>(rows.count * tile_keys)),
        max_(memory.take<Scalar>(rows.count)),
        sum_(memory.take<Scalar>(rows.count)) {}

  template <class Visit>
  void visit(score_stage stage, const Visit& visit) {
    if (stage == score_stage::softmax) add_up();
    for (Index first = 0; first < call_.kv_len; first += tile_keys) {
      const Index tokens = std::min(tile_keys, call_.kv_len - first);
      compute(stage, first, tokens);
      for (Index h = 0; h < call_.heads_per_group; ++h)
        visit(score_tile<Scalar>{rows_.head(h),
                                 rows_.query(0),
                                 first,
                                 {scores_ + h * tokens, rows_.count / call_.heads_per_group, tokens,
                                  Eigen::OuterStride<>(call_.heads_per_group * tokens)}});
    }
  }

 private:
  using Row = Eigen::Map<Eigen::Array<Scalar, 1, Eigen::Dynamic>>;

  // The softmax's maximum and denominator of each row.
  void add_up() {
    std::fill(max_, max_ + rows_.count, softmax_state<Scalar>::minus_infinity);
    std::fill(sum_, sum_ + rows_.count, Scalar(0));
    for (Index first = 0; first < call_.kv_len; first += tile_keys) {
      const Index tokens = std::min(tile_keys, call_.kv_len - first);
      compute(score_stage::biased, first, tokens);
      for (Index r = 0; r < rows_.count; ++r) add_to_sum(r, Row(scores_ + r * tokens, tokens));
    }
    if (call_.sinks.empty()) return;
    for (Index r = 0; r < rows_.count; ++r)
      if (sum_[r] != Scalar(0))
        sum_[r] += std::exp(call_.sinks[static_cast<std::size_t>(rows_.head(r))] - max_[r]);
  }

  void add_to_sum(Index r, const Row& scores) {
    // Asked of all scores: what the greatest is beside a NaN, Eigen does not say.
    if ((scores == softmax_state<Scalar>::minus_infinity).all()) return;
    const Scalar max = std::max(max_[r], scores.maxCoeff());
    sum_[r] = sum_[r] * std::exp(max_[r] - max) + (scores - max).exp().sum();
    max_[r] = max;
  }

  void compute(score_stage stage, Index first, Index tokens) {
    multiply_keys<Scalar>({queries_, dim_}, rows_.count, reader_.keys(first, first + tokens),
                          tokens, dim_, scores_, tokens);
    if (stage == score_stage::raw) return;
    Row all(scores_, rows_.count * tokens);
    if (call_.softcap > Scalar(0)) all = call_.softcap * (all / call_.softcap).tanh();
    if (stage == score_stage::capped) return;
    for (Index r = 0; r < rows_.count; ++r) {
      Row scores(scores_ + r * tokens, tokens);
      mask_scores(call_.mask, call_.row(rows_, r), ranges_.of(r), {first, 1, tokens}, false,
                  Scalar(1), [&](Index k) -> Scalar& { return scores[k]; });
      if (stage != score_stage::softmax) continue;
      if (sum_[r] == Scalar(0))
        scores.setZero();
      else  // Eigen's exponential of minus infinity need not be 0.
        scores = (scores == softmax_state<Scalar>::minus_infinity)
                     .select(Scalar(0), (scores - max_[r]).exp() / sum_[r]);
    }
  }

  const Call& call_;
  stacked_rows rows_;
  Index dim_;
  tile_reader<reads_scalar<Scalar>, Source> reader_;
  row_ranges ranges_;
  const Scalar* queries_;
  Scalar* scores_;  // [rows, tokens of a tile]
  Scalar* max_;     // [rows]
  Scalar* sum_;     // [rows]
};

/// The scores of a call, `step` queries of a group at a time.
///
/// \param stack  stack(rows, queries) writes the queries of these rows, [rows, qk_dim], scaled
template <class Call, kv_source Source, class Stack, class Visit>
void visit_blocks(const Call& call, const Source& source, Index step, const Stack& stack,
                  score_stage stage, const Visit& visit) {
  if (call.kv_len == 0) return;
  for (Index g = 0; g < call.groups(); ++g)
    for (Index t = 0; t < call.q.tokens(); t += step) {
      const Index count = std::min(step, call.q.tokens() - t);
      const stacked_rows rows{g, call.heads_per_group, t * call.heads_per_group,
                              count * call.heads_per_group};
      scratch memory;
      auto* const queries = memory.take<typename Call::Scalar>(rows.count * source.qk_dim());
      stack(rows, queries);
      score_block(call, source, rows, queries, memory).visit(stage, visit);
    }
}

/// A tile of some of the tokens as tiles of all of them: in parts whose tokens follow one another.
template <class Scalar, kv_selection Selection, class Visit>
void visit_among_all(const score_tile<Scalar>& tile, const Selection& selection,
                     const Visit& visit) {
  const Index tokens = tile.scores.cols();
  for (Index begin = 0, end = 0; begin < tokens; begin = end) {
    const Index first = selection.token(tile.first_key + begin);
    do ++end;
    while (end < tokens && selection.token(tile.first_key + end) == first + end - begin);
    visit(score_tile<Scalar>{tile.head,
                             tile.first_query,
                             first,
                             {tile.scores.data() + begin, tile.scores.rows(), end - begin,
                              Eigen::OuterStride<>(tile.scores.outerStride())}});
  }
}

/// What a cache around another is given to call in place of attention: the sizes of that, and no
/// more, since it visits scores over what is in the cache, by over(q, source, mask, options,
/// visit).
template <class Core, class Scalar, class Over, class Visit>
class scores_within : public Core {
 public:
  scores_within(const Core& core, const Over& over, const Visit& visit)
      : Core(core), over_(over), visit_(visit) {}

  template <class Query, class Source, class Out, attention_mask Mask = none,
            class Executor = serial>
  void operator()(const Query& q, const Source& source, const Out&, const Mask& mask = {},
                  const attention_options<Scalar>& options = {}, const Executor& = {}) const {
    if constexpr (kv_selection<Source>)
      over_(q, source, mask, options,
            [&](const score_tile<Scalar>& tile) { visit_among_all(tile, source, visit_); });
    else
      over_(q, source, mask, options, visit_);
  }

 private:
  const Over& over_;
  const Visit& visit_;
};

/// Visits scores through a cache around another, which has no outputs to change.
template <class Scalar, class Core, class Query, wrapping_cache Cache, class Mask, class Visit,
          class Over>
void visit_within(const Core& core, const Query& q, const Cache& cache, const Mask& mask,
                  const attention_options<Scalar>& options, const Visit& visit, const Over& over) {
  cache.attend(scores_within<Core, Scalar, Over, Visit>(core, over, visit), q, view<Scalar>(), mask,
               options, serial());
}

}  // namespace detail

/// Calls visit(score_tile) with the scores of an attention at one stage, tile by tile, every query,
/// head and key once: for looking at attention, or for choosing what a cache may drop. No more than
/// a tile is in memory. Values are not read.
///
/// It computes the scores anew, twice for softmax, on one thread, and not with the kernels of
/// attention: numbers agree up to rounding, and cost several times as much.
///
///     headroom::visit_scores(attend, headroom::score_stage::softmax, q, cache, causal{}, {},
///                            [&](const auto& tile) {
///                              total.segment(tile.first_key, tile.scores.cols()) +=
///                                  tile.scores.colwise().sum();
///                            });
///
/// For latent attention see mla_scores.hpp.
///
/// \tparam Scalar  float or double, what is computed in
/// \param attend   an attention: the sizes
/// \param stage    what the scores that are visited have been through
/// \param q        [q_len, Q_heads, qk_dim], as attention takes it
/// \param source   keys of [kv_len, KV_groups, qk_dim]: a cache, view_source, or any other
/// \param mask     as attention takes it, none{} for all keys
/// \param options  as attention takes them; lse is not written
/// \param visit    called on this thread; what it throws ends the visits
/// \throws std::invalid_argument as attention does, before the first visit
/// \cost   q_len * kv_len * 2 Q_heads qk_dim flops, twice for softmax, whatever the mask hides;
///         memory of a few queries and a tile
/// \source ONNX Attention, qk_matmul_output_mode 0 to 3
template <class Scalar = float, int Q_heads, int KV_groups, int qk_dim, int v_dim, viewable Query,
          kv_source Source, attention_mask Mask, std::invocable<const score_tile<Scalar>&> Visit>
void visit_scores(const attention<Q_heads, KV_groups, qk_dim, v_dim>& attend, score_stage stage,
                  const Query& q, const Source& source, const Mask& mask,
                  const attention_options<std::type_identity_t<Scalar>>& options,
                  const Visit& visit) {
  static_assert(detail::compute_scalar<Scalar>,
                "visit_scores<Scalar>: Scalar must be float or double");
  static_assert(detail::storage_scalar<scalar_of<Query>>,
                "visit_scores: q must be of float, double, Eigen::half or Eigen::bfloat16");
  const auto sizes = detail::sizes_of("visit_scores", attend);
  detail::check_source(sizes, source);
  const auto queries = detail::queries_of(sizes, q);
  const view<Scalar> no_output(nullptr, queries.tokens(), sizes.Q_heads, sizes.v_dim, 0, 0);
  const auto call =
      detail::checked_call(sizes, queries, no_output, Index(source.tokens()), mask, options);
  const Index step = std::max<Index>(1, detail::score_queries / call.heads_per_group);
  const auto stack = [&](const detail::stacked_rows& rows, Scalar* stacked) {
    detail::stack_queries(queries, rows, call.scale, stacked);
  };
  detail::visit_blocks(call, source, step, stack, stage, visit);
}

/// The same over a cache around another: the scores of its tokens, whatever it does to keys and
/// queries to store them. Of a ring_cache, keys are counted, and first_key is, in the whole
/// context; visited are those that a call of attention reads, the prefix and the tokens from the
/// first query's window on. A tile ends where they do not follow one another. What the ring has
/// dropped, or hides from all queries, is not visited.
template <class Scalar = float, int Q_heads, int KV_groups, int qk_dim, int v_dim, viewable Query,
          wrapping_cache Cache, attention_mask Mask,
          std::invocable<const score_tile<Scalar>&> Visit>
void visit_scores(const attention<Q_heads, KV_groups, qk_dim, v_dim>& attend, score_stage stage,
                  const Query& q, const Cache& cache, const Mask& mask,
                  const attention_options<std::type_identity_t<Scalar>>& options,
                  const Visit& visit) {
  const auto over = [&](const auto& queries, const auto& source, const auto&... others) {
    visit_scores<Scalar>(attend, stage, queries, source, others...);
  };
  detail::visit_within<Scalar>(attend, q, cache, mask, options, visit, over);
}

}  // namespace headroom::inline HEADROOM_ISA
