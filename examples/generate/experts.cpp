// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "experts.hpp"

#include <algorithm>
#include <numeric>

namespace generate {

namespace {

/// The indices of the `count` largest scores, largest first; of equal ones the first.
std::vector<Index> largest(const Eigen::RowVectorXf& scores, Index count) {
  std::vector<Index> order(static_cast<std::size_t>(scores.size()));
  std::iota(order.begin(), order.end(), Index(0));
  std::partial_sort(order.begin(), order.begin() + count, order.end(), [&](Index a, Index b) {
    return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
  });
  order.resize(static_cast<std::size_t>(count));
  return order;
}

/// The probabilities with those outside the kept groups below every possible one.
Eigen::RowVectorXf limit_groups(const Eigen::RowVectorXf& p, const expert_config& config) {
  const Index size = config.experts / config.groups;
  Eigen::RowVectorXf best(config.groups);
  for (Index group = 0; group < config.groups; ++group)
    best[group] = p.segment(group * size, size).maxCoeff();
  Eigen::RowVectorXf limited = Eigen::RowVectorXf::Constant(config.experts, -1);
  for (const Index group : largest(best, config.kept_groups))
    limited.segment(group * size, size) = p.segment(group * size, size);
  return limited;
}

}  // namespace

std::vector<routed_expert> route(const Eigen::RowVectorXf& logits, const expert_config& config) {
  Eigen::RowVectorXf p = (logits.array() - logits.maxCoeff()).exp();
  p /= p.sum();
  if (config.groups > 1) p = limit_groups(p, config);
  std::vector<routed_expert> chosen;
  float sum = 0;
  for (const Index expert : largest(p, config.per_token)) {
    chosen.push_back({expert, p[expert]});
    sum += p[expert];
  }
  // DeepSeek-V2's code does one or the other: the factor makes up for weights that do not sum to 1.
  const bool normalise = config.normalise && config.per_token > 1;
  const float factor = normalise ? 1 / sum : static_cast<float>(config.factor);
  for (routed_expert& r : chosen) r.weight *= factor;
  return chosen;
}

mixture_of_experts::mixture_of_experts(weight_reader& weights, const std::string& name,
                                       Index hidden, const expert_config& config)
    : config_(config), gate_(weights, name + ".gate", config.experts, hidden) {
  if (config.shared > 0)
    shared_.emplace(weights, name + ".shared_experts", hidden, config.shared * config.width);
  for (Index i = 0; i < config.experts; ++i)
    experts_.emplace_back(weights, name + ".experts." + std::to_string(i), hidden, config.width);
}

void mixture_of_experts::operator()(const Matrix& x, Matrix& out, const threads& executor) const {
  if (shared_)
    (*shared_)(x, out, executor);
  else
    out.setZero();

  Matrix logits(x.rows(), config_.experts);
  gate_(x, logits, executor);
  struct visitor {
    Index token;
    float weight;
  };
  std::vector<std::vector<visitor>> visitors(experts_.size());
  for (Index token = 0; token < x.rows(); ++token)
    for (const routed_expert& r : route(logits.row(token), config_))
      visitors[static_cast<std::size_t>(r.expert)].push_back({token, r.weight});

  // Expert by expert, so that each one's weights are read once for all of its tokens.
  for (std::size_t expert = 0; expert < experts_.size(); ++expert) {
    const std::vector<visitor>& tokens = visitors[expert];
    if (tokens.empty()) continue;
    const auto count = static_cast<Index>(tokens.size());
    Matrix gathered(count, x.cols()), result(count, x.cols());
    for (Index i = 0; i < count; ++i)
      gathered.row(i) = x.row(tokens[static_cast<std::size_t>(i)].token);
    experts_[expert](gathered, result, executor);
    for (Index i = 0; i < count; ++i) {
      const visitor& v = tokens[static_cast<std::size_t>(i)];
      out.row(v.token) += v.weight * result.row(i);
    }
  }
}

}  // namespace generate
