// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Compiled for two instruction sets, with LEVEL naming them.
#include <headroom/headroom.hpp>

#define JOIN(a, b) a##b
#define NAME(a, b) JOIN(a, b)

int NAME(lanes_, LEVEL)() {
  return headroom::detail::lanes;
}

const void* NAME(code_, LEVEL)() {
  return reinterpret_cast<const void*>(&headroom::detail::split_keys);
}
