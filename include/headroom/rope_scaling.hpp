// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <headroom/detail/checks.hpp>
#include <headroom/detail/config.hpp>
#include <numbers>
#include <variant>
#include <vector>

// Rotary frequencies: how far pair k of a head turns per position, and how models that were
// stretched beyond their training length slow the turning down. Besides the frequencies such a
// model may carry a magnitude, in one of two places that must not be confused: an amplitude on
// cos and sin (the rotated channels only) and a factor on the softmax scale (the whole score).

namespace headroom::inline HEADROOM_ISA {

namespace detail {

/// base^(-2k/r): what pair k turns per position in a model that was never stretched.
inline double unscaled_frequency(Index k, Index rotary_dim, double base) {
  return std::pow(base, -2.0 * static_cast<double>(k) / static_cast<double>(rotary_dim));
}

/// Throws "what is value, expected ..." unless the condition holds.
inline void require_number(bool holds, const char* what, double value, const char* expected) {
  require(holds, what, " is ", value, ", expected ", expected);
}

inline void require_factor(const char* what, double factor) {
  require_number(std::isfinite(factor) && factor > 0, what, factor, "a finite number above 0");
}

inline void require_length(const char* what, Index length) {
  require_number(length > 0, what, static_cast<double>(length), "a number of tokens above 0");
}

}  // namespace detail

/// theta_k = base^(-2k/r). \source Su et al. 2021 (RoFormer), arXiv 2104.09864.
struct unscaled_rope {
  void check(Index) const {}
  double frequency(Index k, Index rotary_dim, double base) const {
    return detail::unscaled_frequency(k, rotary_dim, base);
  }
};

/// Position interpolation: theta_k / factor. \source Chen et al. 2023, arXiv 2306.15595.
struct linear_scaling {
  double factor;  ///< new length over trained length

  void check(Index) const { detail::require_factor("linear_scaling: factor", factor); }
  double frequency(Index k, Index rotary_dim, double base) const {
    return detail::unscaled_frequency(k, rotary_dim, base) / factor;
  }
};

/// NTK-aware: the base becomes base * factor^(r/(r-2)), so that the first pair keeps its frequency
/// and the last one is slowed down by `factor`. "Dynamic NTK" is this with a factor that follows
/// the current length, factor * length / original_length - (factor - 1), once that is longer than
/// original_length; up to there it is 1.
/// \source Peng et al. 2023 (YaRN), arXiv 2309.00071, "NTK-aware" interpolation.
struct ntk_scaling {
  double factor;  ///< new length over trained length

  void check(Index) const { detail::require_factor("ntk_scaling: factor", factor); }
  double frequency(Index k, Index rotary_dim, double base) const {
    const double r = static_cast<double>(rotary_dim), pair = static_cast<double>(k);
    // base'^(-2k/r), written so that r = 2 (one pair, k = 0) is no special case.
    const double slowdown = k == 0 ? 1 : std::pow(factor, -2 * pair / (r - 2));
    return detail::unscaled_frequency(k, rotary_dim, base) * slowdown;
  }
};

/// YaRN ("NTK by parts"): pairs that turn more than beta_fast times within the original length keep
/// their frequency, those that turn less than beta_slow times are divided by `factor`, and a linear
/// ramp over the pair index joins them:
///
///   c(n)    = r ln(original_length / (2 pi n)) / (2 ln base)
///   low     = max(floor c(beta_fast), 0),  high = min(ceil c(beta_slow), r - 1)
///   u_k     = clamp((k - low) / max(high - low, 0.001), 0, 1)
///   theta_k = base^(-2k/r) * (1 - u_k + u_k / factor)
///
/// This covers the frequencies alone; for the magnitude see `yarn_magnitude`. Some model code turns
/// YaRN on only where the context is longer than original_length: pass `unscaled_rope` otherwise.
///
/// \source Peng et al. 2023, arXiv 2309.00071, "NTK-by-parts" interpolation. The bounds low and
///         high, with r - 1 and not r/2 - 1, are those of the published code (DeepSeek,
///         transformers, ggml).
struct yarn_scaling {
  double factor;          ///< new length over trained length
  Index original_length;  ///< trained length, tokens
  double beta_fast = 32;  ///< turns within original_length above which a pair is left alone
  double beta_slow = 1;   ///< turns within original_length below which a pair is slowed in full
  bool truncate = true;   ///< round low and high outwards to whole pairs; gpt-oss does not

