// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "case.hpp"

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

namespace conformance {

attributes::attributes(const nlohmann::json& object, std::string name)
    : object_(object), name_(std::move(name)) {}

const nlohmann::json& attributes::at(const char* key) {
  require(given(key), name_ + "." + key + ": expected, but not given");
  return object_.at(key);
}

bool attributes::given(const char* key) {
  seen_.insert(key);
  return object_.contains(key) && !object_.at(key).is_null();
}

double attributes::number(const char* key) {
  return at(key).get<double>();
}
Index attributes::integer(const char* key) {
  return at(key).get<Index>();
}
bool attributes::flag(const char* key) {
  return at(key).get<bool>();
}
std::vector<Index> attributes::integers(const char* key) {
  return at(key).get<std::vector<Index>>();
}

std::string attributes::one_of(const char* key, std::initializer_list<const char*> known) {
  const std::string text = at(key).is_string() ? at(key).get<std::string>() : at(key).dump();
  for (const char* candidate : known)
    if (text == candidate) return text;
  throw std::runtime_error(name_ + "." + key + ": \"" + text + "\" is unknown");
}

attributes& attributes::group(const char* key) {
  const std::string name = name_ + "." + key;
  for (attributes& group : groups_)
    if (group.name_ == name) return group;
  return groups_.emplace_back(at(key), name);
}

void attributes::explained_by_others(std::initializer_list<const char*> keys) {
  seen_.insert(keys.begin(), keys.end());
}

void attributes::require_all_seen() const {
  for (const auto& [key, value] : object_.items())
    require(seen_.contains(key),
            name_ + "." + key + " = " + value.dump() + ": an attribute that is not known here");
  for (const attributes& group : groups_) group.require_all_seen();
}

namespace {

std::unique_ptr<const nlohmann::json> read_meta(const std::filesystem::path& folder) {
  std::ifstream file(folder / "meta.json");
  return std::make_unique<const nlohmann::json>(nlohmann::json::parse(file));
}

bool ends_with(const std::string& name, std::string_view end) {
  return name.ends_with(end);
}

}  // namespace

test_case::test_case(const std::filesystem::path& root, const std::string& name,
                     difference expected)
    : folder_(root / name),
      meta_(read_meta(folder_)),
      spec_(meta_->at("spec"), "spec"),
      expected_(expected) {}

test_case::~test_case() = default;

bool test_case::has(const std::string& name) const {
  return meta_->at("tensors").contains(name);
}

std::vector<Index> test_case::shape_of(const std::string& name) const {
  require(has(name), "tensor " + name + ": expected, but not there");
  return meta_->at("tensors").at(name).at("shape").get<std::vector<Index>>();
}

template <class T>
tensor<T> test_case::read(const std::string& name, const std::vector<Index>& shape) {
  const std::vector<Index> stated = shape_of(name);
  const bool fits = std::equal(stated.begin(), stated.end(), shape.begin(), shape.end(),
                               [](Index s, Index e) { return e == any_extent || s == e; });
  require(fits, "tensor " + name + ": its shape does not agree with spec");
  seen_.insert(name);
  const nlohmann::json& file = meta_->at("tensors").at(name).at("file");
  tensor<T> result = read_npy<T>(folder_ / file.get<std::string>());
  require(result.shape == stated, "tensor " + name + ": not of the shape that meta.json states");
  return result;
}

template tensor<float> test_case::read(const std::string&, const std::vector<Index>&);
template tensor<double> test_case::read(const std::string&, const std::vector<Index>&);
template tensor<std::int32_t> test_case::read(const std::string&, const std::vector<Index>&);
template tensor<std::uint8_t> test_case::read(const std::string&, const std::vector<Index>&);

double test_case::tolerance(const std::string& name, std::span<const double> expected) const {
  if (ends_with(name, "_fp16")) return meta_->at("tolerance_official_fp16").get<double>();
  if (!ends_with(name, "64")) return meta_->at("suggested_tolerance_f32").get<double>();
  double greatest = 1;
  for (const double e : expected)
    if (std::isfinite(e)) greatest = std::max(greatest, std::abs(e));
  return 1e-12 * greatest;
}

std::string test_case::compare(const std::string& name, const std::vector<double>& actual) {
  const std::vector<Index> shape = shape_of(name);
  const std::vector<double> expected = ends_with(name, "64")
                                           ? read<double>(name, shape).data
                                           : read<float>(name, shape).cast<double>().data;
  const double bound = tolerance(name, expected);
  std::ostringstream message;
  message.precision(17);
  if (actual.size() != expected.size())
    message << name << ": " << actual.size() << " numbers, expected " << expected.size();
  for (std::size_t i = 0; message.view().empty() && i < actual.size(); ++i) {
    const bool equal = actual[i] == expected[i];  // infinities
    if (!equal && !(std::abs(actual[i] - expected[i]) <= bound))
      message << name << "[" << i << "] is " << actual[i] << ", expected " << expected[i]
              << " within " << bound;
  }
  return message.str();
}

void test_case::require_all_seen() const {
  spec_.require_all_seen();
  for (const auto& [name, described] : meta_->at("tensors").items())
    require(seen_.contains(name), "tensor " + name + ": neither read nor checked");
  require(expected_ == difference::none || difference_met_,
          "listed as deliberately different, but nothing of it was checked");
}

}  // namespace conformance
