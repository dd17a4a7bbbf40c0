// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/attention.hpp>

#include "support/catch.hpp"
#include "support/poison.hpp"
#include "support/problem.hpp"
#include "support/random.hpp"
#include "support/sizes.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

// Random attention problems, for tests that compare a kernel with the definition on many of them.

namespace headroom_tests {

/// One random problem: every choice follows from the seed.
template <class Scalar>
struct random_problem {
  problem_size size;
  layout q_order, k_order, v_order, out_order;
  double deviation;  // of queries and keys; large ones make one key win
  float garbage;     // in keys that no query sees
  std::vector<Scalar> sinks;
  headroom::attention_options<Scalar> options;

  explicit random_problem(random_source& random) {
    size = random_size(random);
    for (layout* order : {&q_order, &k_order, &v_order, &out_order})
      *order = random.pick(all_layouts);
    deviation = random.pick<double>({0.1, 1, 1, 1, 4});
    garbage = random.chance(0.7) ? std::numeric_limits<float>::quiet_NaN()
                                 : std::numeric_limits<float>::infinity();
    if (random.chance(0.25)) options.scale = static_cast<Scalar>(random.normal());
    if (random.chance(0.25)) options.softcap = static_cast<Scalar>(0.5 + 30 * random.uniform());
    if (random.chance(0.25)) sinks = random.template numbers<Scalar>(size.Q_heads, 3);
    if (random.chance(0.2)) options.first_position = random.integer(-5, size.kv_len + 5);
    options.sinks = sinks;
  }
  random_problem(const random_problem&) = delete;

  Eigen::Index first_position() const {
    return options.first_position.value_or(size.kv_len - size.q_len);
  }

  std::string text() const {
    std::ostringstream s;
    s << "q_len " << size.q_len << ", kv_len " << size.kv_len << ", Q_heads " << size.Q_heads
      << ", KV_groups " << size.KV_groups << ", qk_dim " << size.qk_dim << ", v_dim " << size.v_dim
      << ", layouts " << int(q_order) << int(k_order) << int(v_order) << int(out_order)
      << ", deviation " << deviation << ", scale " << options.scale.value_or(0) << ", softcap "
      << options.softcap << ", sinks " << !sinks.empty() << ", first position " << first_position();
    return s.str();
  }

 private:
  static Eigen::Index random_length(random_source& random) {
    return random.chance(0.5) ? random.pick(awkward_lengths) : random.integer(0, 40);
  }

  static problem_size random_size(random_source& random) {
    problem_size s;
    s.KV_groups = random.pick<Eigen::Index>({1, 1, 2, 3, 4});
    s.Q_heads = s.KV_groups * random.pick<Eigen::Index>({1, 1, 2, 3, 4, 7, 8});
    s.qk_dim = random.pick(awkward_widths);
    s.v_dim = random.chance(0.5) ? s.qk_dim : random.pick(awkward_widths);
    s.q_len = random.chance(0.3) ? 1 : random_length(random);
    s.kv_len = random.chance(0.1) ? random.pick(long_lengths) : random_length(random);
    if (random.chance(0.3)) s.q_len = std::min(s.q_len, s.kv_len);
    // The plain loops of the definition are slow: keep a problem to a few million products.
    const auto work = [&] { return s.q_len * s.kv_len * s.Q_heads * (s.qk_dim + s.v_dim); };
    while (work() > 2'000'000 && s.q_len > 1) s.q_len = (s.q_len + 1) / 2;
    return s;
  }
};

/// What was run, for the summary and to be sure that every path was.
struct differential_summary {
  int configurations = 0, decodes = 0, prefills = 0, empty = 0;
  double worst = 0;  // error / bound

  void count(const problem_size& size) {
    using headroom::detail::path;
    ++configurations;
    switch (headroom::detail::path_for(size.q_len, size.Q_heads / size.KV_groups, size.kv_len)) {
      case path::nothing:
        ++empty;
        break;
      case path::decode:
        ++decodes;
        break;
      case path::prefill:
        ++prefills;
        break;
    }
  }

  std::string text(std::uint64_t base_seed) const {
    std::ostringstream s;
    s << configurations << " configurations from seed " << base_seed << ": " << prefills
      << " prefills, " << decodes << " decodes, " << empty << " without queries; worst error "
      << worst << " of its bound";
    return s.str();
  }
};

/// Fills a random problem, hides what `mask` hides behind garbage, and compares attention with the
/// definition. `attend` is called as attend(q, k, v, out view, mask, options).
template <class Key, class Value, class Scalar, class Mask, class Attend>
void compare(const random_problem<Scalar>& r, random_source& random, const Mask& mask,
             differential_summary& summary, const Attend& attend) {
  const problem_size& s = r.size;
  tensor<Scalar> q(s.q_len, s.Q_heads, s.qk_dim, r.q_order);
  tensor<Key> k(s.kv_len, s.KV_groups, s.qk_dim, r.k_order);
  tensor<Value> v(s.kv_len, s.KV_groups, s.v_dim, r.v_order);
  random.fill(q.view(), r.deviation);
  random.fill(k.view(), r.deviation);
  random.fill(v.view());
  poison_unseen(k.view(), v.view(), mask, s.q_len, s.Q_heads, r.first_position(), r.garbage);

  answer<Scalar> got{{s.q_len, s.Q_heads, s.v_dim, r.out_order},
                     {s.q_len, s.Q_heads, 1, r.out_order}};
  auto options = r.options;
  options.lse = got.lse.per_head();
  attend(std::as_const(q).view(), std::as_const(k).view(), std::as_const(v).view(), got.out.view(),
         mask, options);
  const double ratio =
      error_ratio(got, exact_attention<Scalar>(std::as_const(q).view(), std::as_const(k).view(),
                                               std::as_const(v).view(), mask, r.options));
  summary.worst = std::max(summary.worst, ratio);
  summary.count(s);
  REQUIRE(ratio <= 1);
  REQUIRE(got.out.gaps_untouched());
  REQUIRE(got.lse.gaps_untouched());
}

}  // namespace headroom_tests
