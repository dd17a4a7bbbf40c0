// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <span>

#include "model.hpp"
#include "progress.hpp"

namespace generate {

/// How well a model predicts a text, and how fast it reads.
struct text_score {
  double bits_per_token;
  double tokens_per_second;
};

/// The mean of -log2 of the probability that the model gives to each token of the text. The text
/// is cut in windows that do not overlap, each read on its own from position 0; the first token of
/// a window is not predicted, an incomplete window at the end is left out.
text_score score_text(language_model& model, std::span<const Index> text, Index window,
                      progress& shown);

/// How far a model's logits are from another program's.
struct golden_difference {
  double greatest;
  double bound;

  bool agrees() const { return greatest <= bound; }  // false for NaN
};

/// Compares with golden.safetensors of a model directory: input_ids [tokens] and the logits
/// [tokens, vocabulary] that PyTorch computed in float32. The prompt is read twice, in one call and
/// token by token, which for latent attention takes its two forms.
///
/// \throws model_error if the file is missing or does not fit the model
golden_difference compare_with_golden(language_model& model, const std::filesystem::path& directory,
                                      const std::string& kv_dtype);

}  // namespace generate