  void check(Index) const {
    detail::require_factor("yarn_scaling: factor", factor);
    detail::require_length("yarn_scaling: original_length", original_length);
    detail::require_factor("yarn_scaling: beta_slow", beta_slow);
    detail::require_number(std::isfinite(beta_fast) && beta_fast > beta_slow,
                           "yarn_scaling: beta_fast", beta_fast, "more than beta_slow");
  }

  double frequency(Index k, Index rotary_dim, double base) const {
    const double r = static_cast<double>(rotary_dim);
    const auto pair_turning = [&](double times) {
      const double wavelength = static_cast<double>(original_length) / times;
      return r * std::log(wavelength / (2 * std::numbers::pi)) / (2 * std::log(base));
    };
    double low = pair_turning(beta_fast), high = pair_turning(beta_slow);
    if (truncate) {
      low = std::floor(low);
      high = std::ceil(high);
    }
    low = std::max(low, 0.0);
    high = std::min(high, r - 1);
    const double u =
        std::clamp((static_cast<double>(k) - low) / std::max(high - low, 0.001), 0.0, 1.0);
    return detail::unscaled_frequency(k, rotary_dim, base) * (1 - u + u / factor);
  }
};

/// Llama 3.1: bands by wavelength. With n = original_length * theta_k / (2 pi), the turns of pair k
/// within the original length, and t = clamp((n - low) / (high - low), 0, 1):
///
///   theta'_k = theta_k * ((1 - t) / factor + t)
///
/// \source `apply_scaling` of Meta's Llama 3.1 model code.
struct llama3_scaling {
  double factor = 8;             ///< slow-down of the long wavelengths
  Index original_length = 8192;  ///< trained length, tokens
  double low_freq_factor = 1;    ///< turns below which a pair is slowed in full
  double high_freq_factor = 4;   ///< turns above which a pair is left alone

  void check(Index) const {
    detail::require_factor("llama3_scaling: factor", factor);
    detail::require_length("llama3_scaling: original_length", original_length);
    detail::require_factor("llama3_scaling: low_freq_factor", low_freq_factor);
    detail::require_number(std::isfinite(high_freq_factor) && high_freq_factor > low_freq_factor,
                           "llama3_scaling: high_freq_factor", high_freq_factor,
                           "more than low_freq_factor");
  }

  double frequency(Index k, Index rotary_dim, double base) const {
    const double theta = detail::unscaled_frequency(k, rotary_dim, base);
    const double turns = static_cast<double>(original_length) * theta / (2 * std::numbers::pi);
    const double t =
        std::clamp((turns - low_freq_factor) / (high_freq_factor - low_freq_factor), 0.0, 1.0);
    return theta * ((1 - t) / factor + t);
  }
};

/// One factor per pair: theta_k / factors[k], as LongRoPE (Su, "longrope") checkpoints carry. Such
/// a checkpoint has a short and a long list; the caller picks by the total length of the sequence.
/// \source Ding et al. 2024 (LongRoPE), arXiv 2402.13753.
struct pair_scaling {
  std::vector<double> factors;  ///< [rotary_dim / 2]

  void check(Index rotary_dim) const {
    const Index given = static_cast<Index>(factors.size());
    detail::require(given == rotary_dim / 2, "pair_scaling: ", given,
                    " factors, expected rotary_dim / 2 = ", rotary_dim / 2);
    for (const double factor : factors) detail::require_factor("pair_scaling: a factor", factor);
  }

