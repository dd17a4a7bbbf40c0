// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tensor.hpp"

namespace generate {

/// The named tensors of a model directory: one model.safetensors, or the shards that a
/// model.safetensors.index.json lists. A copy shares the files.
class checkpoint {
 public:
  /// \throws model_error naming the file and what is wrong with it
  explicit checkpoint(const std::filesystem::path& directory);

  /// Names the directory in messages.
  const std::string& where() const { return where_; }
  const std::map<std::string, tensor>& tensors() const { return tensors_; }

  /// \throws model_error if there is no such tensor
  const tensor& at(const std::string& name) const;

  /// Puts float numbers that this object then owns in the place of a tensor.
  void replace(const std::string& name, Matrix numbers);

 private:
  void open_shards(const std::filesystem::path& directory, const std::filesystem::path& index);

  std::string where_;
  std::vector<std::shared_ptr<const void>> owners_;
  std::map<std::string, tensor> tensors_;
};

/// Hands out a checkpoint's tensors by name and shape, and remembers which were asked for.
class weight_reader {
 public:
  explicit weight_reader(const checkpoint& source) : source_(source) {}

  const std::string& where() const { return source_.where(); }

  /// \throws model_error if it is missing or has another shape
  const tensor& get(const std::string& name, const std::vector<Index>& shape);

  /// A vector, such as a norm's weight, as floats.
  Eigen::RowVectorXf vector(const std::string& name, Index size);

  /// Refuses a checkpoint with tensors that the model has no place for: what it computes would not
  /// be what the checkpoint means.
  void require_all_used() const;

 private:
  const checkpoint& source_;
  std::map<std::string, const tensor*> used_;
};

}  // namespace generate
