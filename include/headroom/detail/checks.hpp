// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <headroom/detail/config.hpp>

#include <concepts>
#include <cstdio>
#include <initializer_list>
#include <limits>
#include <stdexcept>
#include <string>

// Rules that several headers hold their callers to, and how every refusal is said: at compile time
// where the compiler can know, at the public entry where it cannot.

namespace headroom::inline HEADROOM_ISA::detail {

// The four scalars that keys, values and weights may be stored in.
template <class T>
concept storage_scalar = std::same_as<T, float> || std::same_as<T, double> ||
    std::same_as<T, Eigen::half> || std::same_as<T, Eigen::bfloat16>;

// The two scalars that are computed in.
template <class T>
concept compute_scalar = std::same_as<T, float> || std::same_as<T, double>;

// Whether every size is known at compile time.
template <int... sizes>
inline constexpr bool all_fixed = ((sizes != Eigen::Dynamic) && ...);

// A size that is fixed at compile time, or Eigen::Dynamic and at least `least` at run time.
consteval bool is_size(int value, int least = 1) {
  return value == Eigen::Dynamic || value >= least;
}

// One broken rule, one message: each branch assumes that the rules above it hold.
template <int Q_heads, int KV_groups, int qk_dim, int v_dim>
consteval bool check_attention() {
  if constexpr (!is_size(Q_heads))
    static_assert(is_size(Q_heads),
                  "attention<Q_heads, KV_groups, qk_dim, v_dim>: Q_heads, the number of query "
                  "heads, must be at least 1 or Eigen::Dynamic");
  else if constexpr (!is_size(KV_groups))
    static_assert(is_size(KV_groups),
                  "attention<Q_heads, KV_groups, qk_dim, v_dim>: KV_groups, the number of "
                  "key/value heads, must be at least 1 or Eigen::Dynamic");
  else if constexpr (Q_heads > 0 && KV_groups > 0 && Q_heads % KV_groups != 0)
    static_assert(Q_heads % KV_groups == 0,
                  "attention<Q_heads, KV_groups, qk_dim, v_dim>: KV_groups must divide Q_heads. "
                  "KV_groups counts key/value heads (Q_heads = multi-head, 1 = multi-query), not "
                  "the query heads that share one");
  else if constexpr (!is_size(qk_dim))
    static_assert(is_size(qk_dim),
                  "attention<Q_heads, KV_groups, qk_dim, v_dim>: qk_dim, the width of a query and "
                  "a key, must be at least 1 or Eigen::Dynamic");
  else
    static_assert(is_size(v_dim),
                  "attention<Q_heads, KV_groups, qk_dim, v_dim>: v_dim, the width of a value, must "
                  "be at least 1 or Eigen::Dynamic");
  return true;
}

template <int Q_heads, int latent_rank, int nope, int rope, int value>
consteval bool check_mla() {
  if constexpr (!is_size(Q_heads))
    static_assert(is_size(Q_heads),
                  "mla<Q_heads, latent_rank, nope, rope, value>: Q_heads, the number of query "
                  "heads, must be at least 1 or Eigen::Dynamic");
  else if constexpr (!is_size(latent_rank))
    static_assert(is_size(latent_rank),
                  "mla<Q_heads, latent_rank, nope, rope, value>: latent_rank, the width of the "
                  "cached latent, must be at least 1 or Eigen::Dynamic");
  else if constexpr (!is_size(nope))
    static_assert(is_size(nope),
                  "mla<Q_heads, latent_rank, nope, rope, value>: nope, the width of a query's "
                  "position-free part, must be at least 1 or Eigen::Dynamic");
  else if constexpr (!is_size(rope, 0))
    static_assert(is_size(rope, 0),
                  "mla<Q_heads, latent_rank, nope, rope, value>: rope, the width of a query's "
                  "rotary part, must be at least 0 or Eigen::Dynamic");
  else
    static_assert(is_size(value),
                  "mla<Q_heads, latent_rank, nope, rope, value>: value, the width of a value, must "
                  "be at least 1 or Eigen::Dynamic");
  return true;
}

inline std::string text(const std::string& s) {
  return s;
}
template <std::integral T>
std::string text(T number) {
  return std::to_string(number);
}
inline std::string text(double number) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%g", number);
  return digits;
}

// Who refuses: an entry point, or one of the sequences (or other things) that it was given.
struct caller {
  const char* name;
  Index index;
  const char* thing;

  caller(const char* entry, Index of_thing = -1, const char* of_what = "sequence")
      : name(entry), index(of_thing), thing(of_what) {}
};
template <std::same_as<caller> Who>
std::string text(const Who& who) {
  std::string words = who.name;
  if (who.index >= 0) words.append(": ").append(who.thing).append(" ").append(text(who.index));
  return words;
}

/// A part of a sentence, of one type whatever it is: else each sentence would be a function of its
/// own to compile.
class sentence_part {
 public:
  sentence_part(const caller& who) : words_(who) {}
  sentence_part(const char* words) : words_(words) {}
  sentence_part(const std::string& words) : words_(words.c_str()) {}
  template <std::integral T>
  sentence_part(T number) : words_(nullptr), whole_(static_cast<long long>(number)) {}
  template <std::floating_point T>
  sentence_part(T number) : words_(nullptr), real_(number), is_real_(true) {}

  std::string str() const {
    return words_.name ? text(words_) : is_real_ ? text(real_) : text(whole_);
  }

 private:
  caller words_;  // unnamed: the part is a number
  long long whole_ = 0;
  double real_ = 0;
  bool is_real_ = false;
};

[[noreturn]] inline void refuse(std::initializer_list<sentence_part> parts) {
  std::string sentence;
  for (const sentence_part& part : parts) sentence += part.str();
  throw std::invalid_argument(sentence);
}

/// Throws std::invalid_argument with the parts of a sentence joined, unless `holds`.
template <class... Parts>
void require(bool holds, const Parts&... parts) {
  if (!holds) refuse({parts...});
}

inline void require_at_least(const char* who, const char* name, Index value, Index least) {
  require(value >= least, who, ": ", name, " = ", value, ", expected at least ", least);
}

// A size that is a template parameter, or a number where that is Eigen::Dynamic.
template <int fixed>
class extent {
 public:
  extent(Index value, const char* who, const char* name, Index = 1) {
    require(value == fixed, who, ": ", name, " = ", value, " was given, expected ", fixed,
            " as in the template");
  }
  static constexpr Index value() { return fixed; }
};

template <>
class extent<Eigen::Dynamic> {
 public:
  extent(Index value, const char* who, const char* name, Index least = 1) : value_(value) {
    require(value >= least, who, ": ", name, " = ", value, " was given, expected at least ", least);
    // What templates count sizes by: more would be a mistake, and sums of it no number.
    constexpr Index most = std::numeric_limits<int>::max();
    require(value <= most, who, ": ", name, " = ", value, " was given, expected at most ", most);
  }
  Index value() const { return value_; }

 private:
  Index value_;
};

}  // namespace headroom::inline HEADROOM_ISA::detail
