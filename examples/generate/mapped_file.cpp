// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include "mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "error.hpp"

namespace generate {

namespace {

// Closes when it goes out of scope; a mapping outlives the descriptor that it was made from.
struct descriptor {
  int number;
  ~descriptor() {
    if (number >= 0) close(number);
  }
};

}  // namespace

mapped_file::mapped_file(const std::filesystem::path& path) {
  const descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.number < 0) fail(path.string(), ": ", std::strerror(errno));
  struct stat status;
  if (fstat(file.number, &status) != 0) fail(path.string(), ": ", std::strerror(errno));
  if (!S_ISREG(status.st_mode)) fail(path.string(), ": not a regular file");
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size == 0) return;  // an empty range cannot be mapped
  void* const memory = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.number, 0);
  if (memory == MAP_FAILED) fail(path.string(), ": ", std::strerror(errno));
  bytes_ = {static_cast<const std::byte*>(memory), size};
}

mapped_file::~mapped_file() {
  if (!bytes_.empty()) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace generate
