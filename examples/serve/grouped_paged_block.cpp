// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <headroom/batch.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/paged_cache.hpp>
#include <headroom/rms_norm.hpp>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "paged_block.hpp"

namespace serve {

namespace {

constexpr int dynamic = Eigen::Dynamic;  // every size comes from config.json

/// Multi-head, grouped-query and multi-query attention, of all sequences in one call.
template <class Stored>
class grouped_paged_block : public paged_block {
  using core = headroom::attention<dynamic, dynamic, dynamic, dynamic>;
  using source = headroom::paged_view<Stored>;
  using mask = headroom::both_masks<headroom::causal, headroom::sliding_window>;
  using sequence = headroom::batch_sequence<source, mask>;

 public:
  grouped_paged_block(generate::weight_reader& weights, const std::string& name,
                      const generate::model_config& c, const pool_config& pool,
                      const row_blocks& blocks)
      : blocks_(blocks),
        core_(c.heads, c.kv_heads, c.head_dim, c.head_dim),
        q_(weights, name + ".q_proj", c.heads * c.head_dim, c.hidden, c.qkv_bias),
        k_(weights, name + ".k_proj", c.kv_heads * c.head_dim, c.hidden, c.qkv_bias),
        v_(weights, name + ".v_proj", c.kv_heads * c.head_dim, c.hidden, c.qkv_bias),
        o_(weights, name + ".o_proj", c.hidden, c.heads * c.head_dim, c.output_bias),
        norm_eps_(c.norm_eps),
        rotary_(c.head_dim, c.rope),
        window_(c.window),
        pool_(pages_in(pool, Pool(1, pool.page_tokens, c.kv_heads, c.head_dim).bytes()),
              pool.page_tokens, c.kv_heads, c.head_dim) {
    if (!c.qk_norm) return;
    q_norm_ = weights.vector(name + ".q_norm.weight", c.head_dim);
    k_norm_ = weights.vector(name + ".k_norm.weight", c.head_dim);
  }

  void open(Index number) override { sequences_.emplace(number, Cache(pool_)); }
  void fork(Index from, Index to) override { sequences_.emplace(to, sequences_.at(from).fork()); }
  void close(Index number) override { sequences_.erase(number); }

  void operator()(const Matrix& x, const packed_rows& rows, Matrix& out) override {
    Matrix q = project(q_, x), k = project(k_, x), v = project(v_, x);
    turn(q, core_.q_heads(), q_norm_, rows);
    turn(k, core_.kv_groups(), k_norm_, rows);
    Index first = 0;
    for (const run& r : rows.runs) {
      sequences_.at(r.sequence)
          .append(k.middleRows(first, r.tokens.tokens()), v.middleRows(first, r.tokens.tokens()));
      first += r.tokens.tokens();
    }
    Matrix attended(x.rows(), q.cols());
    attend(q, rows, attended);
    blocks_(attended, out, [&](const Matrix& in, Matrix& part) { o_(in, part, one_thread_); });
  }

  const headroom::page_stock& pool() const override { return pool_; }
  Index pool_bytes() const override { return pool_.bytes(); }

 private:
  using Pool = headroom::page_pool<Stored>;
  using Cache = headroom::paged_cache<Stored>;

  Matrix project(const generate::any_linear& weights, const Matrix& x) const {
    Matrix y(x.rows(), weights.out_features());
    blocks_(x, y, [&](const Matrix& in, Matrix& part) { weights(in, part, one_thread_); });
    return y;
  }

  /// Norm and rotation of each head.
  void turn(Matrix& x, Index heads, const Eigen::RowVectorXf& gain, const packed_rows& rows) const {
    const auto view = headroom::tokens_major(x.data(), x.rows(), heads, x.cols() / heads);
    if (gain.size() > 0)
      headroom::rms_norm(view,
                         std::span<const float>(gain.data(), static_cast<std::size_t>(gain.size())),
                         norm_eps_);
    rotary_(view, rows.positions);
  }

  void attend(const Matrix& q, const packed_rows& rows, Matrix& attended) const {
    std::vector<source> sources;
    std::vector<Index> offsets = {0};
    sources.reserve(rows.ids.size());  // sequences refer to them
    std::vector<sequence> sequences;
    rows.for_each_query([&](Index number, Index queries, Index tokens) {
      sources.push_back(up_to(tokens, sequences_.at(number)));
      // A window as long as the sequence hides nothing: one mask, compiled once, serves both cases.
      sequences.emplace_back(
          sources.back(), headroom::causal{} & headroom::sliding_window(window_.value_or(tokens)));
      offsets.push_back(offsets.back() + queries);
    });
    headroom::attend_batch(core_, q, offsets, sequences, attended, {}, blocks_.executor());
  }

  /// The first tokens of a sequence: what it was when it had no more.
  source up_to(Index tokens, const Cache& cache) const {
    return source(
        pool_.key_pages(), pool_.value_pages(),
        {pool_.pages(), pool_.page_tokens(), pool_.groups(), pool_.qk_dim(), pool_.v_dim()},
        cache.block_table(), tokens);
  }

  row_blocks blocks_;
  generate::threads one_thread_{1};  // of a block
  core core_;
  generate::any_linear q_, k_, v_, o_;
  Eigen::RowVectorXf q_norm_, k_norm_;  // of a head, or empty
  double norm_eps_;
  headroom::rope rotary_;
  std::optional<Index> window_;
  Pool pool_;
  std::map<Index, Cache> sequences_;
};

}  // namespace

std::unique_ptr<paged_block> make_grouped_paged_block(generate::weight_reader& weights,
                                                      const std::string& name,
                                                      const generate::model_config& config,
                                                      const pool_config& pool,
                                                      const row_blocks& blocks) {
  const auto make = [&]<class Stored>(const Stored*) -> std::unique_ptr<paged_block> {
    return std::make_unique<grouped_paged_block<Stored>>(weights, name, config, pool, blocks);
  };
  if (pool.dtype == "I8") return make(static_cast<const headroom::int8_rows*>(nullptr));
  return generate::with_scalar(pool.dtype, make);
}

}  // namespace serve
