// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <headroom/int8_codec.hpp>
#include <headroom/mla_batch.hpp>
#include <headroom/paged_latents.hpp>
#include <headroom/paged_view.hpp>
#include <headroom/rms_norm.hpp>
#include <iterator>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "paged_block.hpp"

namespace serve {

namespace {

constexpr int dynamic = Eigen::Dynamic;  // every size comes from config.json

/// Latent attention with DeepSeek-V2's names, of all sequences in one call.
///
/// \tparam rank  of the latents, where Stored is a codec
template <class Stored, int rank = dynamic>
class latent_paged_block : public paged_block {
  using Pool = headroom::latent_page_pool<Stored, rank>;
  using Cache = headroom::paged_latents<Stored, rank>;
  using core = headroom::mla<dynamic, dynamic, dynamic, dynamic, dynamic>;
  using source = headroom::paged_view<typename Pool::KeyCodec, typename Pool::ValueCodec>;
  using sequence = headroom::batch_sequence<source, headroom::causal>;

 public:
  latent_paged_block(generate::weight_reader& weights, const std::string& name,
                     const generate::model_config& c, const generate::latent_config& l,
                     const pool_config& pool, const row_blocks& blocks)
      : blocks_(blocks),
        core_(c.heads, l.rank, l.nope, l.rope, l.value),
        queries_(weights, name + (l.query_rank > 0 ? ".q_b_proj" : ".q_proj"),
                 c.heads * (l.nope + l.rope), l.query_rank > 0 ? l.query_rank : c.hidden),
        kv_down_(weights, name + ".kv_a_proj_with_mqa", l.rank + l.rope, c.hidden),
        kv_norm_(weights.vector(name + ".kv_a_layernorm.weight", l.rank)),
        kv_up_(read_up(weights, name + ".kv_b_proj.weight", c.heads * (l.nope + l.value), l.rank)),
        o_(weights, name + ".o_proj", c.hidden, c.heads * l.value),
        rotary_(l.rope, c.rope),
        scale_(c.latent_scale()),
        pool_(pages_in(pool, Pool(1, pool.page_tokens, l.rank, l.rope).bytes()), pool.page_tokens,
              l.rank, l.rope) {
    if (l.query_rank == 0) return;
    query_down_.emplace(weights, name + ".q_a_proj", l.query_rank, c.hidden);
    query_norm_ = weights.vector(name + ".q_a_layernorm.weight", l.query_rank);
  }

  void open(Index number) override { sequences_.emplace(number, Cache(pool_)); }
  void fork(Index from, Index to) override { sequences_.emplace(to, sequences_.at(from).fork()); }
  void close(Index number) override { sequences_.erase(number); }

  void operator()(const Matrix& x, const packed_rows& rows, Matrix& out) override {
    Matrix q = query_projection(x), kv = project(kv_down_, x);
    const auto queries =
        headroom::tokens_major(q.data(), x.rows(), core_.q_heads(), q.cols() / core_.q_heads());
    rotary_(queries.slice_dim(core_.nope_width(), queries.dim()), rows.positions);
    const auto both = headroom::tokens_major(kv.data(), x.rows(), 1, kv.cols());
    const auto latents = both.slice_dim(0, core_.rank());
    const auto rope_keys = both.slice_dim(core_.rank(), both.dim());
    headroom::rms_norm(latents, gain(kv_norm_), norm_eps);
    rotary_(rope_keys, rows.positions);

    Index first = 0;
    for (const run& r : rows.runs) {
      const Index last = first + r.tokens.tokens();
      sequences_.at(r.sequence)
          .append(latents.slice_tokens(first, last), rope_keys.slice_tokens(first, last));
      first = last;
    }
    Matrix attended(x.rows(), core_.q_heads() * core_.value_width());
    attend(q, rows, attended);
    blocks_(attended, out, [&](const Matrix& in, Matrix& part) { o_(in, part, one_thread_); });
  }

  const headroom::page_stock& pool() const override { return pool_; }
  Index pool_bytes() const override { return pool_.bytes(); }

 private:
  // As DeepSeek's code has it whatever rms_norm_eps says.
  static constexpr double norm_eps = 1e-6;

