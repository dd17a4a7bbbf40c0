// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace generate {

/// "1,234,567".
inline std::string grouped(long long number) {
  const std::string digits = std::to_string(number);
  std::string result;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) result += ',';
    result += digits[i];
  }
  return result;
}

/// A number in printf's format for a double.
inline std::string formatted(const char* format, double number) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, format, number);
  return buffer;
}

/// One line of a table.
inline void print_row(std::string_view label, const std::vector<std::string>& cells) {
  std::printf("%-36.*s", static_cast<int>(label.size()), label.data());
  for (const std::string& cell : cells) std::printf("%12s", cell.c_str());
  std::printf("\n");
}

/// Text in lines of at most `width` bytes, broken at spaces, each after `margin`. What a terminal
/// might take for a command is shown as a question mark.
inline void print_wrapped(const std::string& text, const std::string& margin, std::size_t width) {
  std::string line;
  const auto flush = [&](std::size_t length) {
    std::printf("%s%s\n", margin.c_str(), line.substr(0, length).c_str());
    line.erase(0, length < line.size() && line[length] == ' ' ? length + 1 : length);
  };
  for (const char c : text) {
    if (c == '\n') {
      flush(line.size());
      continue;
    }
    line += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    if (line.size() > width) {
      const std::size_t space = line.rfind(' ', width);
      flush(space == std::string::npos || space == 0 ? width : space);
    }
  }
  if (!line.empty()) flush(line.size());
}

}  // namespace generate
