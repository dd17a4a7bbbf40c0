// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <ios>
#include <string>

namespace headroom_tests {

/// A file in a directory of this program's own, for readers that want one; both are gone when the
/// program ends.
class input_file {
 public:
  explicit input_file(const std::string& name)
      : directory_(std::filesystem::temp_directory_path() /
                   ("headroom-fuzz-" + std::to_string(getpid()))),
        path_(directory_ / name) {
    std::filesystem::create_directories(directory_);
  }
  ~input_file() { std::filesystem::remove_all(directory_); }
  input_file(const input_file&) = delete;
  input_file& operator=(const input_file&) = delete;

  void write(const std::uint8_t* data, std::size_t size) const {
    std::filesystem::remove(path_);  // some file systems write a file to disk that was cut to 0
    std::ofstream(path_, std::ios::binary)
        .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  }

  const std::filesystem::path& path() const { return path_; }
  const std::filesystem::path& directory() const { return directory_; }

 private:
  std::filesystem::path directory_;
  std::filesystem::path path_;
};

}  // namespace headroom_tests
