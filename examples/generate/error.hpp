// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace generate {

/// A model directory that is missing, damaged, or of a kind that this program does not run.
struct model_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Throws a model_error with the parts joined.
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  std::ostringstream message;
  (message << ... << parts);
  throw model_error(message.str());
}

}  // namespace generate
