// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "generation.hpp"

#include <algorithm>

#include "progress.hpp"

namespace generate {

continuation continue_prompt(language_model& model, std::span<const Index> prompt, Index count,
                             sampler& pick,
                             const std::function<void(std::span<const Index>)>& on_token) {
  continuation result;
  Eigen::RowVectorXf logits;
  {
    progress shown("prompt");
    const stopwatch reading;
    logits = model.next_logits(prompt, [&](double fraction) { shown.update(fraction); });
    result.prefill_seconds = reading.seconds();
  }
  const std::vector<Index>& ends = model.config().end_tokens;
  while (static_cast<Index>(result.ids.size()) < count) {
    const Index id = pick(logits);
    if (std::find(ends.begin(), ends.end(), id) != ends.end()) break;
    result.ids.push_back(id);
    on_token(result.ids);
    if (static_cast<Index>(result.ids.size()) == count) break;
    const stopwatch step;
    logits = model.next_logits(std::span(&id, 1));
    result.decode_seconds += step.seconds();
    ++result.decoded;
  }
  return result;
}

}  // namespace generate
