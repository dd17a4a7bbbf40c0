// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <vector>

#include "figures.hpp"

namespace serve {

/// Prints how full the pool was in the course of time.
void print_pool_use(const figures& f);

/// Prints a table with a column for each way to serve.
void print_table(const std::vector<figures>& all);

/// Writes all figures, and how things stood at each step, for plot.py.
/// \throws generate::model_error if the file cannot be written
void write_json(const std::filesystem::path& path, const std::vector<figures>& all);

/// Has plot.py draw what write_json wrote.
/// \throws generate::model_error if it does not
void draw(const std::filesystem::path& json, const std::filesystem::path& svg);

}  // namespace serve
