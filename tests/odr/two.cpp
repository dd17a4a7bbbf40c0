// SPDX-FileCopyrightText: 2026 The headroom authors
// SPDX-License-Identifier: Apache-2.0
#include <headroom/headroom.hpp>

int other_file() {
  return 0;
}
