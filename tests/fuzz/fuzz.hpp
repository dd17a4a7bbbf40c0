// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>

/// What a fuzz target defines, by the convention of libFuzzer; it returns 0.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace headroom_tests {

/// Ends the program, which is how a fuzzer learns of a failure, unless `holds`.
inline void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "not so: %s\n", what);
  std::abort();
}

/// Whether the call throws an Exception. Any other exception ends the program.
template <class Exception, class Call>
bool throws(const Call& call) {
  try {
    call();
  } catch (const Exception&) {
    return true;
  }
  return false;
}

/// Reads bytes as choices; where there are none left, as the first of them.
class byte_source {
 public:
  byte_source(const std::uint8_t* data, std::size_t size) : bytes_(data, size) {}

  bool empty() const { return bytes_.empty(); }

  /// One of [least, most], from one byte.
  Eigen::Index integer(Eigen::Index least, Eigen::Index most) {
    return least + number<std::uint8_t>() % (most - least + 1);
  }

  /// Any number of its type.
  template <class Number>
  Number number() {
    Number result{};
    if (bytes_.size() < sizeof result) {
      bytes_ = {};
      return result;
    }
    std::memcpy(&result, bytes_.data(), sizeof result);
    bytes_ = bytes_.subspan(sizeof result);
    return result;
  }

 private:
  std::span<const std::uint8_t> bytes_;
};

}  // namespace headroom_tests
