// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/kv_source.hpp>
#include <memory>
#include <string>

#include "config.hpp"
#include "weights.hpp"

namespace generate {

/// What attention takes: numbers in its matrices, bytes of a token in its cache, and of all tokens
/// that the cache has room for.
struct footprint {
  Index parameters = 0;
  Index cache_bytes_per_token = 0;
  Index cache_bytes = 0;

  friend bool operator==(const footprint&, const footprint&) = default;
  footprint& operator+=(const footprint& other) {
    parameters += other.parameters;
    cache_bytes_per_token += other.cache_bytes_per_token;
    cache_bytes += other.cache_bytes;
    return *this;
  }
};

/// A codec for keys and values, or for latents beside rotary keys in bfloat16. Compiled for the
/// demo's models alone: weights in half, latents of 48.
struct cache_codec {
  const char* name;
  bool of_latents;
};
inline constexpr cache_codec cache_codecs[] = {
    {"int8_blocks", true},           // int8, with a scale for 32 numbers or a narrower head
    {"int8_rows", true},             // int8, with a scale for each row
    {"int8_rows, channels", false},  // and one for each channel of keys
    {"saturating_int8", false},      // int8, with a scale for each channel alone
    {"fp8", true},                   // fp8 e4m3, with a scale for each row
    {"int4", true},                  // int4, with a scale and a minimum for 16 numbers
    {"int4, rotated", false},        // of rotated keys and values
};

/// The cache of one sequence in one layer.
struct cache_config {
  std::string dtype;  ///< of what is stored: "F32", "F16", "BF16", or one of cache_codecs
  Index capacity;     ///< tokens
  Index chunk;        ///< tokens that are added at once, at most
  bool ring;          ///< of scalars, keeps a window and a chunk where that is less than all
};

/// The attention of one decoder layer and its cache of one sequence, whatever the kind of attention
/// and the scalars of weights and cache.
class attention_block {
 public:
  virtual ~attention_block() = default;

  /// Adds x's tokens to the sequence: x [tokens, hidden], out [tokens, hidden], written.
  virtual void operator()(const Matrix& x, Matrix& out, const threads& executor) = 0;

  /// Forgets all tokens of the sequence but the first ones.
  ///
  /// \throws std::invalid_argument if the next token's window is no longer there
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

/// What make_attention_block chooses from: by the kind of attention, and whether the cache stores
/// scalars or a codec's numbers.
std::unique_ptr<attention_block> make_grouped_block(weight_reader& weights, const std::string& name,
                                                    const model_config& config,
                                                    const cache_config& cache);
std::unique_ptr<attention_block> make_latent_block(weight_reader& weights, const std::string& name,
                                                   const model_config& config,
                                                   const cache_config& cache);
std::unique_ptr<attention_block> make_coded_block(weight_reader& weights, const std::string& name,
                                                  const model_config& config,
                                                  const cache_config& cache);

/// Numbers in a matrix.
template <class Weight>
Index numbers(const headroom::linear<Weight>& matrix) {
  return matrix.out_features() * matrix.in_features();
}

/// Bytes from one stored row to the next.
template <class Stored>
Index row_bytes(const headroom::token_run<Stored>& rows) {
  return rows.stride * static_cast<Index>(sizeof(Stored));
}

}  // namespace generate
