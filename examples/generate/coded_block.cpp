// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/fp8_codec.hpp>
#include <headroom/int4_codec.hpp>
#include <headroom/int8_codec.hpp>
#include <headroom/kv_cache.hpp>
#include <headroom/latent_cache.hpp>
#include <headroom/rotated_cache.hpp>
#include <headroom/scaled_cache.hpp>

#include "calibrated_block.hpp"
#include "grouped_block.hpp"
#include "latent_block.hpp"

namespace generate {

namespace {

using headroom::fp8_codec, headroom::int8_blocks, headroom::int8_rows, headroom::kv_cache,
    headroom::rotated_cache, headroom::scaled_cache;

// Heads are 16 wide, latents three times that. int4_blocks would store either, but its blocks are
// of 32 numbers whatever the width: a head would take the 20 bytes that it takes in int8.
using int4 = headroom::int4_codec<16>;
constexpr int latent_rank = 48;

using Weight = Eigen::half;

/// Makes a block from a checkpoint.
struct block_maker {
  weight_reader& weights;
  const std::string& name;
  const model_config& config;
  Index capacity;

  template <class Cache>
  std::unique_ptr<attention_block> grouped() const {
    return std::make_unique<grouped_block<Weight, Cache>>(weights, name, config, capacity);
  }

  template <class Codec>
  std::unique_ptr<attention_block> latent() const {
    using Rope = Eigen::bfloat16;
    using Cache = headroom::latent_cache<Codec, latent_rank, Eigen::Dynamic, Rope>;
    return std::make_unique<latent_block<Weight, Cache, headroom::scalar_codec<Rope>>>(
        weights, name, config, *config.latent, capacity);
  }
};

}  // namespace

std::unique_ptr<attention_block> make_coded_block(weight_reader& weights, const std::string& name,
                                                  const model_config& config,
                                                  const cache_config& cache) {
  const block_maker make{weights, name, config, cache.capacity};
  const std::string& codec = cache.dtype;
  if (config.latent) {
    if (config.latent->rank != latent_rank)
      fail(weights.where(), ": latents of ", config.latent->rank, " have no codec, expected ",
           latent_rank);
    if (codec == "int8_blocks") return make.latent<int8_blocks>();
    if (codec == "int8_rows") return make.latent<int8_rows>();
    if (codec == "fp8") return make.latent<fp8_codec>();
    if (codec == "int4") return make.latent<int4>();
  } else {
    if (codec == "int8_blocks") return make.grouped<kv_cache<int8_blocks>>();
    if (codec == "int8_rows") return make.grouped<kv_cache<int8_rows>>();
    if (codec == "int8_rows, channels") return make.grouped<scaled_cache<kv_cache<int8_rows>>>();
    if (codec == "saturating_int8")
      return std::make_unique<calibrated_block<Weight>>(weights, name, config, cache.capacity);
    if (codec == "fp8") return make.grouped<kv_cache<fp8_codec>>();
    if (codec == "int4") return make.grouped<kv_cache<int4>>();
    if (codec == "int4, rotated") return make.grouped<rotated_cache<kv_cache<int4>>>();
  }
  fail("a cache of this model cannot store ", codec);
}

}  // namespace generate
