// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0

// Two files compiled for different instruction sets link into one program, and each keeps its own
// code: the same inline function has two addresses.
#include <cstdio>

int lanes_v2();
int lanes_v3();
const void* code_v2();
const void* code_v3();

int main() {
  std::printf("lanes: %d and %d\n", lanes_v2(), lanes_v3());
  return lanes_v2() == 4 && lanes_v3() == 8 && code_v2() != code_v3() ? 0 : 1;
}
