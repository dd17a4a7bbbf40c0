// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config.hpp"
#include "json_file.hpp"

namespace generate {

/// Fills in `config.rope` and `config.softmax_factor` from the "rope_theta" and "rope_scaling" of a
/// configuration, or from the "rope_parameters" that newer ones have in their place.
///
/// \throws model_error naming key and value of what is wrong or not supported
void read_rope(const json_object& file, model_config& config);

}  // namespace generate
