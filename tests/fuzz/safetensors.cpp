// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Rule: whatever bytes a safetensors file has, it is refused with a model_error that names it, or
// all of its tensors can be read. What it takes to find out is in proportion to the file.
#include "safetensors.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "fuzz/fuzz.hpp"
#include "fuzz/input_file.hpp"

using namespace headroom_tests;

namespace {

bool can_be_computed_with(const std::string& dtype) {
  return dtype == "F32" || dtype == "F16" || dtype == "BF16";
}

void read(const generate::tensor& t) {
  const Eigen::Index count = t.numbers();
  expect(count >= 0, "a tensor has no less than no numbers");
  const volatile auto* const bytes = reinterpret_cast<const volatile std::uint8_t*>(t.data);
  if (count > 0) (void)*bytes;
  if (can_be_computed_with(t.dtype)) (void)generate::to_float(t, 0, count).sum();
}

void open(const std::vector<std::uint8_t>& bytes) {
  static const input_file file("model.safetensors");
  file.write(bytes.data(), bytes.size());
  try {
    const generate::safetensors_file opened(file.path());
    for (const auto& [name, t] : opened.tensors()) read(t);
  } catch (const generate::model_error& refusal) {
    expect(std::string(refusal.what()).starts_with(file.path().string()), "it names the file");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::uint8_t> bytes(data, data + size);
  open(bytes);
  // Once more with the length that the header has, which changes of the header seldom hit.
  std::uint64_t length = 0;
  if (size < sizeof length) return 0;
  const auto end = std::find(bytes.rbegin(), bytes.rend(), '}').base();
  length = static_cast<std::uint64_t>(std::max(end - bytes.begin(), std::ptrdiff_t(8)) - 8);
  std::memcpy(bytes.data(), &length, sizeof length);
  open(bytes);
  return 0;
}
