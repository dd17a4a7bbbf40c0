// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/headroom.hpp>

static_assert(__cplusplus >= 202002L, "headroom::headroom asks for C++20 itself");

int main() {}
