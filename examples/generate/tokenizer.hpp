// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "config.hpp"

namespace generate {

/// Text to token ids and back.
class tokenizer {
 public:
  virtual ~tokenizer() = default;
  virtual std::vector<Index> encode(const std::string& text) const = 0;
  virtual std::string decode(std::span<const Index> ids) const = 0;
};

/// The tokenizer of a model directory: SentencePiece where tokenizer.model is there (and this
/// program was compiled with the library), bytes for a vocabulary of 256.
///
/// \return null if the directory has none that can be used; prompts are then token ids
/// \throws model_error if tokenizer.model is there and damaged
std::unique_ptr<const tokenizer> open_tokenizer(const std::filesystem::path& directory,
                                                const model_config& config);

}  // namespace generate