  double frequency(Index k, Index rotary_dim, double base) const {
    return detail::unscaled_frequency(k, rotary_dim, base) / factors[static_cast<std::size_t>(k)];
  }
};

/// Any of the scalings, chosen at run time, as a model's configuration file does. Each has
/// check(rotary_dim), which refuses numbers out of range, and frequency(k, rotary_dim, base), what
/// pair k turns per position.
using rope_scaling = std::variant<unscaled_rope, linear_scaling, ntk_scaling, yarn_scaling,
                                  llama3_scaling, pair_scaling>;

/// The angle, in radians, that each pair turns per position.
///
/// \param rotary_dim  channels that are rotated, r; even, at least 2
/// \param base        theta of the configuration file, above 1
/// \param scaling     of a model that was stretched
/// \return [rotary_dim / 2], pair 0 the fastest
/// \throws std::invalid_argument naming the number that is out of range
inline std::vector<double> rope_frequencies(Index rotary_dim, double base,
                                            const rope_scaling& scaling = unscaled_rope{}) {
  detail::require(rotary_dim >= 2 && rotary_dim % 2 == 0, "rope: rotary_dim is ", rotary_dim,
                  ", expected an even number of at least 2");
  detail::require_number(std::isfinite(base) && base > 1, "rope: base", base,
                         "a finite number above 1");
  return std::visit(
      [&](const auto& s) {
        s.check(rotary_dim);
        std::vector<double> theta;
        theta.reserve(static_cast<std::size_t>(rotary_dim / 2));
        for (Index k = 0; k < rotary_dim / 2; ++k)
          theta.push_back(s.frequency(k, rotary_dim, base));
        return theta;
      },
      scaling);
}

/// The two places where a stretched model may carry a magnitude. They are different numbers: the
/// amplitude enters a score squared, and only through the rotated channels.
struct rope_magnitude {
  double amplitude = 1;       ///< factor on cos and sin, for rope_options::amplitude
  double softmax_factor = 1;  ///< factor on the softmax scale, for attention_options::scale
};

/// g(factor, mscale) = 0.1 * mscale * ln(factor) + 1, and 1 for a factor of at most 1: the number
/// from which every YaRN convention below is made.
/// \source Peng et al. 2023, arXiv 2309.00071: sqrt(1/t) = 0.1 ln(s) + 1.
inline double yarn_mscale(double factor, double mscale = 1) {
  return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1;
}

/// YaRN as published, and as gpt-oss and transformers' Llama do it: all on cos and sin.
/// A checkpoint's own `attention_factor`, where given, replaces this amplitude.
inline rope_magnitude yarn_magnitude(double factor) {
  return {yarn_mscale(factor), 1};
}

/// YaRN as transformers reads a DeepSeek configuration: the ratio of g(factor, mscale) to g(factor,
/// mscale_all_dim) on cos and sin, which is 1 for V2 and V3, and the square of the latter on the
/// softmax scale. Of what the configuration does not have, or has as 0, pass 0: where one of both
/// is, cos and sin take g(factor, 1).
inline rope_magnitude deepseek_yarn_magnitude(double factor, double mscale, double mscale_all_dim) {
  const double all = yarn_mscale(factor, mscale_all_dim);
  const bool ratio = mscale != 0 && mscale_all_dim != 0;
  return {ratio ? yarn_mscale(factor, mscale) / all : yarn_mscale(factor), all * all};
}

/// YaRN as DeepSeek's own inference code does it: cos and sin untouched, the square of
/// g(factor, mscale) on the softmax scale.
inline rope_magnitude deepseek_inference_yarn_magnitude(double factor, double mscale = 1) {
  const double g = yarn_mscale(factor, mscale);
  return {1, g * g};
}

/// LongRoPE: sqrt(1 + ln(factor) / ln(original_length)) on cos and sin, 1 for a factor of at
/// most 1, with factor = new length over original length.
///
/// \throws std::invalid_argument if original_length is less than 2
inline rope_magnitude longrope_magnitude(double factor, Index original_length) {
  detail::require(original_length >= 2, "longrope_magnitude: original_length = ", original_length,
                  ", expected at least 2");
  if (factor <= 1) return {};
  return {std::sqrt(1 + std::log(factor) / std::log(static_cast<double>(original_length))), 1};
}

}  // namespace headroom::inline HEADROOM_ISA
