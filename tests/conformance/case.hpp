// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "npy.hpp"

#include <concepts>
#include <initializer_list>
#include <list>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <span>

namespace conformance {

/// Where the library deliberately gives another number than a reference does. What it gives is then
/// required to differ, and to agree once it is converted.
enum class difference {
  none,
  lse_of_empty_row,
  lse_with_sink,
  factor_on_probabilities,
  order_of_rotated_channels,
};

/// An object of meta.json that remembers which attributes were asked for: one that no code knows
/// fails the case instead of being passed over.
class attributes {
 public:
  attributes(const nlohmann::json& object, std::string name);

  /// Whether the attribute is there and not null.
  bool given(const char* key);
  double number(const char* key);
  Index integer(const char* key);
  bool flag(const char* key);
  std::vector<Index> integers(const char* key);
  /// A text, which must be one of those that the caller knows.
  std::string one_of(const char* key, std::initializer_list<const char*> known);
  attributes& group(const char* key);

  /// Declares attributes that say in prose, or once more, what others say.
  void explained_by_others(std::initializer_list<const char*> keys);

  void require_all_seen() const;

 private:
  const nlohmann::json& at(const char* key);

  const nlohmann::json& object_;
  std::string name_;
  std::set<std::string> seen_;
  std::list<attributes> groups_;
};

/// In an expected shape: any number of entries.
constexpr Index any_extent = -1;

/// A folder of the collection: attributes, inputs and expected outputs. Every tensor must be read
/// or compared with.
class test_case {
 public:
  test_case(const std::filesystem::path& root, const std::string& name, difference expected);
  ~test_case();

  attributes& spec() { return spec_; }

  bool has(const std::string& name) const;

  /// The input `name`, of this shape; in double the exact double numbers where the case has them.
  template <std::floating_point T>
  tensor<T> numbers(const std::string& name, const std::vector<Index>& shape) {
    if constexpr (std::same_as<T, double>)
      return has(name + "64") ? read<double>(name + "64", shape)
                              : read<float>(name, shape).template cast<double>();
    else
      return read<float>(name, shape);
  }
  tensor<Index> integers(const std::string& name, const std::vector<Index>& shape) {
    return read<std::int32_t>(name, shape).cast<Index>();
  }
  tensor<std::uint8_t> flags(const std::string& name, const std::vector<Index>& shape) {
    return read<std::uint8_t>(name, shape);
  }

  /// Numbers of each dimension of a tensor, for those whose rank is not known before.
  std::vector<Index> shape_of(const std::string& name) const;

  /// Requires `actual` to agree with the tensor `name`: within the tolerance that the case
  /// suggests, or that of its kind of scalar if the name ends in 64 or _fp16.
  template <class Numbers>
  void check(const std::string& name, const Numbers& actual) {
    const std::string message = compare(name, widen(actual));
    if (!message.empty()) throw std::runtime_error(message);
  }

  /// The same for numbers that the library may deliberately give in another form. If this case is
  /// listed for it, they must disagree as they are, and agree after convert(actual).
  template <class Numbers, class Convert>
  void check(const std::string& name, Numbers actual, difference kind, const Convert& convert) {
    if (kind == expected_) {
      difference_met_ = true;
      if (compare(name, widen(actual)).empty())
        throw std::runtime_error(name + ": listed as deliberately different, but it agrees");
      convert(actual);
    }
    check(name, actual);
  }

  /// Throws if an attribute, a tensor or the listed difference played no part.
  void require_all_seen() const;

 private:
  template <class Numbers>
  static std::vector<double> widen(const Numbers& numbers) {
    return std::vector<double>(std::begin(numbers), std::end(numbers));
  }

  template <class T>
  tensor<T> read(const std::string& name, const std::vector<Index>& shape);

  /// What is wrong, or nothing.
  std::string compare(const std::string& name, const std::vector<double>& actual);
  double tolerance(const std::string& name, std::span<const double> expected) const;

  std::filesystem::path folder_;
  std::unique_ptr<const nlohmann::json> meta_;
  attributes spec_;
  std::set<std::string> seen_;
  difference expected_;
  bool difference_met_ = false;
};

/// The tensor that a result in T is compared with.
template <std::floating_point T>
std::string expected(const std::string& name) {
  return std::same_as<T, double> ? name + "64" : name;
}

inline void require(bool holds, const std::string& otherwise) {
  if (!holds) throw std::runtime_error(otherwise);
}

/// Computes a case of the operation after which the function is named, through the public headers.
void run_attention(test_case& c);
void run_ragged_attention(test_case& c);
void run_ragged_mla(test_case& c);
void run_merge_states(test_case& c);
void run_rope(test_case& c);
void run_rope_cache(test_case& c);
void run_attention_layer(test_case& c);
void run_mla_layer(test_case& c);

}  // namespace conformance
