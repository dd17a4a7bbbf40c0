// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "figures.hpp"

#include <algorithm>
#include <utility>

namespace serve {

percentiles percentiles_of(std::vector<double> values) {
  percentiles result;
  std::sort(values.begin(), values.end());
  const std::size_t count = values.size();
  for (std::size_t i = 0; i < result.values.size() && count > 0; ++i)
    result.values[i] =
        values[(count * static_cast<std::size_t>(percentiles::ranks[i]) + 99) / 100 - 1];
  return result;
}

double figures::tokens_per_second() const {
  double written = 0;
  for (const answer& a : served.answers) written += static_cast<double>(a.written.ids.size());
  return written / served.seconds;
}

Index figures::peak_bytes() const {
  Index pages = 0;
  for (const moment& m : served.moments) pages = std::max(pages, m.pages_in_use);
  return pages * page_bytes;
}

Index figures::most_bytes_saved() const {
  Index pages = 0;
  for (const moment& m : served.moments) pages = std::max(pages, m.pages_unshared - m.pages_in_use);
  return pages * page_bytes;
}

percentiles figures::first_token_ms() const {
  std::vector<double> all;
  for (const answer& a : served.answers)
    if (!a.written.ids.empty()) all.push_back(1e3 * a.first_token);
  return percentiles_of(std::move(all));
}

percentiles figures::pause_ms() const {
  std::vector<double> all;
  for (const answer& a : served.answers)
    for (const double pause : a.pauses) all.push_back(1e3 * pause);
  return percentiles_of(std::move(all));
}

}  // namespace serve
