// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "threads.hpp"

namespace generate {

struct demo_options {
  std::filesystem::path models;  ///< a directory as examples/tinylm/train.py writes it
  std::string prompt;
  std::ptrdiff_t tokens;
  double temperature;
  std::uint64_t seed;
  std::string kv_dtype;
  threads executor;
};

/// Lets four models of one width and four attentions continue a prompt, measures them, and repeats
/// the GQA paper's comparison of conversions. Everything is checked: logits against PyTorch's, bits
/// per byte against results.json, sizes against headroom's cost model.
///
/// \return whether every check was passed
/// \throws model_error if a model is missing or damaged
bool run_demo(const demo_options& options);

}  // namespace generate
