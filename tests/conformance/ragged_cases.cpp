// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "case.hpp"
#include "paged_source.hpp"

#include <headroom/latent_cache.hpp>
#include <headroom/mla.hpp>
#include <headroom/softmax_state.hpp>
#include <numbers>

namespace conformance {

namespace {

/// Requests whose queries lie one after another; keys and values do too, or are in pages.
struct requests {
  explicit requests(test_case& c);
  requests(const requests&) = delete;  // the mask refers to slopes

  Index Q_heads, KV_groups, qk_dim, v_dim, page_size = 0;
  std::string storage;
  double scale, softcap;
  bool pages_heads_first = false;
  masks mask;
  tensor<float> slopes;
  std::vector<Index> q_begin, kv_begin, lengths;
  std::vector<std::vector<Index>> pages;

  Index count() const { return std::ssize(q_begin) - 1; }
  Index q_total() const { return q_begin.back(); }
  std::vector<Index> page_shape(Index dim) const {
    if (pages_heads_first) return {any_extent, KV_groups, page_size, dim};
    return {any_extent, page_size, KV_groups, dim};
  }

 private:
  void read_storage(test_case& c);
  void read_alibi(test_case& c);
};

requests::requests(test_case& c) {
  attributes& s = c.spec();
  Q_heads = s.integer("num_q_heads");
  KV_groups = s.integer("num_kv_heads");
  qk_dim = s.integer("head_dim_qk");
  v_dim = s.integer("head_dim_v");
  scale = s.number("scale");
  softcap = s.number("softcap");
  if (s.flag("causal")) mask.causal.emplace();
  mask.window = window_of(s.integer("window_left"), -1);
  q_begin = c.integers("q_indptr", {s.given("batch") ? s.integer("batch") + 1 : any_extent}).data;
  s.one_of("q_offset_rule",
           {"kv_len - q_len per request", "kv_len - q_len per request (bottom-right)"});
  s.explained_by_others({"fully_masked_rows"});
  read_storage(c);
  if (s.given("alibi")) read_alibi(c);
}

std::vector<Index> differences(const std::vector<Index>& begins) {
  std::vector<Index> lengths;
  for (std::size_t r = 0; r + 1 < begins.size(); ++r) lengths.push_back(begins[r + 1] - begins[r]);
  return lengths;
}

void requests::read_storage(test_case& c) {
  attributes& s = c.spec();
  storage = s.one_of("kv_storage", {"ragged", "paged_indptr", "paged_table"});
  if (storage == "ragged") {
    kv_begin = c.integers("kv_indptr", {count() + 1}).data;
    lengths = differences(kv_begin);
    return;
  }
  page_size = s.integer("page_size");
  if (s.given("page_layout")) pages_heads_first = s.one_of("page_layout", {"NHD", "HND"}) == "HND";
  if (storage == "paged_indptr") {
    const std::vector<Index> begin = c.integers("page_indptr", {count() + 1}).data;
    const std::vector<Index> ids = c.integers("page_indices", {begin.back()}).data;
    for (const Index full_pages : differences(begin)) lengths.push_back(full_pages * page_size);
    for (std::size_t r = 0; r + 1 < begin.size(); ++r)
      pages.emplace_back(ids.begin() + begin[r], ids.begin() + begin[r + 1]);
  } else {
    lengths = c.integers("kv_lens", {count()}).data;
    const tensor<Index> table = c.integers("block_table", {count(), any_extent});
    for (Index r = 0; r < table.extent(0); ++r)
      pages.emplace_back(table.entry(r), table.entry(r) + table.entry_size());
  }
}

void requests::read_alibi(test_case& c) {
  attributes& alibi = c.spec().group("alibi");
  alibi.one_of("slopes", {"alibi_slopes"});
  alibi.one_of("slopes_rule", {"standard geometric slopes of the head count"});
  alibi.one_of("form", {"slope*j"});  // ours and a constant of the row
  require(mask.causal && !c.spec().given("lse"),
          "spec.alibi: slope*j is -slope*|p-j| only under causal, but for lse");
  slopes = c.numbers<float>("alibi_slopes", {Q_heads});
  c.check("alibi_slopes", hr::alibi_slopes(Q_heads));
  mask.alibi.emplace(slopes.data);
}

/// The log-sum-exp of another base, and of another sign where there is no key.
template <class T>
void check_lse(test_case& c, std::vector<T> lse) {
  attributes& spec = c.spec().group("lse");
  if (spec.one_of("base", {"e", "2"}) == "2")
    for (T& l : lse) l *= std::numbers::log2e_v<T>;
  if (spec.given("empty")) spec.one_of("empty", {"-inf", "+inf"});
  c.check(expected<T>("lse"), lse, difference::lse_of_empty_row, [](auto& numbers) {
    for (T& l : numbers)
      if (std::isinf(l)) l = -l;
  });
}

/// Calls attend(q, source, out, mask, options) for every request and checks what comes out.
template <class T, class SourceOf, class Attend>
void run_each(test_case& c, const requests& x, const tensor<T>& q, const SourceOf& source_of,
              const Attend& attend) {
  std::vector<T> sinks, lse;
  if (c.spec().given("sinks")) {
    c.spec().one_of("sinks", {"sinks"});
    sinks = c.numbers<T>("sinks", {x.Q_heads}).data;
  }
  if (c.spec().given("lse")) lse = unwritten<T>(x.q_total() * x.Q_heads);
  std::vector<T> out = unwritten<T>(x.q_total() * x.Q_heads * x.v_dim);
  for (Index r = 0; r < x.count(); ++r) {
    const Index begin = x.q_begin[static_cast<std::size_t>(r)];
    const Index end = x.q_begin[static_cast<std::size_t>(r) + 1];
    const hr::view<const T> queries =
        hr::tokens_major(q.data.data(), x.q_total(), x.Q_heads, x.qk_dim).slice_tokens(begin, end);
    const hr::view<T> rows =
        hr::tokens_major(out.data(), x.q_total(), x.Q_heads, x.v_dim).slice_tokens(begin, end);
    hr::attention_options<T> options{
        .scale = static_cast<T>(x.scale), .softcap = static_cast<T>(x.softcap), .sinks = sinks};
    if (!lse.empty()) options.lse = {lse.data() + begin * x.Q_heads, end - begin, x.Q_heads};
    attend(queries, source_of(r), rows, x.mask.composed(), options);
  }
  c.check(expected<T>("out"), out);
  if (!lse.empty()) check_lse(c, lse);
}

/// Through the library, and in double through the definition.
template <class T, class SourceOf>
void run_both(test_case& c, const requests& x, const tensor<T>& q, const SourceOf& source_of) {
  run_each(c, x, q, source_of, attention_of(x.Q_heads, x.KV_groups, x.qk_dim, x.v_dim));
  if constexpr (std::same_as<T, double>)
    run_each(c, x, q, source_of, [](const auto&... arguments) { define<T>(arguments...); });
}

template <class T>
void run_ragged(test_case& c, const requests& x) {
  const tensor<T> q = c.numbers<T>("q", {x.q_total(), x.Q_heads, x.qk_dim});
  if (x.storage == "ragged") {
    const tensor<T> k = c.numbers<T>("k", {x.kv_begin.back(), x.KV_groups, x.qk_dim});
    const tensor<T> v = c.numbers<T>("v", {x.kv_begin.back(), x.KV_groups, x.v_dim});
    run_both(c, x, q, [&](Index r) {
      const auto slice = [&](const tensor<T>& numbers, Index dim) {
        return hr::tokens_major(numbers.data.data(), numbers.extent(0), x.KV_groups, dim)
            .slice_tokens(x.kv_begin[static_cast<std::size_t>(r)],
                          x.kv_begin[static_cast<std::size_t>(r) + 1]);
      };
      return hr::view_source<T, T>(slice(k, x.qk_dim), slice(v, x.v_dim));
    });
  } else {
    page_pool<T> keys(c.numbers<T>("k_cache", x.page_shape(x.qk_dim)), x.pages_heads_first);
    page_pool<T> values(c.numbers<T>("v_cache", x.page_shape(x.v_dim)), x.pages_heads_first);
    keys.poison_unused(x.pages, x.lengths);
    values.poison_unused(x.pages, x.lengths);
    run_both(c, x, q, [&](Index r) {
      const auto i = static_cast<std::size_t>(r);
      return paged_source<T>(keys, values, x.v_dim, x.pages[i], x.lengths[i]);
    });
  }
}

/// Both as multi-query attention over the latents, and as mla in its absorbed form with
/// up-projections that change nothing.
template <class T, class SourceOf>
void run_latent(test_case& c, const requests& x, const tensor<T>& q, const SourceOf& source_of) {
  run_both(c, x, q, source_of);
  if constexpr (std::same_as<T, float>) {
    using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    const Matrix up = Matrix::Identity(x.v_dim, x.v_dim).replicate(2 * x.Q_heads, 1);
    constexpr int any = Eigen::Dynamic;
    const hr::mla<any, any, any, any, any> latent_attention(x.Q_heads, x.v_dim, x.v_dim,
                                                            x.qk_dim - x.v_dim, x.v_dim);
    run_each(c, x, q, source_of, [&](const auto& queries, const auto& source, const auto&... rest) {
      latent_attention.absorbed(queries, source, hr::linear(up), rest...);
    });
  }
}

template <class T>
void run_paged_latents(test_case& c, const requests& x) {
  if (c.has("kv_cache")) {
    page_pool<T> latents(c.numbers<T>("kv_cache", x.page_shape(x.qk_dim)), false);
    latents.poison_unused(x.pages, x.lengths);
    run_latent(c, x, c.numbers<T>("q", {x.q_total(), x.Q_heads, x.qk_dim}), [&](Index r) {
      const auto i = static_cast<std::size_t>(r);
      return paged_source<T>(latents, latents, x.v_dim, x.pages[i], x.lengths[i]);
    });
  } else {
    const Index rope = x.qk_dim - x.v_dim;
    const page_pool<T> latents(c.numbers<T>("ckv_cache", {any_extent, x.page_size, x.v_dim}),
                               false);
    const page_pool<T> rope_keys(c.numbers<T>("kpe_cache", {any_extent, x.page_size, rope}), false);
    const tensor<T> q = join_last(c.numbers<T>("q", {x.q_total(), x.Q_heads, x.v_dim}),
                                  c.numbers<T>("q_pe", {x.q_total(), x.Q_heads, rope}));
    run_latent(c, x, q, [&](Index r) {
      const auto i = static_cast<std::size_t>(r);
      hr::latent_cache<T> cache(x.lengths[i], x.v_dim, rope);
      for (Index j = 0; j < x.lengths[i]; j += x.page_size) {
        const Index page = x.pages[i].at(static_cast<std::size_t>(j / x.page_size));
        const Index used = std::min(x.page_size, x.lengths[i] - j);
        cache.append(latents.page(page).slice_tokens(0, used),
                     rope_keys.page(page).slice_tokens(0, used));
      }
      return cache;
    });
  }
}

template <class T>
void run_merge(test_case& c) {
  const Index states = c.spec().integer("num_states");
  const tensor<T> v = c.numbers<T>("v", {any_extent, states, any_extent, any_extent});
  const Index tokens = v.extent(0), heads = v.extent(2), dim = v.extent(3);
  const tensor<T> s = c.numbers<T>("s", {tokens, states, heads});
  std::vector<T> part_lse;
  for (const T base_two : s.data) part_lse.push_back(base_two * std::numbers::ln2_v<T>);

  const auto part = [&](Index n) {
    return hr::view<const T>(v.data.data() + n * heads * dim, tokens, heads, dim,
                             states * heads * dim, dim);
  };
  const auto lse_of_part = [&](Index n) {
    return hr::token_head_view<T>(part_lse.data() + n * heads, tokens, heads, states * heads, 1);
  };
  std::vector<T> out = unwritten<T>(tokens * heads * dim), lse = unwritten<T>(tokens * heads);
  const hr::view<T> merged = hr::tokens_major(out.data(), tokens, heads, dim);
  const hr::token_head_view<T> merged_lse(lse.data(), tokens, heads);
  hr::merge_attention(part(0), lse_of_part(0), part(1), lse_of_part(1), merged, merged_lse);
  for (Index n = 2; n < states; ++n)
    hr::merge_attention(merged, merged_lse, part(n), lse_of_part(n), merged, merged_lse);
  c.check(expected<T>("out"), out);
  check_lse(c, lse);
}

}  // namespace

void run_ragged_attention(test_case& c) {
  const requests x(c);
  run_ragged<float>(c, x);
  run_ragged<double>(c, x);
}

void run_ragged_mla(test_case& c) {
  const requests x(c);
  run_paged_latents<float>(c, x);
  run_paged_latents<double>(c, x);
}

void run_merge_states(test_case& c) {
  run_merge<float>(c);
  run_merge<double>(c);
}

}  // namespace conformance
