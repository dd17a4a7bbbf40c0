// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "error.hpp"

namespace generate {

/// For nlohmann::json::parse: refuses lists and objects that are nested deeper than in any file of
/// a model, because to copy, compare or print them takes a call for each level.
inline auto refuse_nesting(const std::string& where) {
  return [where](int depth, nlohmann::json::parse_event_t, const nlohmann::json&) {
    constexpr int most = 32;
    if (depth > most) fail(where, ": JSON of more than ", most, " levels");
    return true;
  };
}

/// A JSON object from a file, read key by key; what is wrong is said with the file, the key and the
/// value. A key whose value is null counts as absent, as in Hugging Face's configurations.
class json_object {
 public:
  /// \throws model_error if there is no such file or it holds no JSON object
  static json_object read(const std::filesystem::path& path) {
    std::ifstream file(path);
    if (!file) fail(path.string(), ": cannot be opened");
    nlohmann::json value = nlohmann::json::parse(file, refuse_nesting(path.string()), false);
    if (value.is_discarded()) fail(path.string(), ": not valid JSON");
    return json_object(std::move(value), path.string());
  }

  /// `where` is what messages begin with.
  json_object(nlohmann::json value, std::string where)
      : value_(std::move(value)), where_(std::move(where)) {
    if (!value_.is_object()) fail(where_, ": expected a JSON object");
  }

  bool has(const std::string& key) const { return value_.contains(key) && !value_[key].is_null(); }

  /// A string, a bool, a double, or whatever else nlohmann::json converts to.
  template <class T>
  T get(const std::string& key) const {
    if (!has(key)) fail(where_, ": ", key, " is missing");
    if (!is_a<T>(value_[key])) fail_value(key, std::string("expected ") + name_of<T>());
    return value_[key].get<T>();
  }

  template <class T>
  T get_or(const std::string& key, T otherwise) const {
    return has(key) ? get<T>(key) : otherwise;
  }

  /// A whole number of at least `least`.
  std::ptrdiff_t size(const std::string& key, std::ptrdiff_t least = 1) const {
    const auto number = get<std::ptrdiff_t>(key);
    // Products of two such numbers stay far from overflow, and no model comes near.
    constexpr std::ptrdiff_t most = 1 << 28;
    if (number < least || number > most)
      fail_value(key, "expected " + std::to_string(least) + " to " + std::to_string(most));
    return number;
  }

  std::ptrdiff_t size_or(const std::string& key, std::ptrdiff_t otherwise,
                         std::ptrdiff_t least = 1) const {
    return has(key) ? size(key, least) : otherwise;
  }

  json_object object(const std::string& key) const {
    if (!has(key)) fail(where_, ": ", key, " is missing");
    return json_object(value_[key], where_ + ": " + key);
  }

  /// Refuses a key that is present with another value than the one this program knows.
  template <class T>
  void require(const std::string& key, const T& expected) const {
    if (has(key) && value_[key] != nlohmann::json(expected))
      fail_value(key, "which is not supported, only " + nlohmann::json(expected).dump());
  }

  const nlohmann::json& value() const { return value_; }
  const std::string& where() const { return where_; }

  [[noreturn]] void fail_value(const std::string& key, const std::string& why) const {
    fail(where_, ": ", key, " is ", value_[key].dump(), ", ", why);
  }

 private:
  template <class T>
  static bool is_a(const nlohmann::json& v) {
    if constexpr (std::is_same_v<T, bool>)
      return v.is_boolean();
    else if constexpr (std::is_integral_v<T>)
      return v.is_number_integer();
    else if constexpr (std::is_floating_point_v<T>)
      return v.is_number();
    else
      return v.is_string();
  }
  template <class T>
  static const char* name_of() {
    if constexpr (std::is_same_v<T, bool>)
      return "true or false";
    else if constexpr (std::is_integral_v<T>)
      return "a whole number";
    else if constexpr (std::is_floating_point_v<T>)
      return "a number";
    else
      return "a string";
  }

  nlohmann::json value_;
  std::string where_;
};

}  // namespace generate
