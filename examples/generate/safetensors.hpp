// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "mapped_file.hpp"
#include "tensor.hpp"

namespace generate {

/// A .safetensors file: eight bytes of header length (little endian), a JSON header that gives each
/// tensor's dtype, shape and byte range, and the data. Tensors are views of the mapped file.
class safetensors_file {
 public:
  /// Checks the whole header before any tensor is handed out: lengths, ranges that leave the file,
  /// overlap or leave gaps, shapes that disagree with their range, names that occur twice.
  ///
  /// \throws model_error naming the file, the tensor and the rule
  explicit safetensors_file(const std::filesystem::path& path);

  const std::map<std::string, tensor>& tensors() const { return tensors_; }

 private:
  mapped_file file_;
  std::map<std::string, tensor> tensors_;
  std::vector<std::unique_ptr<std::byte[]>> realigned_;  // tensors at an odd address of the file
};

}  // namespace generate
