// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// main() of a fuzz target where there is no fuzzer: hands it every file of the given folders, and
// every beginning of each, as an ordinary test.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <ios>
#include <iterator>
#include <new>
#include <string>
#include <vector>

#include "fuzz/fuzz.hpp"

namespace {

// No input takes a piece of memory that is out of proportion to it. A fuzzer's own limit is
// -malloc_limit_mb.
std::size_t largest_piece = 0;

std::size_t largest_piece_for(std::size_t input) {
  return (std::size_t(1) << 20) + 64 * input;
}

}  // namespace

// Not inlined: GCC would warn of what one of them frees without its fellow being there.
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (largest_piece != 0 && size > largest_piece) {
    std::fprintf(stderr, "%zu bytes were asked for at once\n", size);
    std::abort();
  }
  if (void* const memory = std::malloc(std::max(size, std::size_t(1)))) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

int main(int argc, char** argv) {
  std::vector<std::filesystem::path> files;
  for (int i = 1; i < argc; ++i)
    for (const auto& entry : std::filesystem::directory_iterator(argv[i]))
      files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const auto& path : files) {
    std::printf("%s\n", path.filename().c_str());
    std::fflush(stdout);
    std::ifstream file(path, std::ios::binary);
    const std::string input{std::istreambuf_iterator<char>(file), {}};
    for (std::size_t size = 0; size <= input.size(); ++size) {
      const std::vector<std::uint8_t> bytes(input.begin(),
                                            input.begin() + static_cast<std::ptrdiff_t>(size));
      largest_piece = largest_piece_for(size);
      LLVMFuzzerTestOneInput(bytes.data(), size);
      largest_piece = 0;
    }
  }
  if (files.empty()) std::printf("there is no corpus\n");
  return files.empty();
}
