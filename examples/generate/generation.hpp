// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "model.hpp"
#include "sampler.hpp"

namespace generate {

/// What a model wrote, and how long it took.
struct continuation {
  std::vector<Index> ids;
  double prefill_seconds = 0;  ///< for the prompt
  double decode_seconds = 0;   ///< for what comes after it, one token at a time
  Index decoded = 0;           ///< tokens that this time was spent on

  double decode_speed() const {
    return decoded > 0 ? static_cast<double>(decoded) / decode_seconds : 0;
  }
};

/// Reads the prompt and writes up to `count` tokens, fewer if it comes to an end token, which is
/// left out. `on_token` is called with everything written so far, token by token.
continuation continue_prompt(language_model& model, std::span<const Index> prompt, Index count,
                             sampler& pick,
                             const std::function<void(std::span<const Index>)>& on_token);

}  // namespace generate
