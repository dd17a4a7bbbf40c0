// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "trace.hpp"

#include <string>

#include "json_file.hpp"

namespace serve {

using generate::json_object;

namespace {

std::vector<Index> read_text(const json_object& from, const std::string& key,
                             const generate::tokenizer& text) {
  std::vector<Index> ids = text.encode(from.get<std::string>(key));
  if (ids.empty()) from.fail_value(key, "expected a text that is not empty");
  return ids;
}

}  // namespace

workload read_trace(const std::filesystem::path& path, const generate::tokenizer& text) {
  const json_object file = json_object::read(path);
  workload load{read_text(file, "system", text), file.get<double>("temperature"), {}};
  if (load.temperature < 0) file.fail_value("temperature", "expected 0 or more");
  const nlohmann::json list = file.value().value("requests", nlohmann::json());
  if (!list.is_array() || list.empty())
    generate::fail(file.where(), ": requests: expected a list that is not empty");
  Index last = 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const json_object entry(list[i], file.where() + ": requests[" + std::to_string(i) + "]");
    const Index step = entry.size("step", 0);
    if (step < last)
      entry.fail_value("step", "expected " + std::to_string(last) + " or more, as before it");
    last = step;
    load.requests.push_back({step, read_text(entry, "prompt", text), entry.size("tokens"),
                             static_cast<std::uint64_t>(entry.size("seed", 0))});
  }
  return load;
}

}  // namespace serve
