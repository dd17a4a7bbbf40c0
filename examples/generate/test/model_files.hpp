// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

// Model directories to break.

namespace generate_tests {

namespace fs = std::filesystem;

inline const fs::path tinylm = HEADROOM_TINYLM_DIR;

/// A directory of the test's own, gone when the test ends.
class scratch_directory {
 public:
  scratch_directory() {
    static std::atomic<int> count = 0;
    path_ = fs::temp_directory_path() /
            ("headroom-" + std::to_string(getpid()) + "-" + std::to_string(count++));
    fs::create_directories(path_);
  }
  ~scratch_directory() { fs::remove_all(path_); }
  scratch_directory(const scratch_directory&) = delete;
  scratch_directory& operator=(const scratch_directory&) = delete;

  fs::path operator/(const std::string& name) const { return path_ / name; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

inline void write(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

inline std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A safetensors file of this header and data.
inline std::string safetensors(const std::string& header, const std::string& data) {
  const std::uint64_t size = header.size();
  std::string length(sizeof size, '\0');
  std::memcpy(length.data(), &size, sizeof size);
  return length + header + data;
}

/// Changes a JSON file.
template <class Change>
void edit_json(const fs::path& path, const Change& change) {
  nlohmann::json value = nlohmann::json::parse(read(path));
  change(value);
  write(path, value.dump());
}

/// Copies a model directory of examples/tinylm into an empty one.
inline void copy_model(const std::string& name, const scratch_directory& to) {
  fs::copy(tinylm / name, to.path(), fs::copy_options::recursive);
}

}  // namespace generate_tests
