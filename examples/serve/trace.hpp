// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "tokenizer.hpp"
#include "workload.hpp"

namespace serve {

/// Reads a workload from a file such as make_trace.py writes: an object with "system", a text,
/// "temperature", and "requests", a list of objects with "step", "prompt", a text, "tokens" and
/// "seed".
///
/// \throws generate::model_error naming the file, the request, the key and the value
workload read_trace(const std::filesystem::path& path, const generate::tokenizer& text);

}  // namespace serve
