// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "config.hpp"
#include "weights.hpp"

namespace generate {

/// What attention takes: numbers in its matrices, and bytes that its cache gains with each token.
struct footprint {
  Index parameters = 0;
  Index cache_bytes_per_token = 0;

  friend bool operator==(const footprint&, const footprint&) = default;
  footprint& operator+=(const footprint& other) {
    parameters += other.parameters;
    cache_bytes_per_token += other.cache_bytes_per_token;
    return *this;
  }
};

/// The cache of one sequence in one layer.
struct cache_config {
  std::string dtype;  ///< of what is stored: "F32", "F16" or "BF16"
  Index capacity;     ///< tokens
};

/// The attention of one decoder layer and its cache of one sequence, whatever the kind of attention
/// and the scalars of weights and cache.
class attention_block {
 public:
  virtual ~attention_block() = default;

  /// Adds x's tokens to the sequence: x [tokens, hidden], out [tokens, hidden], written.
  virtual void operator()(const Matrix& x, Matrix& out, const threads& executor) = 0;

  /// Forgets all tokens of the sequence but the first ones.
  virtual void truncate(Index tokens) = 0;

  /// What headroom's cost model says of this block, and what its matrices and its cache (which
  /// must hold a token) are found to take.
  virtual footprint predicted() const = 0;
  virtual footprint measured() const = 0;
};

/// \param name  of the attention in the checkpoint, such as model.layers.0.self_attn
/// \throws model_error if the checkpoint does not fit the configuration
std::unique_ptr<attention_block> make_attention_block(weight_reader& weights,
                                                      const std::string& name,
                                                      const model_config& config,
                                                      const cache_config& cache);

/// The two kinds that make_attention_block chooses from.
std::unique_ptr<attention_block> make_grouped_block(weight_reader& weights, const std::string& name,
                                                    const model_config& config,
                                                    const cache_config& cache);
std::unique_ptr<attention_block> make_latent_block(weight_reader& weights, const std::string& name,
                                                   const model_config& config,
                                                   const cache_config& cache);

/// Numbers in a matrix.
template <class Weight>
Index numbers(const headroom::linear<Weight>& matrix) {
  return matrix.out_features() * matrix.in_features();
}

/// Bytes that a view spans, tokens times heads times width.
template <class Scalar>
Index bytes(const headroom::view<const Scalar>& view) {
  return view.tokens() * view.heads() * view.dim() * static_cast<Index>(sizeof(Scalar));
}

}  // namespace generate
