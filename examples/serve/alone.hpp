// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model.hpp"
#include "paged_model.hpp"
#include "text.hpp"

namespace serve {

/// What a request's text is when nothing else is served: its prompts in the same pieces, then token
/// after token. This is what every served text must be equal to.
///
/// \param model  whose pool has room for it
text write_alone(paged_model& model, const workload& load, const request& r, Index chunk);

/// The same by a model that has neither pages nor batches, for comparison with one that computes
/// all rows there are at once (row_blocks of height 0), each request in a call of its own.
///
/// \param model  with room for it; what it has read is forgotten
text write_alone(generate::language_model& model, const workload& load, const request& r,
                 Index chunk);

}  // namespace serve
