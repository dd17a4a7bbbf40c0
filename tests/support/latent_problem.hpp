// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/latent_cache.hpp>
#include <headroom/mla.hpp>
#include <headroom/reference.hpp>

#include "support/error_bound.hpp"
#include "support/matrix.hpp"
#include "support/random.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace headroom_tests {

inline double largest(const matrix<double>& m) {
  return m.size() == 0 ? 0 : m.cwiseAbs().maxCoeff();
}

// One problem in the checkpoint's shapes, and the answer by the definition: keys and values are
// made first, then plain loops attend to them.
template <class Scalar>
struct latent_problem {
  Eigen::Index heads, rank, nope, rope, value, q_len, kv_len;
  matrix<Scalar> latents, rope_keys, up, q;
  double bound = 0;      // of an output, once exact() has run
  double lse_bound = 0;  // of a log-sum-exp

  latent_problem(std::uint64_t seed, Eigen::Index heads_, Eigen::Index rank_, Eigen::Index nope_,
                 Eigen::Index rope_, Eigen::Index value_, Eigen::Index q_len_, Eigen::Index kv_len_)
      : heads(heads_),
        rank(rank_),
        nope(nope_),
        rope(rope_),
        value(value_),
        q_len(q_len_),
        kv_len(kv_len_) {
    random_source random(seed);
    latents = random_matrix<Scalar>(random, kv_len, rank);
    rope_keys = random_matrix<Scalar>(random, kv_len, rope);
    up = random_matrix<Scalar>(random, heads * (nope + value), rank,
                               1 / std::sqrt(static_cast<double>(rank)));
    q = random_matrix<Scalar>(random, q_len, heads * (nope + rope));
  }

  headroom::mla<Eigen::Dynamic, Eigen::Dynamic, Eigen::Dynamic, Eigen::Dynamic, Eigen::Dynamic>
  core() const {
    return {heads, rank, nope, rope, value};
  }

  template <class Stored = Scalar>
  headroom::latent_cache<Stored> cache() const {
    headroom::latent_cache<Stored> result(kv_len + 3, rank, rope);
    result.append(latents, rope_keys);
    return result;
  }

  // What rounding q~ and weights to bfloat16 adds to the bound of an output, where latents that are
  // stored so are multiplied so. A score moves by theta = w sum |q~_d c_d|, a weight by the factor
  // e^theta and then by w; see support/error_bound.hpp.
  double bound_of_rounded_operands() const {
    const double w = operand_roundoff<Scalar, Eigen::bfloat16, Eigen::bfloat16>().relative;
    double theta = 0, largest_value = 0;
    const matrix<double> c = latents.template cast<double>(),
                         k_pe = rope_keys.template cast<double>();
    for (Eigen::Index h = 0; h < heads; ++h) {
      const matrix<double> of_head =
          up.middleRows(h * (nope + value), nope + value).template cast<double>();
      const matrix<double> queries =
          q.middleCols(h * (nope + rope), nope + rope).template cast<double>();
      const matrix<double> q_c = queries.leftCols(nope) * of_head.topRows(nope);
      const matrix<double> magnitudes =
          q_c.cwiseAbs() * c.cwiseAbs().transpose() +
          queries.rightCols(rope).cwiseAbs() * k_pe.cwiseAbs().transpose();
      theta = std::max(theta, w * largest(magnitudes) / std::sqrt(double(nope + rope)));
      largest_value = std::max(largest_value, largest(c * of_head.bottomRows(value).transpose()));
    }
    return (2 * std::expm1(theta) + w) * largest_value;
  }

  template <class Mask>
  matrix<double> exact(const Mask& mask, matrix<double>* lse = nullptr,
                       headroom::attention_options<double> options = {}) {
    matrix<double> k(kv_len, heads * (nope + rope)), v(kv_len, heads * value);
    for (Eigen::Index h = 0; h < heads; ++h) {
      const matrix<double> w =
          up.middleRows(h * (nope + value), nope + value).template cast<double>();
      const matrix<double> c = latents.template cast<double>();
      k.middleCols(h * (nope + rope), nope) = c * w.topRows(nope).transpose();
      k.middleCols(h * (nope + rope) + nope, rope) = rope_keys.template cast<double>();
      v.middleCols(h * value, value) = c * w.bottomRows(value).transpose();
    }
    const matrix<double> queries = q.template cast<double>();
    matrix<double> out(q_len, heads * value);
    if (lse != nullptr) {
      lse->resize(q_len, heads);
      options.lse = *lse;
    }
    headroom::reference_attention<double>(
        headroom::view<const double>(headroom::as_view(queries, heads)),
        headroom::view<const double>(headroom::as_view(k, heads)),
        headroom::view<const double>(headroom::as_view(v, heads)), headroom::as_view(out, heads),
        mask, options);
    // Roundings on the longest path: expansion (rank), score (qk), exp and sum (kv_len), value
    // (kv_len), un-absorbing (rank). A relative error e of a score s moves its weight by e |s|.
    const double steps = static_cast<double>(2 * rank + nope + rope + 2 * kv_len + 16);
    const double width = static_cast<double>(nope + rope);
    const double score =
        largest(k) * largest(queries) * width * options.scale.value_or(1 / std::sqrt(width));
    lse_bound = steps * std::numeric_limits<Scalar>::epsilon() * (1 + score);
    bound = lse_bound * largest(v);
    return out;
  }
};

inline double difference(const matrix<double>& a, const matrix<double>& b) {
  return largest(a - b);
}

}  // namespace headroom_tests
