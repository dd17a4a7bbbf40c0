// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "checkpoint.hpp"

#include <set>
#include <utility>

#include "json_file.hpp"
#include "safetensors.hpp"

namespace generate {

namespace fs = std::filesystem;

checkpoint::checkpoint(const fs::path& directory) : where_(directory.string()) {
  if (!fs::is_directory(directory)) fail(where_, ": no such directory");
  const fs::path single = directory / "model.safetensors";
  const fs::path index = directory / "model.safetensors.index.json";
  if (fs::exists(single)) {
    auto file = std::make_shared<const safetensors_file>(single);
    tensors_ = file->tensors();
    owners_.push_back(std::move(file));
  } else if (fs::exists(index)) {
    open_shards(directory, index);
  } else {
    fail(where_, ": neither model.safetensors nor model.safetensors.index.json is there");
  }
}

void checkpoint::open_shards(const fs::path& directory, const fs::path& index) {
  const json_object map = json_object::read(index).object("weight_map");
  std::map<std::string, std::shared_ptr<const safetensors_file>> shards;
  for (const auto& [name, unused] : map.value().items()) {
    const auto shard = map.get<std::string>(name);
    if (shard.find('/') != std::string::npos)
      map.fail_value(name, "expected the name of a file in the same directory");
    auto& file = shards[shard];
    if (!file) {
      file = std::make_shared<const safetensors_file>(directory / shard);
      owners_.push_back(file);
    }
    const auto found = file->tensors().find(name);
    if (found == file->tensors().end())
      fail((directory / shard).string(), ": tensor ", name, " is missing, though ",
           index.filename().string(), " says it is there");
    tensors_.emplace(name, found->second);
  }
}

const tensor& checkpoint::at(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) fail(where_, ": tensor ", name, " is missing");
  return found->second;
}

void checkpoint::replace(const std::string& name, Matrix numbers) {
  const auto owned = std::make_shared<const Matrix>(std::move(numbers));
  owners_.push_back(owned);
  tensors_[name] = {std::string(dtype_of<float>),
                    {owned->rows(), owned->cols()},
                    reinterpret_cast<const std::byte*>(owned->data())};
}

const tensor& weight_reader::get(const std::string& name, const std::vector<Index>& shape) {
  const tensor& t = source_.at(name);
  if (t.shape != shape)
    fail(source_.where(), ": tensor ", name, " has shape ", text(t.shape), ", expected ",
         text(shape));
  // Refuses a dtype that cannot be computed with here, where the tensor's name is known.
  if (t.dtype != dtype_of<float> && t.dtype != dtype_of<Eigen::half> &&
      t.dtype != dtype_of<Eigen::bfloat16>)
    fail(source_.where(), ": tensor ", name, " has dtype ", t.dtype, ", expected F32, F16 or BF16");
  used_[name] = &t;
  return t;
}

Eigen::RowVectorXf weight_reader::vector(const std::string& name, Index size) {
  return to_float(get(name, {size}), 0, size);
}

void weight_reader::require_all_used() const {
  for (const auto& [name, t] : source_.tensors()) {
    // Old exports carry RoPE's frequencies, which follow from config.json.
    const bool derived = name.ends_with(".rotary_emb.inv_freq");
    if (!derived && !used_.contains(name))
      fail(source_.where(), ": tensor ", name, " has no place in the model that config.json ",
           "describes");
  }
}

}  // namespace generate
