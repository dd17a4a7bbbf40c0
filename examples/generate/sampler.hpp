// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <cmath>
#include <cstdint>
#include <random>

namespace generate {

/// Picks the next token from its logits. The same seed gives the same picks with every compiler.
class sampler {
 public:
  /// \param temperature  logits are divided by it; 0 takes the likeliest token always
  sampler(double temperature, std::uint64_t seed) : temperature_(temperature), engine_(seed) {}

  Eigen::Index operator()(const Eigen::RowVectorXf& logits) {
    Eigen::Index best;
    const float top = logits.maxCoeff(&best);
    if (temperature_ <= 0) return best;
    const Eigen::ArrayXd weights =
        ((logits.transpose().cast<double>().array() - double(top)) / temperature_).exp();
    // Not std::uniform_real_distribution: what that draws is each standard library's own affair.
    double left = static_cast<double>(engine_() >> 11) * 0x1p-53 * weights.sum();
    for (Eigen::Index id = 0; id < weights.size(); ++id)
      if ((left -= weights[id]) < 0) return id;
    return best;  // where rounding has used up the sum
  }

 private:
  double temperature_;
  std::mt19937_64 engine_;
};

}  // namespace generate