  // In float: the core takes a matrix whose scalar is known.
  static Matrix read_up(generate::weight_reader& weights, const std::string& name, Index out,
                        Index in) {
    const Eigen::RowVectorXf numbers = to_float(weights.get(name, {out, in}), 0, out * in);
    return Eigen::Map<const Matrix>(numbers.data(), out, in);
  }

  static std::span<const float> gain(const Eigen::RowVectorXf& numbers) {
    return {numbers.data(), static_cast<std::size_t>(numbers.size())};
  }

  Matrix query_projection(const Matrix& x) const {
    if (!query_down_) return project(queries_, x);
    Matrix low = project(*query_down_, x);
    headroom::rms_norm(headroom::tokens_major(low.data(), low.rows(), 1, low.cols()),
                       gain(query_norm_), norm_eps);
    return project(queries_, low);
  }

  Matrix project(const generate::any_linear& weights, const Matrix& x) const {
    Matrix y(x.rows(), weights.out_features());
    blocks_(x, y, [&](const Matrix& in, Matrix& part) { weights(in, part, one_thread_); });
    return y;
  }

  void attend(const Matrix& q, const packed_rows& rows, Matrix& attended) const {
    std::vector<source> sources;
    std::vector<Index> offsets = {0};
    sources.reserve(rows.ids.size());  // sequences refer to them
    std::vector<sequence> sequences;
    rows.for_each_query([&](Index number, Index queries, Index tokens) {
      sources.push_back(up_to(tokens, sequences_.at(number)));
      sequences.emplace_back(sources.back());
      offsets.push_back(offsets.back() + queries);
    });
    headroom::attend_batch(core_, q, offsets, sequences, headroom::linear<float>(kv_up_), attended,
                           {.scale = scale_}, blocks_.executor());
  }

  /// The first tokens of a sequence: what it was when it had no more.
  source up_to(Index tokens, const Cache& cache) const {
    const auto& pages = pool_.latent_pages();  // a value is the beginning of the key
    return source(
        pages, pages,
        {pool_.pages(), pool_.page_tokens(), 1, pool_.rank() + pool_.rope_width(), pool_.rank()},
        cache.block_table(), tokens);
  }

  row_blocks blocks_;
  generate::threads one_thread_{1};  // of a block
  core core_;
  std::optional<generate::any_linear> query_down_;
  Eigen::RowVectorXf query_norm_;
  generate::any_linear queries_, kv_down_;
  Eigen::RowVectorXf kv_norm_;
  Matrix kv_up_;
  generate::any_linear o_;
  headroom::rope rotary_;
  float scale_;
  Pool pool_;
  std::map<Index, Cache> sequences_;
};

/// Of latents in int8: the block that is compiled for this rank.
template <std::size_t i = 0>
std::unique_ptr<paged_block> make_int8_block(generate::weight_reader& weights,
                                             const std::string& name,
                                             const generate::model_config& config,
                                             const generate::latent_config& latent,
                                             const pool_config& pool, const row_blocks& blocks) {
  if constexpr (i < std::size(int8_latent_ranks)) {
    constexpr int rank = int8_latent_ranks[i];
    if (latent.rank == rank)
      return std::make_unique<latent_paged_block<headroom::int8_rows, rank>>(weights, name, config,
                                                                             latent, pool, blocks);
    return make_int8_block<i + 1>(weights, name, config, latent, pool, blocks);
  } else {
    generate::fail("latents of ", latent.rank, " cannot be kept in int8, only in float, half or ",
                   "bfloat16");
  }
}

}  // namespace

std::unique_ptr<paged_block> make_latent_paged_block(generate::weight_reader& weights,
                                                     const std::string& name,
                                                     const generate::model_config& config,
                                                     const pool_config& pool,
                                                     const row_blocks& blocks) {
  const generate::latent_config& latent = config.latent.value();
  if (pool.dtype == "I8") return make_int8_block(weights, name, config, latent, pool, blocks);
  return generate::with_scalar(pool.dtype,
                               [&]<class Stored>(const Stored*) -> std::unique_ptr<paged_block> {
                                 return std::make_unique<latent_paged_block<Stored>>(
                                     weights, name, config, latent, pool, blocks);
                               });
}

}  // namespace serve
