// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "padded_batch.hpp"

#include <cmath>
#include <headroom/kv_cache.hpp>

namespace conformance {

namespace {

/// Calls f with the mask, as one of the library's plain types where it is one.
template <class F>
void with_mask(const masks& m, const F& f) {
  if (!m.only_ranges() || (m.window && !m.causal)) return f(m.composed());
  if (m.window) return f(hr::causal{} & *m.window);
  if (m.top_left) return f(hr::causal_top_left{});
  if (m.causal) return f(hr::causal{});
  f(hr::none{});
}

template <class T>
class runner {
 public:
  runner(test_case& c, const padded_batch& x)
      : c_(c),
        x_(x),
        attention_(attention_of(x.Q_heads, x.KV_groups, x.qk_dim, x.v_dim)),
        q_(c.numbers<T>("q", x.shape(x.q_len, x.Q_heads, x.qk_dim))),
        k_(c.numbers<T>("k", x.shape(x.kv_new, x.KV_groups, x.qk_dim))),
        v_(c.numbers<T>("v", x.shape(x.kv_new, x.KV_groups, x.v_dim))) {
    if (c.spec().given("sinks")) {
      c.spec().one_of("sinks", {"sinks"});
      sinks_ = c.numbers<T>("sinks", {x.Q_heads}).data;
    }
    if (x.kv_past > 0) {
      past_k_ = c.numbers<T>("past_k", {x.sequences, x.KV_groups, x.kv_past, x.qk_dim});
      past_v_ = c.numbers<T>("past_v", {x.sequences, x.KV_groups, x.kv_past, x.v_dim});
    }
    poison_unseen_keys();
  }

  /// Through the library, with keys and values in place, or in a cache if some came before.
  void run() {
    reset();
    for (Index b = 0; b < x_.sequences; ++b)
      if (x_.kv_past > 0) {
        const auto cache = cached<T>(b);
        attention_(queries(b), cache, out(b), x_.masks_of(b).composed(), options(b));
      } else if constexpr (std::same_as<T, double>) {
        attention_(queries(b), keys(b), values(b), out(b), x_.masks_of(b).composed(), options(b));
      } else {
        with_mask(x_.masks_of(b), [&](const auto& mask) {
          attention_(queries(b), keys(b), end_of_keys(b), out(b), mask, options(b));
        });
      }
    check_results();
  }

  /// Through a cache in half precision, in which the numbers of these cases are exact.
  void run_half() {
    reset();
    for (Index b = 0; b < x_.sequences; ++b)
      attention_(queries(b), cached<Eigen::half>(b), out(b), x_.masks_of(b).composed(), options(b));
    check_results();
    c_.check("out_fp16", out_);
    if (present_k_.empty()) return;
    c_.check("present_k_fp16", present_k_);
    c_.check("present_v_fp16", present_v_);
  }

  /// Through the definition, with the scores of one stage where they are asked for.
  void run_reference() {
    reset();
    std::vector<T> scores;
    if (x_.score_stage) scores = unwritten<T>(x_.sequences * x_.Q_heads * x_.q_len * x_.kv_len);
    for (Index b = 0; b < x_.sequences; ++b) {
      const auto cache = cached<T>(b);
      define(queries(b), cache, out(b), x_.masks_of(b).composed(), options(b), stage(b, scores));
    }
    check_results();
    if (x_.score_stage) {
      c_.check("qk64", scores);
      c_.check("qk", scores);
      if (c_.has("qk_fp16")) c_.check("qk_fp16", scores);
    }
  }

 private:
  hr::view<const T> queries(Index b) const {
    return query_shaped(q_.entry(b), x_.qk_dim).slice_tokens(0, x_.q_rows(b));
  }
  hr::view<const T> keys(Index b) const {
    return in_place(k_.entry(b), x_.heads_first(), x_.kv_new, x_.KV_groups, x_.qk_dim);
  }
  hr::view<const T> values(Index b) const {
    return in_place(v_.entry(b), x_.heads_first(), x_.kv_new, x_.KV_groups, x_.v_dim);
  }
  hr::view<const T> end_of_keys(Index b) const {
    return x_.value_is_end_of_key ? keys(b).slice_dim(x_.qk_dim - x_.v_dim, x_.qk_dim) : values(b);
  }
  hr::view<T> out(Index b) {
    const auto rows = query_shaped(out_.data() + b * x_.q_len * x_.Q_heads * x_.v_dim, x_.v_dim);
    fill_rows(rows.slice_tokens(x_.q_rows(b), x_.q_len), T(0));
    return rows.slice_tokens(0, x_.q_rows(b));
  }
  template <class U>
  hr::view<U> query_shaped(U* data, Index dim) const {
    return in_place(data, x_.heads_first(), x_.q_len, x_.Q_heads, dim);
  }

