// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "summary.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "error.hpp"
#include "report.hpp"

namespace serve {

namespace {

using generate::formatted;
using generate::grouped;

// Fewer digits for larger numbers.
std::string milliseconds(double number) {
  return formatted(number < 10 ? "%.2f" : "%.0f", number);
}

// "p50, p95, p99" on three rows.
template <class Which>
void print_percentiles(const std::string& label, const std::vector<figures>& all,
                       const Which& which) {
  for (std::size_t i = 0; i < percentiles::ranks.size(); ++i) {
    std::vector<std::string> cells;
    for (const figures& f : all) cells.push_back(milliseconds(which(f).values[i]));
    const std::string rank = "p" + std::to_string(percentiles::ranks[i]);
    generate::print_row(i == 0 ? label + ", " + rank : "  " + rank, cells);
  }
}

nlohmann::json json_of(const percentiles& p) {
  nlohmann::json result;
  for (std::size_t i = 0; i < p.values.size(); ++i)
    result["p" + std::to_string(percentiles::ranks[i])] = p.values[i];
  return result;
}

}  // namespace

void print_pool_use(const figures& f) {
  constexpr std::size_t lines = 16, width = 40;
  const std::vector<moment>& all = f.served.moments;
  const Index pages = f.pool_bytes / f.page_bytes;
  std::printf("pool use over time: # held, > what it would be without sharing, | the pool's end\n");
  for (std::size_t line = 0; line < lines; ++line) {
    const std::size_t begin = all.size() * line / lines, end = all.size() * (line + 1) / lines;
    if (begin == end) continue;
    moment most = all[begin];
    for (std::size_t i = begin; i < end; ++i) {
      most.pages_in_use = std::max(most.pages_in_use, all[i].pages_in_use);
      most.pages_unshared = std::max(most.pages_unshared, all[i].pages_unshared);
      most.waiting = std::max(most.waiting, all[i].waiting);
      most.running = std::max(most.running, all[i].running);
    }
    const auto columns = [&](Index held) {
      return width * static_cast<std::size_t>(held) / static_cast<std::size_t>(pages);
    };
    std::string bar(columns(most.pages_in_use), '#');
    bar.resize(std::max(bar.size(), columns(most.pages_unshared)), '>');
    bar.resize(std::max(bar.size(), width + 1), ' ');
    if (bar[width] == ' ') bar[width] = '|';
    std::printf("  from step %4td  %3td running, %3td waiting  %s\n", most.step, most.running,
                most.waiting, bar.c_str());
  }
}

void print_table(const std::vector<figures>& all) {
  const auto row = [&](const char* label, const auto& cell) {
    std::vector<std::string> cells;
    for (const figures& f : all) cells.push_back(cell(f));
    generate::print_row(label, cells);
  };
  const auto kib = [](Index bytes) { return grouped(bytes / 1024); };
  row("", [](const figures& f) { return f.name; });
  row("tokens per second",
      [](const figures& f) { return formatted("%.0f", f.tokens_per_second()); });
  row("pool, KiB", [&](const figures& f) { return kib(f.pool_bytes); });
  row("  held at most", [&](const figures& f) { return kib(f.peak_bytes()); });
  row("  saved by sharing, at most", [&](const figures& f) { return kib(f.most_bytes_saved()); });
  row("preemptions", [](const figures& f) { return grouped(f.served.preemptions); });
  row("steps",
      [](const figures& f) { return grouped(static_cast<long long>(f.served.moments.size())); });
  print_percentiles("to the first token, ms", all,
                    [](const figures& f) { return f.first_token_ms(); });
  print_percentiles("from token to token, ms", all, [](const figures& f) { return f.pause_ms(); });
  row("texts that differ from those alone", [](const figures& f) { return grouped(f.differing); });
}

void write_json(const std::filesystem::path& path, const std::vector<figures>& all) {
  nlohmann::json list = nlohmann::json::array();
  for (const figures& f : all) {
    nlohmann::json moments = nlohmann::json::array();
    for (const moment& m : f.served.moments)
      moments.push_back({{"step", m.step},
                         {"seconds", m.seconds},
                         {"bytes", m.pages_in_use * f.page_bytes},
                         {"unshared_bytes", m.pages_unshared * f.page_bytes},
                         {"running", m.running},
                         {"waiting", m.waiting}});
    list.push_back({{"name", f.name},
                    {"tokens_per_second", f.tokens_per_second()},
                    {"pool_bytes", f.pool_bytes},
                    {"peak_bytes", f.peak_bytes()},
                    {"preemptions", f.served.preemptions},
                    {"first_token_ms", json_of(f.first_token_ms())},
                    {"pause_ms", json_of(f.pause_ms())},
                    {"moments", moments}});
  }
  std::ofstream file(path);
  file << list.dump(1) << '\n';
  if (!file.flush()) generate::fail(path.string(), ": cannot be written");
}

void draw(const std::filesystem::path& json, const std::filesystem::path& svg) {
  // The shell takes what is in single quotes as it is, but for those.
  const auto quoted = [](const std::string& word) {
    std::string result = "'";
    for (const char c : word) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return result + "'";
  };
  const std::string command = quoted(SERVE_PYTHON) + " " + quoted(SERVE_PLOT) + " " +
                              quoted(json.string()) + " " + quoted(svg.string());
  if (std::system(command.c_str()) != 0)
    generate::fail(svg.string(), ": not drawn, which takes python3 and its matplotlib");
}

}  // namespace serve
