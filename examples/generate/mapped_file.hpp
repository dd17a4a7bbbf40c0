// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace generate {

/// A file seen as memory. Pages are read when they are first touched, so opening a checkpoint of
/// many gigabytes takes no time and weights that are never used are never read.
class mapped_file {
 public:
  /// \throws model_error if the file cannot be opened
  explicit mapped_file(const std::filesystem::path& path);
  ~mapped_file();
  mapped_file(const mapped_file&) = delete;
  mapped_file& operator=(const mapped_file&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace generate