  hr::attention_options<T> options(Index b) {
    hr::attention_options<T> options{.softcap = static_cast<T>(x_.softcap), .sinks = sinks_};
    if (x_.scale) options.scale = static_cast<T>(*x_.scale);
    options.first_position = x_.first_position(b);
    if (!lse_.empty())
      options.lse = {lse_.data() + b * x_.Q_heads * x_.q_len, x_.q_len, x_.Q_heads, 1, x_.q_len};
    return options;
  }

  hr::reference_scores<T> stage(Index b, std::vector<T>& scores) const {
    if (scores.empty()) return {};
    const Index matrix = x_.q_len * x_.kv_len;
    const hr::view<T> rows(scores.data() + b * x_.Q_heads * matrix, x_.q_len, x_.Q_heads, x_.kv_len,
                           x_.kv_len, matrix);
    switch (*x_.score_stage) {
      case 0:
        return {.raw = rows};
      case 1:
        return {.capped = rows};
      case 2:
        return {.biased = rows};
      case 3:
        return {.softmax = rows};
    }
    throw std::runtime_error("spec.qk_output_mode: unknown");
  }

  /// The keys and values of sequence b in a cache: those that came before, then the new ones.
  template <class Stored>
  hr::kv_cache<Stored> cached(Index b) {
    hr::kv_cache<Stored> cache(x_.kv_len, x_.KV_groups, x_.qk_dim, x_.v_dim);
    if (x_.kv_past > 0)
      cache.append(hr::heads_major(past_k_.entry(b), x_.kv_past, x_.KV_groups, x_.qk_dim),
                   hr::heads_major(past_v_.entry(b), x_.kv_past, x_.KV_groups, x_.v_dim));
    cache.append(keys(b), values(b));
    if (c_.has("present_k")) {
      copy_heads_major(cache.key_view(), present_k_);
      copy_heads_major(cache.value_view(), present_v_);
    }
    return cache;
  }
  template <class Stored>
  static void copy_heads_major(const hr::view<const Stored>& from, std::vector<T>& to) {
    for (Index g = 0; g < from.heads(); ++g)
      for (Index t = 0; t < from.tokens(); ++t)
        for (Index d = 0; d < from.dim(); ++d) to.push_back(static_cast<T>(from(t, g, d)));
  }

  /// What no query sees is not to be read: NaN shows if it is.
  void poison_unseen_keys() {
    const bool unmasked_scores = x_.score_stage && *x_.score_stage < 2;
    if (x_.kv_past > 0 || unmasked_scores) return;  // which are compared as they are
    for (Index b = 0; b < x_.sequences; ++b)
      for (Index j = 0; j < x_.kv_new; ++j)
        if (!x_.shows_key(b, j)) {
          poison(k_.entry(b), j, x_.qk_dim);
          poison(v_.entry(b), j, x_.v_dim);
        }
  }
  void poison(T* numbers, Index j, Index dim) const {
    const auto rows = in_place(numbers, x_.heads_first(), x_.kv_new, x_.KV_groups, dim);
    fill_rows(rows.slice_tokens(j, j + 1), std::numeric_limits<T>::quiet_NaN());
  }

  void reset() {
    out_ = unwritten<T>(x_.sequences * x_.q_len * x_.Q_heads * x_.v_dim);
    if (c_.spec().given("lse")) lse_ = unwritten<T>(x_.sequences * x_.Q_heads * x_.q_len);
    present_k_.clear();
    present_v_.clear();
  }

  void check_results() {
    c_.check(expected<T>("out"), out_, difference::factor_on_probabilities, [&](auto& numbers) {
      for (T& number : numbers) number *= static_cast<T>(x_.factor);
    });
    if (!lse_.empty()) check_lse();
    if (present_k_.empty()) return;
    c_.check(expected<T>("present_k"), present_k_);
    c_.check(expected<T>("present_v"), present_v_);
  }

  void check_lse() {
    c_.spec().group("lse").one_of("base", {"e"});
    c_.spec().group("lse").one_of("empty", {"-inf"});
    require(x_.q_lens.empty(), "lse of padded queries: not known");
    c_.check(expected<T>("lse"), lse_, difference::lse_with_sink, [&](auto& numbers) {
      for (std::size_t i = 0; i < numbers.size(); ++i) {
        const std::size_t head = i / static_cast<std::size_t>(x_.q_len) % sinks_.size();
        numbers[i] = std::log(std::exp(numbers[i]) + std::exp(sinks_[head]));
      }
    });
  }

  test_case& c_;
  const padded_batch& x_;
  hr::attention<Eigen::Dynamic, Eigen::Dynamic> attention_;
  tensor<T> q_, k_, v_, past_k_, past_v_;
  std::vector<T> sinks_, out_, lse_, present_k_, present_v_;
};

}  // namespace

void run_attention(test_case& c) {
  const padded_batch x(c);
  runner<float> in_float(c, x);
  in_float.run();
  if (c.has("out_fp16")) in_float.run_half();
  runner<double> in_double(c, x);
  in_double.run();
  in_double.run_reference();
}

}  // namespace conformance
