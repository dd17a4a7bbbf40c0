// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config.hpp"
#include "mlp.hpp"

namespace generate {

/// An expert that a token is sent to, and the weight of its output.
struct routed_expert {
  Index expert;
  float weight;
};

/// DeepSeek-V2's routing. Probabilities are the softmax over all experts; the per_token likeliest
/// ones are taken, with groups only from the kept_groups groups whose best expert is likeliest.
///
/// \param logits  [experts]
/// \source DeepSeek-V2, arXiv 2405.04434, equations (20) to (22) and section 2.2.2
std::vector<routed_expert> route(const Eigen::RowVectorXf& logits, const expert_config& config);

/// The feed-forward part of a layer with experts: each token passes the shared expert, if there is
/// one, and the few that it is routed to.
class mixture_of_experts {
 public:
  mixture_of_experts(weight_reader& weights, const std::string& name, Index hidden,
                     const expert_config& config);

  /// \param x    [tokens, hidden]
  /// \param out  [tokens, hidden], written
  void operator()(const Matrix& x, Matrix& out, const threads& executor) const;

 private:
  expert_config config_;
  any_linear gate_;
  std::optional<swiglu> shared_;
  std::vector<swiglu> experts_;
};

}  // namespace generate
