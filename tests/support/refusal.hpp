// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <stdexcept>
#include <string>
#include <typeinfo>

namespace headroom_tests {

/// What `call` says when it refuses with exactly this type of exception.
template <class Exception = std::invalid_argument, class Call>
std::string refusal_of(const Call& call) {
  try {
    call();
  } catch (const std::exception& e) {
    return typeid(e) == typeid(Exception) ? e.what() : std::string("another type: ") + e.what();
  }
  return "nothing was thrown";
}

}  // namespace headroom_tests
