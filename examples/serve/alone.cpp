// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "alone.hpp"

#include <algorithm>
#include <span>

#include "sampler.hpp"

namespace serve {

namespace {

/// compute(piece, known) adds tokens to the sequence and returns the logits behind the last.
template <class Compute>
text write_with(const workload& load, const request& r, Index chunk, const std::vector<Index>& ends,
                const Compute& compute) {
  const prompt_parts parts{static_cast<Index>(load.system.size()),
                           static_cast<Index>(r.prompt.size())};
  generate::sampler pick(load.temperature, r.seed);
  std::vector<Index> known = load.beginning(r);
  text written;
  for (Index cached = 0; std::ssize(written.ids) < r.tokens;) {
    Eigen::RowVectorXf logits;
    while (cached < static_cast<Index>(known.size())) {
      const piece p = next_piece(parts, chunk, cached, static_cast<Index>(known.size()));
      logits = compute(p, known);
      cached = p.end;
    }
    written.add_logits(logits);
    const Index id = pick(logits);
    if (std::find(ends.begin(), ends.end(), id) != ends.end()) break;
    known.push_back(id);
    written.ids.push_back(id);
  }
  return written;
}

}  // namespace

text write_alone(paged_model& model, const workload& load, const request& r, Index chunk) {
  constexpr Index only = 0;
  model.open(only);
  const text written =
      write_with(load, r, chunk, model.config().end_tokens, [&](const piece& p, const auto& known) {
        packed_rows rows;
        rows.add(only, p, known);
        return Eigen::RowVectorXf(model.logits(rows).row(0));
      });
  model.close(only);
  return written;
}

text write_alone(generate::language_model& model, const workload& load, const request& r,
                 Index chunk) {
  model.truncate(0);
  return write_with(load, r, chunk, model.config().end_tokens,
                    [&](const piece& p, const auto& known) {
                      return model.next_logits(std::span(known).subspan(
                          static_cast<std::size_t>(p.begin), static_cast<std::size_t>(p.tokens())));
                    });
}

}  // namespace serve
